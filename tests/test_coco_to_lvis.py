"""A COCO-format data set gets LVIS's fields, is scored by frequency, and odd files are refused."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmdet_ltnorm.data.coco_to_lvis import coco_to_lvis
from mmdet_ltnorm.evaluation import LTLVISMetric

TOOL = Path(__file__).parents[1] / "tools" / "coco_to_lvis.py"
NAMES = {7: "cat", 3: "dog", 5: "owl"}


def write(path, shown, crowds=(), names=NAMES):
    """Write a file in which image i shows the categories shown[i]; objects of `crowds` are one."""
    images = [
        {"id": i, "file_name": f"{i}.png", "width": 64, "height": 64} for i in range(len(shown))
    ]
    notes = [
        {"image_id": i, "category_id": category, "bbox": [20 * k, 0, 16, 16], "area": 256}
        | {"iscrowd": int((i, category) in crowds)}
        for i, categories in enumerate(shown)
        for k, category in enumerate(categories)
    ]
    for number, note in enumerate(notes, 1):
        note["id"] = number
    categories = [{"id": key, "name": name} for key, name in names.items()]
    content = {"images": images, "annotations": notes, "categories": categories}
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def files(tmp_path):
    train = write(tmp_path / "train.json", [[7, 7, 3], [7], [7, 5], [7], []])
    val = write(tmp_path / "val.json", [[7, 3], [5], [3]], crowds=[(0, 3)])
    return train, val


def test_counts_and_absent_categories_are_added(files, tmp_path):
    coco_to_lvis(files[0], files[1:], tmp_path / "lvis", (1, 3))
    train, val = (json.loads((tmp_path / "lvis" / file.name).read_text()) for file in files)
    found = [tuple(category.values()) for category in train["categories"]]
    assert found == [(7, "cat", 4, 5, "f"), (3, "dog", 1, 1, "r"), (5, "owl", 1, 1, "r")]
    assert val["categories"] == train["categories"]
    assert [image["neg_category_ids"] for image in val["images"]] == [[5], [7, 3], [7, 5]]
    assert [image["not_exhaustive_category_ids"] for image in val["images"]] == [[3], [], []]
    assert [note["category_id"] for note in val["annotations"]] == [7, 5, 3]
    assert len(train["annotations"]) == 7


def test_perfect_detections_score_one_in_every_group_and_a_crowd_costs_nothing(files, tmp_path):
    coco_to_lvis(files[0], files[1:], tmp_path / "lvis", (1, 3))
    metric = LTLVISMetric(str(tmp_path / "lvis" / "val.json"), metric="bbox")
    labels = {0: [0, 1], 1: [2], 2: [1]}  # the dog of image 0 is a crowd
    for image, found in labels.items():
        boxes = torch.tensor([[20.0 * k, 0, 20.0 * k + 16, 16] for k in range(len(found))])
        scores = torch.full((len(found),), 0.9)
        instances = dict(bboxes=boxes, labels=torch.tensor(found), scores=scores)
        metric.process(None, [dict(img_id=image, pred_instances=instances)])
    scores = metric.evaluate(3)
    assert scores["lvis/bbox_APr"] == scores["lvis/bbox_APf"] == pytest.approx(1)
    assert np.isnan(scores["lvis/bbox_APc"])


def test_files_that_do_not_belong_together_are_refused(files, tmp_path):
    other = write(tmp_path / "other.json", [[7]], names={7: "cat"})
    with pytest.raises(ValueError, match=r"other.json has other categories .* than .*train.json"):
        coco_to_lvis(files[0], [other], tmp_path / "lvis")
    with pytest.raises(ValueError, match="holds train.json itself: write to another folder"):
        coco_to_lvis(files[0], [], tmp_path)
    other.write_text("[]")
    with pytest.raises(ValueError, match=r"expected images, .* got list"):
        coco_to_lvis(other, [], tmp_path / "lvis")
    assert not (tmp_path / "lvis").exists()


def test_the_tool_prints_the_classes_for_the_config(files, tmp_path, monkeypatch, capsys):
    arguments = [*map(str, files), "--out", str(tmp_path / "lvis"), "--limits", "1", "3"]
    monkeypatch.setattr(sys, "argv", ["coco_to_lvis.py", *arguments])
    runpy.run_path(str(TOOL), run_name="__main__")
    printed = capsys.readouterr().out
    assert "classes = ['cat', 'dog', 'owl']" in printed and "num_classes = 3" in printed
    monkeypatch.setattr(sys, "argv", ["coco_to_lvis.py", "none.json", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="none.json"):
        runpy.run_path(str(TOOL), run_name="__main__")
