"""GroupAccuracy in runs: repeated samples, two ranks, empty groups, and the tables it writes."""

import csv
import json
import logging
import math
import os

import numpy as np
import pytest
import torch
from group_accuracy_cases import COUNTS, evaluate, random_samples
from mmengine.dataset import DefaultSampler
from ranks import on_two_ranks
from toy_runner import ToyModel, toy_runner

from mmdet_ltnorm.evaluation import GroupAccuracy, group_accuracy


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
    on_two_ranks(_evaluate_on_a_rank, tmp_path)
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


def test_a_table_of_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="must end in .json or .csv, got 'classes.txt'"):
        GroupAccuracy(per_class_file="classes.txt")


class SureModel(ToyModel):
    """A model that predicts class 0 with certainty."""

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
