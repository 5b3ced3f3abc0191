"""GroupAccuracy against loops over the samples, on one rank and on two, and what it refuses."""

import csv
import json
import logging
import math
import os

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import Evaluator
from toy_runner import ToyModel, toy_runner

from mmdet_ltnorm.evaluation import GroupAccuracy, group_accuracy

COUNTS = [500, 250, 100, 60, 20, 19, 3, 0]  # 2 many, 3 medium, 3 few


def random_samples(number=60, classes=8, seed=0, balanced=False):
    """Predictions with ties, unsorted indices, and no sample of the last class."""
    draw = np.random.default_rng(seed)
    labels = np.arange(number) % classes if balanced else draw.integers(0, classes - 1, number)
    logits = draw.integers(0, 4, (number, classes)) + np.eye(classes)[labels]
    scores = torch.tensor(logits).softmax(1).float()
    return [
        dict(sample_idx=int(index), pred_score=score, gt_label=torch.tensor([label]))
        for index, score, label in zip(draw.permutation(number), scores, labels, strict=True)
    ]


def evaluate(samples, size=None, batch_size=7, counts=COUNTS, **options):
    evaluator = Evaluator(dict(type="GroupAccuracy", class_counts=counts, **options))
    evaluator.dataset_meta = dict(classes=tuple("abcdefgh"))
    for start in range(0, len(samples), batch_size):
        evaluator.process(samples[start : start + batch_size])
    return evaluator.evaluate(len(samples) if size is None else size)


def reference(samples, counts=COUNTS):
    """The scores, by one obvious loop each."""
    ranked = [np.argsort(-s["pred_score"].numpy(), kind="stable").tolist() for s in samples]
    labels = [s["gt_label"].item() for s in samples]
    per_class = {}
    for label, order in zip(labels, ranked, strict=True):
        per_class.setdefault(label, []).append(order[0] == label)
    groups = {"many": [], "medium": [], "few": []}
    for label, hits in per_class.items():
        n = counts[label]
        name = "many" if n > 100 else "few" if n < 20 else "medium"
        groups[name].append(sum(hits) / len(hits))
    error = 0.0
    for b in range(15):
        inside = [
            (order[0] == label, s["pred_score"].max().item())
            for s, order, label in zip(samples, ranked, labels, strict=True)
            if b / 15 < s["pred_score"].max().item() <= (b + 1) / 15
        ]
        if inside:
            right, confidence = np.mean(inside, axis=0)
            error += len(inside) / len(samples) * abs(right - confidence)
    return {
        "accuracy/all": 100 * np.mean([o[0] == y for o, y in zip(ranked, labels, strict=True)]),
        **{f"accuracy/{k}": 100 * np.mean(v) if v else math.nan for k, v in groups.items()},
        "accuracy/top5": 100 * np.mean([y in o[:5] for o, y in zip(ranked, labels, strict=True)]),
        "accuracy/ece": 100 * error,
    }


@pytest.mark.parametrize("seed", range(5))
def test_equals_loops_over_the_samples(seed):
    samples = random_samples(seed=seed)
    assert evaluate(samples) == pytest.approx(reference(samples), abs=1e-9)


def test_worked_by_hand():
    # Classes of 200, 50 and 5 samples. Right: 2 of 2, 1 of 2, 0 of 1. Confidences 0.8, 0.8, 0.6,
    # 0.6, 0.6: the bin of 0.8 holds 2 right of 2, a gap of 0.2; that of 0.6 holds 1 of 3, a gap of
    # 0.6 - 1/3. ECE = 2/5 * 0.2 + 3/5 * 0.2667 = 0.24.
    rows = [
        ([0.8, 0.1, 0.1], 0),
        ([0.8, 0.1, 0.1], 0),
        ([0.2, 0.6, 0.2], 1),
        ([0.6, 0.2, 0.2], 1),
        ([0.2, 0.6, 0.2], 2),
    ]
    samples = [
        dict(sample_idx=i, pred_score=torch.tensor(score), gt_label=torch.tensor([label]))
        for i, (score, label) in enumerate(rows)
    ]
    assert evaluate(samples, counts=[200, 50, 5]) == pytest.approx(
        {
            "accuracy/all": 60.0,
            "accuracy/many": 100.0,
            "accuracy/medium": 50.0,
            "accuracy/few": 0.0,
            "accuracy/top5": 100.0,
            "accuracy/ece": 24.0,
        },
        abs=1e-4,
    )


