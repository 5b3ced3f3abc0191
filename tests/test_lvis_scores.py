"""LTLVISMetric's scores are lvis-api's."""

import json
import logging
import math
import sys

import numpy as np
import pytest
from lvis_random_sets import evaluate, lvis_api_scores, lvis_results, random_set

from mmdet_ltnorm.evaluation import lvis

SEEDS = range(12)
IOU_TYPES = ("bbox", "segm")


@pytest.fixture
def old_numpy(monkeypatch):
    monkeypatch.setattr(np, "float", float, raising=False)


def assert_equal_to_lvis_api(scores, content, samples, folder, **options):
    for iou_type in IOU_TYPES:
        results = lvis_results(content, samples, iou_type)
        expected = lvis_api_scores(content, results, iou_type, folder, **options)
        got = {name: scores[f"lvis/{iou_type}_{name}"] for name in expected}
        assert got == pytest.approx(expected, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_equals_lvis_api_on_random_sets(seed, tmp_path, old_numpy):
    content, samples = random_set(seed)
    scores = evaluate(content, samples, tmp_path)
    assert_equal_to_lvis_api(scores, content, samples, tmp_path)


def test_equals_lvis_api_where_all_300_detections_of_an_image_count(tmp_path, old_numpy):
    content, samples = random_set(0)
    crowded = max(samples, key=lambda sample: len(sample["pred_instances"]["scores"]))
    category_id = content["annotations"][0]["category_id"]
    for image in content["images"]:
        image["neg_category_ids"] = [category_id]
    crowded["pred_instances"]["labels"][:] = [
        category["id"] for category in content["categories"]
    ].index(category_id)
    scores = evaluate(content, samples, tmp_path)
    assert_equal_to_lvis_api(scores, content, samples, tmp_path)


def test_the_random_sets_hold_the_cases_that_are_hard():
    sets = [random_set(seed) for seed in SEEDS]
    counts = [len(s["pred_instances"]["scores"]) for _, samples in sets for s in samples]
    assert 0 in counts and max(counts) > 300
    crowded = next(s for _, ss in sets for s in ss if len(s["pred_instances"]["scores"]) > 300)
    ranked = crowded["pred_instances"]["scores"].sort(descending=True).values
    assert ranked[299] == ranked[300], "the 300th and 301st detection should tie"
    images = [image for content, _ in sets for image in content["images"]]
    assert any(image["neg_category_ids"] for image in images)
    assert any(image["not_exhaustive_category_ids"] for image in images)
    assert any(
        len({annotation["image_id"] for annotation in content["annotations"]}) < len(samples)
        for content, samples in sets
    )
    ids = [category["id"] for category in sets[0][0]["categories"]]
    assert ids != sorted(ids)


def test_images_that_were_not_evaluated_do_not_count(tmp_path, old_numpy):
    content, samples = random_set(1)
    seen = samples[1:4]
    scores = evaluate(content, seen, tmp_path)
    ids = [sample["img_id"] for sample in seen]
    assert_equal_to_lvis_api(scores, content, seen, tmp_path, image_ids=ids)
    assert scores != evaluate(content, samples, tmp_path)


@pytest.mark.parametrize("seed", SEEDS[:6])
def test_fixed_ap_takes_the_best_of_each_class_and_has_no_limit_for_an_image(
    seed, tmp_path, old_numpy, monkeypatch
):
    monkeypatch.setattr(lvis, "PER_CLASS", 10)
    content, samples = random_set(seed)
    scores = evaluate(content, samples, tmp_path, fixed_ap=True)
    for iou_type in IOU_TYPES:
        results = lvis_results(content, sorted(samples, key=lambda s: s["img_id"]), iou_type)
        best = []
        for category in content["categories"]:
            own = [result for result in results if result["category_id"] == category["id"]]
            best += sorted(own, key=lambda result: -result["score"])[:10]
        assert len(best) < len(results)
        expected = lvis_api_scores(content, best, iou_type, tmp_path, max_dets=-1)
        for name in expected:
            if name.startswith("AP"):
                got = scores[f"lvis/{iou_type}_{name}_fixed"]
                assert got == pytest.approx(expected[name], abs=1e-9, nan_ok=True)
    assert_equal_to_lvis_api(scores, content, samples, tmp_path)


def test_lists_that_contradict_each_other_score_as_in_lvis_api(tmp_path, old_numpy):
    content, samples = random_set(2)
    ids = [category["id"] for category in content["categories"]]
    for image in content["images"]:
        image["neg_category_ids"] = ids[:4]  # Some of these have objects.
        image["not_exhaustive_category_ids"] = ids[2:]  # Some of these have none.
    for annotation in content["annotations"][::4]:
        annotation["area"] = 0.0
    for annotation in content["annotations"][::3]:
        annotation["iscrowd"] = 1
    path = tmp_path / "classes.json"
    scores = evaluate(content, samples, tmp_path, per_class_file=str(path))
    assert_equal_to_lvis_api(scores, content, samples, tmp_path)
    objects = sum(annotation["area"] > 0 for annotation in content["annotations"])
    assert sum(row["objects"] for row in json.loads(path.read_text())) == objects


def test_the_reference_engine_gives_the_same_scores_and_leaves_no_trace(tmp_path, monkeypatch):
    content, samples = random_set(3)
    expected = evaluate(content, samples, tmp_path)
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.delitem(sys.modules, "lvis", raising=False)  # Its import configures logging.
    scores = evaluate(content, samples, tmp_path, engine="lvis")
    assert root.handlers == [] and not hasattr(np, "float")
    assert scores == pytest.approx(expected, abs=0, nan_ok=True)


def test_annotation_ids_may_start_at_zero(tmp_path):
    content, samples = random_set(3)
    expected = evaluate(content, samples, tmp_path)
    for annotation in content["annotations"]:
        annotation["id"] -= 1  # lvis-api by itself would never match the first one.
    for engine in ("vernier", "lvis"):
        scores = evaluate(content, samples, tmp_path, engine=engine)
        assert scores == pytest.approx(expected, abs=0, nan_ok=True)


@pytest.mark.parametrize("engine", ["vernier", "lvis"])
def test_without_detections_scores_are_zero_and_unmeasured_ones_are_nan(engine, tmp_path):
    content, samples = random_set(0)
    for sample in samples:
        prediction = sample["pred_instances"]
        sample["pred_instances"] = {key: value[:0] for key, value in prediction.items()}
    scores = evaluate(content, samples, tmp_path, engine=engine)
    for iou_type in IOU_TYPES:
        assert scores[f"lvis/{iou_type}_AP"] == scores[f"lvis/{iou_type}_APr"] == 0.0
        assert scores[f"lvis/{iou_type}_AR@300"] == 0.0
        assert math.isnan(scores[f"lvis/{iou_type}_APc"])  # No object of a common class.
