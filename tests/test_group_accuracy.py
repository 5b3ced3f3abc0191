"""GroupAccuracy against loops over the samples, and what it refuses."""

import math

import numpy as np
import pytest
import torch
from group_accuracy_cases import COUNTS, evaluate, random_samples, reference

from mmdet_ltnorm.evaluation import GroupAccuracy, group_accuracy


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


def test_classes_without_test_samples_leave_a_mean_unchanged():
    samples = random_samples()
    expected = evaluate(samples)
    few = [i for i, n in enumerate(COUNTS) if n < 20]
    tested = {s["gt_label"].item() for s in samples}
    assert not tested.issuperset(few)
    assert expected["accuracy/few"] == pytest.approx(reference(samples)["accuracy/few"])


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