def test_on_a_balanced_test_set_groups_are_the_accuracy_of_their_samples():
    samples = random_samples(80, balanced=True)
    scores = evaluate(samples)
    few = [s for s in samples if s["gt_label"].item() >= 5]
    right = [s["pred_score"].argmax().item() == s["gt_label"].item() for s in few]
    assert scores["accuracy/few"] == pytest.approx(100 * np.mean(right))


@pytest.mark.parametrize(
    ("confidence", "right", "expected"),
    [
        ([0.2, 0.2], [True, False], 0.3),  # closed on the right: both in (2/15, 3/15]
        ([1.0, 1.0, 1.0, 1.0], [True] * 4, 0.0),
        ([1.0 + 1e-6], [True], 1e-6),  # float32 rounding above 1
        ([3 / 15, 3 / 15 + 1e-9], [True, False], 0.5),  # two bins: (0.8 + 0.2) / 2
    ],
)
def test_calibration_bins_are_closed_on_the_right(confidence, right, expected):
    error = group_accuracy.calibration_error(np.array(confidence), np.array(right))
    assert error == pytest.approx(expected, abs=1e-7)


def logged(monkeypatch):
    lines = []
    monkeypatch.setattr(
        group_accuracy, "print_log", lambda text, logger, level: lines.append((text, level))
    )
    return lines


def test_an_empty_group_is_nan_in_the_scores_and_not_available_in_the_table(monkeypatch):
    lines = logged(monkeypatch)
    scores = evaluate(random_samples(), counts=[5000] * 7 + [100])  # None is few, h has no sample.
    assert math.isnan(scores["accuracy/few"]) and math.isnan(scores["accuracy/medium"])
    assert scores["accuracy/many"] > 0
    text, level = lines[0]
    rows = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    header = next(row for row in rows if "medium" in row)
    percent = dict(zip(header, next(row for row in rows if "percent" in row), strict=True))
    classes = dict(zip(header, next(row for row in rows if "classes" in row), strict=True))
    assert percent["few"] == percent["medium"] == "n/a"
    assert percent["all"] == f"{scores['accuracy/all']:.2f}"
    assert [classes[name] for name in ("all", "many", "medium", "few")] == ["8", "7", "1", "0"]
    assert "classes (1) without test samples, left out of their group's mean: [7]" in text
    assert level == logging.INFO and "evaluated on 60 of 60 samples" in text


def test_classes_without_test_samples_leave_a_mean_unchanged():
    samples = random_samples()
    expected = evaluate(samples)
    few = [i for i, n in enumerate(COUNTS) if n < 20]
    tested = {s["gt_label"].item() for s in samples}
    assert not tested.issuperset(few)
    assert expected["accuracy/few"] == pytest.approx(reference(samples)["accuracy/few"])


def test_a_sample_that_a_sampler_repeats_counts_once(monkeypatch):
    lines = logged(monkeypatch)
    samples = random_samples()
    expected = evaluate(samples)
    assert evaluate(samples[:9] + samples, size=60, batch_size=1) == expected
    evaluate(samples[:50], size=60)
    assert [level for _, level in lines] == [logging.INFO, logging.INFO, logging.WARNING]
    assert "evaluated on 50 of 60 samples" in lines[2][0]


def _evaluate_on_a_rank(rank, folder):
    os.chdir(folder)  # mmengine gathers through a folder in the working directory.
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    samples = random_samples(17)
    results = []
    for round_up in (True, False):
        mine = list(DefaultSampler(samples, shuffle=False, round_up=round_up))
        results.append([len(mine), evaluate([samples[i] for i in mine], size=17, batch_size=4)])
    (folder / f"results_{rank}.json").write_text(json.dumps(results))
    torch.distributed.destroy_process_group()


