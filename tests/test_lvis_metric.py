"""What LTLVISMetric takes, keeps, writes and refuses, alone and in two processes."""

import csv
import json
import logging
import math
import os
import sys
import tracemalloc

import numpy as np
import pycocotools.mask as mask_utils
import pytest
import torch
from lvis_random_sets import evaluate, random_set, write
from mmdet.structures import DetDataSample
from mmengine.dataset import DefaultSampler
from mmengine.structures import InstanceData
from ranks import on_two_ranks

from mmdet_ltnorm.evaluation import LTLVISMetric, lvis, lvis_engines
from mmdet_ltnorm.evaluation.detections import image_detections
from mmdet_ltnorm.evaluation.lvis_annotations import LVISAnnotations

IOU_TYPES = ("bbox", "segm")


def test_a_score_of_a_subset_of_the_images_is_warned_of(tmp_path, monkeypatch):
    content, samples = random_set(1)
    lines = []
    monkeypatch.setattr(lvis, "print_log", lambda text, logger, level: lines.append((text, level)))
    evaluate(content, samples[:4], tmp_path)
    evaluate(content, samples, tmp_path)
    assert "evaluated on 4 of 6 images" in lines[0][0] and lines[0][1] == logging.WARNING
    assert "evaluated on 6 of 6 images" in lines[1][0] and lines[1][1] == logging.INFO


def test_takes_what_mmdet_models_return(tmp_path):
    content, samples = random_set(4)
    wrapped = [
        DetDataSample(
            metainfo=dict(img_id=sample["img_id"], ori_shape=sample["ori_shape"]),
            pred_instances=InstanceData(**sample["pred_instances"]),
        )
        for sample in samples
    ]
    scores = evaluate(content, wrapped, tmp_path)
    assert scores == pytest.approx(evaluate(content, samples, tmp_path), abs=0, nan_ok=True)


def test_encoded_masks_score_as_bitmaps_do(tmp_path):
    content, samples = random_set(4)
    expected = evaluate(content, samples, tmp_path)
    for sample, as_text in zip(samples, [False, True] * 3, strict=True):
        masks = sample["pred_instances"]["masks"].numpy().astype(np.uint8)
        rles = [mask_utils.encode(np.asfortranarray(mask)) for mask in masks]
        if as_text:
            rles = [rle | dict(counts=rle["counts"].decode()) for rle in rles]
        sample["pred_instances"]["masks"] = rles
    assert evaluate(content, samples, tmp_path) == pytest.approx(expected, abs=0, nan_ok=True)


@pytest.mark.parametrize("kind", [torch.as_tensor, np.asarray, lambda x: x.astype(np.uint8)])
def test_bitmaps_of_any_kind_are_kept_as_the_same_pixels(kind):
    masks = np.random.default_rng(0).random((3, 5, 7)) < [[[0.5]], [[0.0]], [[1.0]]]
    prediction = dict(scores=np.ones(3), labels=np.arange(3), bboxes=np.zeros((3, 4)))
    prediction["masks"] = kind(masks)
    kept = image_detections(prediction, 1, (5, 7), np.array([0, 1, 2]), 300, True)
    for rle, mask in zip(kept.rle, masks, strict=True):
        assert (mask_utils.decode(dict(size=kept.size, counts=rle)) == mask).all()


def test_the_number_of_threads_changes_no_score(tmp_path, monkeypatch):
    content, samples = random_set(2)
    scores = []
    for threads in (1, 4):
        monkeypatch.setattr(lvis_engines, "_ALL_CORES", threads)
        scores.append(evaluate(content, samples, tmp_path))
    assert scores[0] == pytest.approx(scores[1], abs=0, nan_ok=True)


def test_an_image_that_a_sampler_repeats_counts_once(tmp_path):
    content, samples = random_set(1)
    expected = evaluate(content, samples, tmp_path)
    repeated = samples[2:] + samples[:4]
    assert evaluate(content, repeated, tmp_path) == pytest.approx(expected, abs=0, nan_ok=True)


def _evaluate_on_a_rank(rank, folder):
    os.chdir(folder)  # mmengine gathers through a folder in the working directory.
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    content, samples = random_set(1)
    mine = list(DefaultSampler(samples[:5], shuffle=False))
    (folder / f"{rank}").mkdir()
    scores = evaluate(content, [samples[i] for i in mine], folder / f"{rank}", fixed_ap=True)
    (folder / f"scores_{rank}.json").write_text(json.dumps([mine, scores]))
    torch.distributed.destroy_process_group()


def test_two_processes_score_as_one_does(tmp_path):
    on_two_ranks(_evaluate_on_a_rank, tmp_path)
    shares, scores = zip(
        *(json.loads((tmp_path / f"scores_{rank}.json").read_text()) for rank in range(2)),
        strict=True,
    )
    assert shares == ([0, 2, 4], [1, 3, 0]), "the sampler should repeat an image"
    content, samples = random_set(1)
    expected = evaluate(content, samples[:5], tmp_path, fixed_ap=True)
    for score in scores:
        assert score == pytest.approx(expected, abs=0, nan_ok=True)


def test_only_masks_that_can_count_are_kept_and_none_as_a_bitmap(tmp_path):
    content, samples = random_set(0)
    metric = LTLVISMetric(write(content, tmp_path))
    metric.process(None, samples)
    category_ids = [category["id"] for category in content["categories"]]
    for image, kept in zip(content["images"], metric.results, strict=True):
        here = {a["category_id"] for a in content["annotations"] if a["image_id"] == image["id"]}
        labels = kept.label[kept.counted]
        assert len(kept.score) <= 300
        assert {category_ids[i] for i in labels} <= here.union(image["neg_category_ids"])
        assert len(kept.rle) == len(labels) and all(type(rle) is bytes for rle in kept.rle)


