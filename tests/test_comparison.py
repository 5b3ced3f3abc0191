"""Paired bootstrap: scores of weighted images, intervals, files and the tool."""

import json
import math
import pickle
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lvis_random_sets import evaluate, random_set

from mmdet_ltnorm.comparison import Difference, compare_files, differences_table, paired_bootstrap
from mmdet_ltnorm.comparison.classification import AccuracyScores
from mmdet_ltnorm.comparison.detection import detection_scores
from mmdet_ltnorm.evaluation import GroupAccuracy
from mmdet_ltnorm.evaluation.lvis_annotations import LVISAnnotations

ROOT = Path(__file__).parents[1]
KINDS = {"box": "bbox", "mask": "segm"}
NAMES = ("AP", "APr", "APc", "APf")


def detections(seed, folder, ties=True):
    """Draw a random set and write its results; return both, the file and LTLVISMetric's scores."""
    content, samples = random_set(seed)
    for sample in samples if not ties else []:
        prediction = sample["pred_instances"]
        prediction["scores"] = torch.rand(len(prediction["scores"]))
    path = folder / "results.json"
    scores = evaluate(content, samples, folder, results_file=str(path))
    return content, samples, path, scores


@pytest.mark.parametrize("seed", range(8))
def test_weights_of_one_give_the_metrics_ap(seed, tmp_path):
    content, _, path, scores = detections(seed, tmp_path)
    found = detection_scores(path, LVISAnnotations(tmp_path / "val.json"))
    for kind, iou_type in KINDS.items():
        ours = found[kind](np.ones((1, len(content["images"])), dtype=np.int32))
        for name in NAMES:
            expected = 100 * scores[f"lvis/{iou_type}_{name}"]
            assert ours[name] == pytest.approx([expected], abs=1e-9, nan_ok=True)


def repeated(content, samples, weights):
    """Return a data set with each image repeated as often as its weight says."""
    by_id = {sample["img_id"]: sample for sample in samples}
    images, annotations, copies = [], [], []
    order = sorted(content["images"], key=lambda image: image["id"])
    for image, weight in zip(order, weights, strict=True):
        for copy in range(weight):
            new_id = 100 * image["id"] + copy
            images.append(image | dict(id=new_id))
            copies.append(by_id[image["id"]] | dict(img_id=new_id))
            annotations += [
                a | dict(image_id=new_id)
                for a in content["annotations"]
                if a["image_id"] == image["id"]
            ]
    numbered = [a | dict(id=number) for number, a in enumerate(annotations, start=1)]
    return content | dict(images=images, annotations=numbered), copies


@pytest.mark.parametrize("seed", range(8))
def test_an_image_of_weight_two_counts_as_two_images(seed, tmp_path):
    # Without equal scores in an image, whose order would change with the copies.
    content, samples, path, _ = detections(seed, tmp_path, ties=False)
    found = detection_scores(path, LVISAnnotations(tmp_path / "val.json"))
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(6, [1 / 6] * 6, size=4).astype(np.int32)
    ours = {kind: found[kind](weights) for kind in KINDS}
    (tmp_path / "again").mkdir()
    for row, weight in enumerate(weights):
        scores = evaluate(*repeated(content, samples, weight), tmp_path / "again")
        for kind, iou_type in KINDS.items():
            for name in NAMES:
                expected = 100 * scores[f"lvis/{iou_type}_{name}"]
                assert ours[kind][name][row] == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_results_of_lvis_api_hold_more_than_what_counts(tmp_path):
    # All detections, not sorted, more than 300 in an image: as mmdet's LVISMetric writes them.
    content, samples, path, _ = detections(0, tmp_path)
    entries = []
    for sample in samples:
        prediction = sample["pred_instances"]
        for (x, y, x2, y2), score, label in zip(
            *(prediction[key].double().tolist() for key in ("bboxes", "scores", "labels")),
            strict=True,
        ):
            category_id = content["categories"][int(label)]["id"]
            entry = dict(image_id=sample["img_id"], category_id=category_id, score=score)
            entries.append(entry | dict(bbox=[x, y, x2 - x, y2 - y]))
    assert len(entries) > len(json.loads(path.read_text()))
    path.with_name("all.json").write_text(json.dumps(entries))
    found = compare_files(path.with_name("all.json"), path, str(tmp_path / "val.json"), 100)
    assert list(found) == [f"box {name}" for name in NAMES]
    for name in ("box AP", "box APr", "box APf"):  # no common class has objects
        each = found[name]
        assert (each.first, each.low, each.high) == pytest.approx((each.second, 0, 0), abs=1e-9)