def test_two_processes_score_as_one_does_with_and_without_padding(tmp_path):
    torch.multiprocessing.spawn(_evaluate_on_a_rank, (tmp_path,), nprocs=2)
    expected = evaluate(random_samples(17))
    # One sample is repeated; then the second rank has a sample, and a batch, less.
    for rank, shares in enumerate([(9, 9), (9, 8)]):
        for share, (count, scores) in zip(
            shares, json.loads((tmp_path / f"results_{rank}.json").read_text()), strict=True
        ):
            assert count == share and scores == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_the_table_of_classes_holds_what_the_groups_come_from(suffix, tmp_path):
    samples = random_samples()
    path = tmp_path / "tables" / f"classes{suffix}"
    scores = evaluate(samples, per_class_file=str(path))
    if suffix == ".json":
        rows = json.loads(path.read_text())
    else:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list("abcdefgh")
    assert [int(row["train_samples"]) for row in rows] == COUNTS
    assert sum(int(row["test_samples"]) for row in rows) == len(samples)
    assert rows[-1]["accuracy"] in (None, "")
    for group in ("many", "medium", "few"):
        known = [r["accuracy"] for r in rows[:-1] if r["group"] == group]
        assert np.mean([float(v) for v in known]) == pytest.approx(scores[f"accuracy/{group}"])


def test_groups_are_those_of_the_training_set_unless_the_constructor_has_others():
    samples = random_samples()
    metric = GroupAccuracy()
    metric.set_class_counts(COUNTS)
    metric.process(None, samples)
    assert metric.evaluate(60) == pytest.approx(reference(samples))
    other = COUNTS[::-1]
    metric = GroupAccuracy(class_counts=other)
    metric.set_class_counts(COUNTS)
    metric.process(None, samples)
    assert metric.evaluate(60) == pytest.approx(reference(samples, other))


def test_a_sample_is_kept_in_a_few_bytes():
    metric = GroupAccuracy([1] * 1000)
    metric.process(None, random_samples(50, 1000))
    assert sum(kept.nbytes for kept in metric.results) == 50 * 24


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(pred_score=torch.tensor([math.nan] * 8)), "sum is not 1: has the training diverged"),
        (dict(pred_score=torch.arange(8.0)), "does the model predict logits"),
        (dict(pred_score=torch.full((5,), 0.2)), "scores 5 classes and the class counts are of 8"),
        (dict(gt_label=torch.tensor([8])), "labels go from 8 to 8, expected 0 to 7"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        evaluate([random_samples()[0] | change])


def test_unknown_counts_are_an_error_at_the_first_batch():
    with pytest.raises(ValueError, match="does not know the class counts.*ClassCountsHook"):
        GroupAccuracy().process(None, random_samples())


def test_one_index_for_two_samples_is_an_error():
    samples = random_samples()
    other = next(s for s in samples if s["gt_label"] != samples[0]["gt_label"])
    other["sample_idx"] = samples[0]["sample_idx"]
    with pytest.raises(ValueError, match="stands for samples with different labels"):
        evaluate(samples)


def test_no_sample_at_all_is_an_error():
    with pytest.raises(ValueError, match="no sample was evaluated"):
        evaluate([])


def test_a_table_of_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="must end in .json or .csv, got 'classes.txt'"):
        GroupAccuracy(per_class_file="classes.txt")


class SureModel(ToyModel):
    """Says class 0 with certainty."""

    def forward(self, inputs, data_samples, mode="tensor"):
        if mode == "loss":
            return super().forward(inputs, data_samples, mode)
        score, label = torch.tensor([1.0, 0.0]), torch.tensor([0])
        return [dict(sample_idx=int(i), pred_score=score, gt_label=label) for i in data_samples]


@pytest.mark.parametrize("key", ["auto", "accuracy/all", "accuracy/few"])
def test_a_run_with_an_empty_group_logs_saves_and_ends(key, tmp_path):
    runner = toy_runner(
        tmp_path,
        SureModel(),
        val_evaluator=[GroupAccuracy(class_counts=[500, 50])],
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1, save_best=key)),
        visualizer=dict(
            type="Visualizer",
            vis_backends=[dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")],
        ),
    )
    runner.train()
    best = list(tmp_path.glob("best_*"))
    assert bool(best) == (key != "accuracy/few"), "NaN is never the best"
    lines = next(tmp_path.glob("*/vis_data/scalars.json")).read_text().splitlines()
    last = json.loads(lines[-1])
    assert last["accuracy/all"] == 100 and math.isnan(last["accuracy/few"])
