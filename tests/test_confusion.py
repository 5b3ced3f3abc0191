"""Confusion matrices, and each class's score against its number of training samples."""

import numpy as np
import pytest
import torch
from analysis_cases import (
    CLASSES,
    COUNTS,
    GROUPS,
    class_accuracy,
    classifier,
    loader,
    reference_features,
)

from mmdet_ltnorm.analysis.class_scores import (
    check_same_classes,
    class_scores_table,
    draw_class_scores,
    read_class_scores,
    scores_from_confusion,
)
from mmdet_ltnorm.analysis.confusion import confusion_matrix, draw_confusion, most_confused_pair
from mmdet_ltnorm.evaluation.lvis_report import write_classes


def test_the_matrix_counts_every_sample_once():
    model = classifier()
    features, labels = reference_features(model)
    with torch.no_grad():
        predicted = model.head(torch.from_numpy(features)).argmax(1).numpy()
    expected = np.zeros((CLASSES, CLASSES), int)
    for label, guess in zip(labels, predicted, strict=True):
        expected[label, guess] += 1
    matrix = confusion_matrix(model, loader(13))
    np.testing.assert_array_equal(matrix, expected)
    scores = scores_from_confusion(matrix, np.array(COUNTS), GROUPS)
    np.testing.assert_allclose(scores.score, class_accuracy(predicted, labels))


def test_the_most_confused_pair_is_the_largest_share_of_a_tail_class():
    matrix = np.zeros((5, 5), int)
    matrix[3] = [6, 0, 0, 14, 0]  # 30 % as class 0
    matrix[4] = [0, 4, 5, 0, 1]  # 40 % as class 1; class 2 is no head class
    assert most_confused_pair(matrix, GROUPS) == (4, 1)


def test_a_pair_needs_both_groups():
    with pytest.raises(ValueError, match=r"no class is in a group 'all'.*few \(2\)"):
        most_confused_pair(np.eye(5, dtype=int), GROUPS, head="all")


def test_both_pictures_are_drawn_with_an_untested_class(tmp_path):
    matrix = np.diag([9, 8, 7, 6, 0])
    scores = {"CE": [scores_from_confusion(matrix, np.array(COUNTS), GROUPS)]}
    assert np.isnan(scores["CE"][0].score[4])
    draw_confusion({"CE": matrix}, np.array(COUNTS), GROUPS, "abcde", tmp_path / "a.png")
    draw_class_scores(scores, tmp_path / "b.png")
    for name in "ab":
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


NAMES = ['a\nb, "c"', "$x_1$|<b>\u2028", "\u732b"]
CLASSIFIER = [
    dict(label=0, name="a", group="many", train_samples=200, test_samples=5, accuracy=80.0),
    dict(label=1, name="b", group="few", train_samples=0, test_samples=5, accuracy=20.0),
    dict(label=2, name="c", group="few", train_samples=9, test_samples=0, accuracy=float("nan")),
]
DETECTOR = [
    dict(id=1, name="a", frequency="f", train_images=200, objects=5, bbox_AP=0.5, segm_AP=0.4),
    dict(
        id=2, name="b", frequency="r", train_images=3, objects=0, bbox_AP=0.1, segm_AP=float("nan")
    ),
]


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_scores_come_from_the_metrics_own_files(tmp_path, suffix):
    write_classes(CLASSIFIER, tmp_path / f"a{suffix}")
    found = read_class_scores(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(found.score, [80, 20, np.nan])
    np.testing.assert_array_equal(found.counts, [200, 0, 9])
    assert found.measure == "accuracy" and found.groups["few"].tolist() == [1, 2]
    write_classes(DETECTOR, tmp_path / f"b{suffix}")
    found = read_class_scores(tmp_path / f"b{suffix}")
    np.testing.assert_allclose(found.score, [40, np.nan])
    assert found.measure == "mask AP" and found.groups["rare"].tolist() == [1]
    write_classes(
        [{k: v for k, v in row.items() if k != "segm_AP"} for row in DETECTOR], tmp_path / "c.csv"
    )
    assert read_class_scores(tmp_path / "c.csv").measure == "box AP"


def test_the_table_shows_group_means_over_tested_classes(tmp_path):
    write_classes(CLASSIFIER, tmp_path / "a.csv")
    header, (row,) = class_scores_table({"CE": [read_class_scores(tmp_path / "a.csv")]})
    assert header == ["mean accuracy", "all classes", "many", "few"]
    assert row == ["CE", "50.0", "80.0", "20.0"]
    draw_class_scores({"CE": [read_class_scores(tmp_path / "a.csv")]}, tmp_path / "a.png")


def test_another_file_is_refused_with_the_columns_it_has(tmp_path):
    (tmp_path / "x.csv").write_text("name,score\na,1\n")
    with pytest.raises(ValueError, match=r"x\.csv is no per_class_file .* got name, score"):
        read_class_scores(tmp_path / "x.csv")
    for name in ("x.pkl", "x.json", "x.yml"):
        (tmp_path / name).write_bytes(b"\x80\x04not text")
        with pytest.raises(ValueError, match=f"{name}, line 1: byte 0x80 is not UTF-8"):
            read_class_scores(tmp_path / name)


def test_scores_of_other_classes_training_sets_or_measures_are_not_compared(tmp_path):
    write_classes(CLASSIFIER, tmp_path / "a.csv")
    found = {"a": read_class_scores(tmp_path / "a.csv")}
    others = {
        "classes or test sets": [row | dict(name="x") for row in CLASSIFIER],
        "training data": [row | dict(train_samples=7) for row in CLASSIFIER],
        "measures and classes or test sets and training data": DETECTOR,
    }
    for differing, rows in others.items():
        write_classes(rows, tmp_path / "b.csv")
        with pytest.raises(ValueError, match=f"a and b are scores of other {differing}, which"):
            check_same_classes({**found, "b": read_class_scores(tmp_path / "b.csv")})
    write_classes([row | dict(accuracy=1.0) for row in CLASSIFIER], tmp_path / "b.csv")
    check_same_classes({**found, "b": read_class_scores(tmp_path / "b.csv")})


def test_names_survive_the_file_whatever_is_in_them(tmp_path):
    rows = [row | dict(name=name) for row, name in zip(CLASSIFIER, NAMES, strict=True)]
    for suffix in (".csv", ".json"):
        write_classes(rows, tmp_path / f"a{suffix}")
        found = read_class_scores(tmp_path / f"a{suffix}").tested
        assert [name for name, _ in found] == NAMES
