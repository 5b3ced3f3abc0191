"""Groups of classes by training samples, with the published numbers of classes as oracle."""

import numpy as np
import pytest

from mmdet_ltnorm.class_groups import checked_counts, class_groups, counts_line


def sizes(counts):
    return [len(group) for group in class_groups(counts).values()]


def exponential(classes, most, imbalance):
    return [int(most * imbalance ** (-k / (classes - 1))) for k in range(classes)]


def test_both_limits_are_medium_and_a_class_without_samples_is_few():
    groups = class_groups([101, 100, 20, 19, 0, 5000])
    assert {name: group.tolist() for name, group in groups.items()} == {
        "many": [0, 5],
        "medium": [1, 2],
        "few": [3, 4],
    }


@pytest.mark.parametrize(
    ("counts", "published"),
    [
        (exponential(10, 5000, 10), [10, 0, 0]),
        (exponential(10, 5000, 50), [9, 1, 0]),
        (exponential(10, 5000, 100), [8, 2, 0]),
        (exponential(10, 5000, 200), [7, 3, 0]),
        (exponential(100, 500, 10), [69, 31, 0]),
        (exponential(100, 500, 50), [41, 41, 18]),
        (exponential(100, 500, 100), [35, 35, 30]),
        (exponential(100, 500, 200), [30, 31, 39]),
    ],
)
def test_cifar_lt_has_the_published_groups(counts, published):
    assert sizes(counts) == published


def test_every_class_is_in_exactly_one_group():
    counts = np.random.default_rng(0).integers(0, 200, 500)
    together = np.concatenate(list(class_groups(counts).values()))
    assert sorted(together.tolist()) == list(range(500))


@pytest.mark.parametrize("counts", [[], [0, 0], [3, -1], [1.5, 2.0], [[1, 2]], 7, "12", [True]])
def test_what_cannot_be_counts_is_refused(counts):
    with pytest.raises(ValueError, match="integers >= 0 and not all 0, got"):
        checked_counts(counts)


def test_the_line_of_counts_begins_with_the_most_frequent_class_and_cuts_many_short():
    line = counts_line(["cat", "d\nog", "eel"], [2, 31, 0])
    assert line == r"3 classes with their training images: d\nog 31, cat 2, eel 0"
    line = counts_line([f"c{k}" for k in range(30)], range(30))
    assert "c22 22, (14 more), c7 7" in line and line.endswith("c1 1, c0 0")