COUNTS = np.array([300, 200, 50, 30, 10, 5, 5, 2])


def classified(tmp_path, seed, name="a.json"):
    """Write random predictions of 400 samples; return the file and their scores."""
    labels = torch.from_numpy(np.random.default_rng(9).integers(7, size=400))  # none of class 7
    noise = torch.rand(400, 8, generator=torch.Generator().manual_seed(seed))
    scores = (3 * noise + torch.nn.functional.one_hot(labels, 8)).softmax(1)
    metric = GroupAccuracy(COUNTS.tolist(), results_file=str(tmp_path / name))
    metric.process(
        None,
        [
            dict(sample_idx=i, gt_label=labels[i, None], pred_score=scores[i])
            for i in reversed(range(400))
        ],
    )
    return tmp_path / name, metric.evaluate(400)


def test_accuracies_are_the_metrics_and_weights_are_repeated_samples(tmp_path):
    (first, one), (second, other) = (classified(tmp_path, s, f"{s}.json") for s in (1, 2))
    found = compare_files(first, second, resamples=100)
    for name, key in {"accuracy": "all", "many": "many", "medium": "medium", "few": "few"}.items():
        expected = one[f"accuracy/{key}"], other[f"accuracy/{key}"]
        assert (found[name].first, found[name].second) == pytest.approx(expected)
    rng = np.random.default_rng(0)
    label, right = rng.integers(8, size=50), rng.random(50) < 0.5
    weights = rng.multinomial(50, [1 / 50] * 50, size=3).astype(np.int32)
    ours = AccuracyScores(label, right, COUNTS)(weights)
    for row, weight in enumerate(weights):
        again = AccuracyScores(label.repeat(weight), right.repeat(weight), COUNTS)
        plain = again(np.ones((1, 50), dtype=np.int32))
        for name, values in ours.items():
            assert values[row] == pytest.approx(plain[name][0])


def accuracy_interval(right_a, right_b, resamples=1000, seed=0):
    label = np.zeros(len(right_a), dtype=np.int64)
    scores = (AccuracyScores(label, right, np.array([7])) for right in (right_a, right_b))
    return paired_bootstrap(*scores, len(label), resamples, seed)["accuracy"]


def test_the_interval_is_that_of_the_normal_law_for_a_mean_of_many():
    rng = np.random.default_rng(0)
    a, b = rng.random(4000) < 0.6, rng.random(4000) < 0.63
    found = accuracy_interval(a, b, resamples=4000)
    gap = 100 * (b.astype(float) - a)
    error = gap.std() / math.sqrt(len(gap))
    assert found.estimate == pytest.approx(gap.mean())
    expected = gap.mean() - 1.96 * error, gap.mean() + 1.96 * error
    assert (found.low, found.high) == pytest.approx(expected, abs=0.1 * error)


def test_what_both_models_find_hard_cancels():
    right = np.random.default_rng(0).random(1000) < 0.6
    better = right.copy()
    better[np.flatnonzero(~right)[:12]] = True
    found = accuracy_interval(right, better)
    assert found.words() == "B is better" and found.high - found.low < 2
    assert accuracy_interval(better, right).words() == "B is worse"
    assert accuracy_interval(right, np.roll(right, 1)).words() == "may be chance"


def test_a_group_without_classes_is_not_measured():
    found = paired_bootstrap(
        *(AccuracyScores(np.zeros(9, int), np.ones(9, bool), np.array([7])) for _ in "ab"), 9, 100
    )
    assert found["many"].words() == "not measured"
    table = differences_table({"many": found["many"], "AP": Difference(25.0, 25.7, 0.1, 1.3)})
    assert [cell.strip() for cell in table.splitlines()[2].split("|")][1:7] == [
        *("many", "n/a", "n/a", "n/a", "n/a to n/a", "not measured")
    ]
    assert "25.0 | 25.7 | +0.70 | +0.10 to +1.30 |  B is better" in table