def test_reading_annotations_needs_no_room_for_the_polygons(tmp_path):
    content, _ = random_set(0)
    for annotation in content["annotations"]:
        annotation["segmentation"] = [[0.5 + i for i in range(20_000)]]
    path = write(content, tmp_path)
    tracemalloc.start()
    LVISAnnotations(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * os.path.getsize(path)  # The file as bytes, as text, and one polygon.


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_the_table_of_classes_holds_what_the_averages_come_from(suffix, tmp_path):
    content, samples = random_set(5)
    path = tmp_path / "tables" / f"classes{suffix}"
    scores = evaluate(content, samples, tmp_path, per_class_file=str(path))
    if suffix == ".json":
        rows = json.loads(path.read_text())
    else:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    assert [int(row["id"]) for row in rows] == sorted(c["id"] for c in content["categories"])
    by_id = {category["id"]: category for category in content["categories"]}
    for row in rows:
        category = by_id[int(row["id"])]
        assert [row["name"], row["frequency"]] == [category["name"], category["frequency"]]
        assert int(row["train_images"]) == category["image_count"]
        objects = [a for a in content["annotations"] if a["category_id"] == category["id"]]
        assert int(row["objects"]) == len(objects)
        assert (row["bbox_AP"] in (None, "")) == (not objects)
    for name, key in [("AP", "AP"), ("AP50", "AP50"), ("AR", "AR@300")]:
        for iou_type in IOU_TYPES:
            values = [row[f"{iou_type}_{name}"] for row in rows]
            mean = np.mean([float(value) for value in values if value not in (None, "")])
            assert mean == pytest.approx(scores[f"lvis/{iou_type}_{key}"], abs=1e-12)


def test_one_kind_of_score_needs_no_masks(tmp_path):
    content, samples = random_set(1)
    both = evaluate(content, samples, tmp_path)
    for sample in samples:
        del sample["pred_instances"]["masks"]
    scores = evaluate(content, samples, tmp_path, metric="bbox")
    assert scores == {key: value for key, value in both.items() if "bbox" in key}
    with pytest.raises(ValueError, match="'segm' needs masks.*'bboxes', 'labels', 'scores'"):
        evaluate(content, samples, tmp_path)


def test_a_set_of_classes_of_another_size_is_refused_before_the_first_image(tmp_path):
    content, _ = random_set(0)
    metric = LTLVISMetric(write(content, tmp_path))
    names = [category["name"] for category in content["categories"]]
    with pytest.raises(ValueError, match="val.json has 7 categories, and .* names 5 classes"):
        metric.dataset_meta = dict(classes=names[:5])
    with pytest.raises(ValueError, match=r"in another order: label 0 is 'c\d+' there"):
        metric.dataset_meta = dict(classes=names[::-1])
    metric.dataset_meta = dict(classes=names)


def test_an_image_of_another_size_than_annotated_is_refused_for_boxes_too(tmp_path):
    content, samples = random_set(0)
    samples[0] |= dict(img_path="turned.jpg", ori_shape=samples[0]["ori_shape"][::-1])
    with pytest.raises(ValueError, match="turned.jpg is .*color_type='color_ignore_orientation'"):
        evaluate(content, samples, tmp_path, metric="bbox")


def changed(name, value):
    def change(sample):
        sample["pred_instances"][name] = value(sample["pred_instances"][name])

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed("labels", lambda x: x * 0 + 7), "label 7 in image .*expected 0 to 6.*num_classes"),
        (changed("labels", lambda x: x - 9), "expected 0 to 6"),
        (changed("scores", lambda x: x * math.nan), "not finite"),
        (changed("bboxes", lambda x: x / 0), "not finite"),
        (changed("masks", lambda x: x[:, 1:]), r"masks of image .*its annotation says \("),
        (lambda sample: sample.update(img_id=1), "image 1 is not in .*val.json"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(change, message, tmp_path):
    content, samples = random_set(0)
    sample = max(samples, key=lambda s: len(s["pred_instances"]["scores"]))
    change(sample)
    with pytest.raises(ValueError, match=message):
        evaluate(content, [sample], tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(metric="proposal"), "metric must be 'bbox', 'segm' or both, got 'proposal'"),
        (dict(metric=()), "metric must be"),
        (dict(engine="coco"), r"engine must be one of \['vernier', 'lvis'\], got 'coco'"),
        (dict(per_class_file="classes.txt"), "must end in .json or .csv, got 'classes.txt'"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        LTLVISMetric(write(random_set(0)[0], tmp_path), **options)


def test_a_file_that_is_not_in_the_format_of_lvis_is_refused(tmp_path):
    content, _ = random_set(0)
    del content["images"][0]["neg_category_ids"]
    with pytest.raises(ValueError, match="not LVIS v1's: images without 'neg_category_ids'"):
        LTLVISMetric(write(content, tmp_path))
    with pytest.raises(ValueError, match="expected images, annotations and categories"):
        LTLVISMetric(write(dict(images=[]), tmp_path))


def test_no_image_at_all_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no image was evaluated"):
        LTLVISMetric(write(random_set(0)[0], tmp_path)).evaluate(0)


def test_a_missing_or_other_vernier_is_named_before_training(tmp_path, monkeypatch):
    import vernier

    path = write(random_set(0)[0], tmp_path)
    monkeypatch.setattr(vernier, "__version__", "0.6.0")
    with pytest.raises(ImportError, match="found 0.6.0: pip install vernier==0.5.4"):
        LTLVISMetric(path)
    for name, line in [("vernier", f"vernier=={lvis_engines.VERNIER_VERSION}"), ("lvis", "lvis")]:
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ImportError, match=f"pip install {line}"):
            LTLVISMetric(path, engine=name)