def test_the_tool_says_what_the_interval_says(tmp_path, monkeypatch, capsys):
    first, second = (str(classified(tmp_path, s, f"{s}.json")[0]) for s in (1, 2))
    monkeypatch.setattr(sys, "argv", ["compare.py", first, second, "--resamples", "100"])
    runpy.run_path(str(ROOT / "tools" / "compare.py"), run_name="__main__")
    assert "may be chance" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["compare.py", first, second, "--resamples", "99"])
    with pytest.raises(SystemExit, match="at least 100 resamples, got 99"):
        runpy.run_path(str(ROOT / "tools" / "compare.py"), run_name="__main__")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([dict(image_id=5, category_id=2, score=1, bbox=[0, 0, 1, 1])], "has image 5, .*val.json"),
        ([dict(image_id=4, category_id=1, score=1, bbox=[0, 0, 1, 1])], "has category 1, the"),
        ([dict(image_id=4, category_id=2, score=1)], "without 'bbox' and entries without 'segm"),
        ([dict(image_id=4, score=1, bbox=[0, 0, 1, 1])], "lvis-api's format: KeyError.*category"),
        ([dict(image_id=4, category_id=2, score=math.nan, bbox=[0, 0, 1, 1])], "not finite"),
        (
            [dict(image_id=4, category_id=2, score=1, segmentation=dict(size=[9, 9], counts=[81]))],
            "lvis-api's format: AttributeError",
        ),
        (
            [dict(image_id=4, category_id=2, score=1, segmentation=dict(size=[9, 9], counts="a1"))],
            r"other.json has a mask of \(height, width\) \(9, 9\) in image 4, .*val.json says",
        ),
        ([dict(image_id=4, category_id=2, score=1, bbox=[0] * 5)], "expected x, y, width and heig"),
        ([dict(image_id=10**30, category_id=2, score=1)], "lvis-api's format: OverflowError"),
        (dict(label=[1]), "one has detections, the other classified samples"),
    ],
)
def test_files_that_do_not_fit_are_refused(content, message, tmp_path):
    _, _, path, _ = detections(0, tmp_path)
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        compare_files(path, other, str(tmp_path / "val.json"))


def test_what_cannot_be_paired_is_refused(tmp_path):
    _, _, path, _ = detections(0, tmp_path)
    with pytest.raises(ValueError, match="give --ann ANNOTATIONS.json"):
        compare_files(path, path)
    boxes, masks = tmp_path / "boxes.json", tmp_path / "masks.json"
    entries = json.loads(path.read_text())
    for file, field in (boxes, "segmentation"), (masks, "bbox"):
        file.write_text(json.dumps([{k: v for k, v in e.items() if k != field} for e in entries]))
    with pytest.raises(ValueError, match="boxes.json has only box, .*masks.json only mask"):
        compare_files(boxes, masks, str(tmp_path / "val.json"))
    first, _ = classified(tmp_path, 1)
    content = json.loads(first.read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content | dict(label=content["label"][::-1])))
    with pytest.raises(ValueError, match="differ in 'label': a paired comparison needs the same"):
        compare_files(first, other)
    other.write_text(json.dumps(content | dict(classes=list("abcdefgh"))))
    with pytest.raises(ValueError, match="differ in 'classes'"):
        compare_files(first, other)
    earlier = {name: value for name, value in content.items() if name != "classes"}
    other.write_text(json.dumps(earlier))
    assert compare_files(first, other, resamples=100)["accuracy"].estimate == 0
    other.write_text(json.dumps(dict(index=[0], label=[0])))
    with pytest.raises(ValueError, match="no results_file of GroupAccuracy: it has no train_sam"):
        compare_files(first, other)


class Touch:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def test_a_pickle_is_refused_and_not_run_whatever_its_name(tmp_path):
    first, _ = classified(tmp_path, 1)
    for name in ("b.pkl", "b.json", "b.yml"):
        (tmp_path / name).write_bytes(pickle.dumps(Touch(tmp_path / "ran")))
        with pytest.raises(ValueError, match=f"{name}, line 1: byte 0x80 is not UTF-8"):
            compare_files(first, tmp_path / name)
    assert not (tmp_path / "ran").exists()
