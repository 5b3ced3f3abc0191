"""A COCO-format data set gets LVIS's fields, is scored by frequency, and odd files are refused."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmdet_ltnorm.data.annotations import read_annotations
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
    with pytest.raises(
        ValueError, match=r"other.json has other categories .* than .*train.json.*dog"
    ):
        coco_to_lvis(files[0], [other], tmp_path / "lvis")
    with pytest.raises(
        ValueError, match="train.json would be written over .*train.json: name another"
    ):
        coco_to_lvis(files[0], [], tmp_path)
    with pytest.raises(ValueError, match=r"must be in this order, got \(30, 10\)"):
        coco_to_lvis(files[0], [], tmp_path / "lvis", (30, 10))
    other.write_text("[]")
    with pytest.raises(ValueError, match=r"expected images, .* got list"):
        coco_to_lvis(other, [], tmp_path / "lvis")
    assert not (tmp_path / "lvis").exists()


def test_files_of_one_name_go_to_folders_of_their_own_and_links_are_seen_through(tmp_path):
    paths = [tmp_path / split / "_annotations.coco.json" for split in ("train", "valid", "TEST")]
    for number, path in enumerate(paths, 2):
        path.parent.mkdir()
        write(path, [[7]] * number)
    coco_to_lvis(paths[0], paths[1:], tmp_path / "lvis")
    for number, path in enumerate(paths, 2):
        found = json.loads((tmp_path / "lvis" / path.parent.name / path.name).read_text())
        assert len(found["images"]) == number
    twice = tmp_path / "train" / ".." / "train" / paths[0].name
    with pytest.raises(ValueError, match="would be written over"):
        coco_to_lvis(paths[0], [twice], tmp_path / "twice")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / paths[0].name).symlink_to(paths[0])
    with pytest.raises(ValueError, match="would be written over .*train"):
        coco_to_lvis(paths[0], [], tmp_path / "out")
    (tmp_path / "linked").symlink_to(tmp_path / "train")
    with pytest.raises(ValueError, match="would be written over .*train"):
        coco_to_lvis(paths[0], [], tmp_path / "linked")


def repaired(file, change):
    """Change a file's content, convert it, check that it can be trained and scored, return it."""
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    out = file.parent / "lvis"
    coco_to_lvis(file, [], out)
    LTLVISMetric(str(out / file.name), metric="bbox")
    read_annotations(str(out / file.name)).check_trainable()
    return json.loads((out / file.name).read_text())


def test_what_has_one_meaning_is_repaired(files):
    def change(content):
        for image in content["images"]:
            image |= {"id": f"cam-{image['id']}", "width": 64.0, "height": "64"}
        for note in content["annotations"]:
            note |= {"image_id": f"cam-{note['image_id']}", "category_id": str(note["category_id"])}
            note |= {"id": 5, "area": None}
        polygon = content["annotations"][0]["segmentation"] = [0, 0, 8, 0, 8, 8, 0, 8]
        content["annotations"][1]["segmentation"] = [polygon, [1, 1]]
        del content["annotations"][1]["bbox"]
        content["annotations"].append({**content["annotations"][2], "image_id": 1})

    found = repaired(files[0], change)
    assert [image["id"] for image in found["images"]] == [1, 2, 3, 4, 5]
    assert found["images"][0]["width"] == found["images"][0]["height"] == 64
    notes = found["annotations"]
    assert [note["id"] for note in notes] == [1, 2, 3, 4, 5, 6, 7]  # without that of no image
    assert [note["category_id"] for note in notes] == [7, 7, 3, 7, 7, 5, 7]
    assert [note["area"] for note in notes[:3]] == [64, 64, 256]  # of outlines, and of a box
    assert notes[0]["segmentation"] == notes[1]["segmentation"] == [[0, 0, 8, 0, 8, 8, 0, 8]]
    assert notes[1]["bbox"] == [0, 0, 8, 8]


def test_the_category_that_roboflow_adds_is_left_out_on_demand(tmp_path, monkeypatch, capsys):
    names = {0: "objects", **NAMES}
    train = write(tmp_path / "train.json", [[7, 3, 5]], names=names)
    val = write(tmp_path / "val.json", [[7, 0]], names=names)
    arguments = ["coco_to_lvis.py", str(train), "--out", str(tmp_path / "lvis")]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(TOOL), run_name="__main__")
    printed = capsys.readouterr().out
    assert "no annotation has the categories 'objects'" in printed and "--drop-unused" in printed
    monkeypatch.setattr(sys, "argv", [*arguments, "--drop-unused"])
    runpy.run_path(str(TOOL), run_name="__main__")
    assert "num_classes = 3\nclasses = ['cat', 'dog', 'owl']" in capsys.readouterr().out
    with pytest.raises(ValueError, match="val.json has annotations of 'objects'"):
        coco_to_lvis(train, [val], tmp_path / "lvis", drop_unused=True)


def test_the_tool_prints_the_classes_for_the_config(files, tmp_path, monkeypatch, capsys):
    arguments = [*map(str, files), "--out", str(tmp_path / "lvis"), "--limits", "1", "3"]
    monkeypatch.setattr(sys, "argv", ["coco_to_lvis.py", *arguments])
    runpy.run_path(str(TOOL), run_name="__main__")
    printed = capsys.readouterr().out
    assert "classes = ['cat', 'dog', 'owl']" in printed and "num_classes = 3" in printed
    monkeypatch.setattr(sys, "argv", ["coco_to_lvis.py", "none.json", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="none.json"):
        runpy.run_path(str(TOOL), run_name="__main__")


def test_the_tools_table_has_one_line_for_each_class_whatever_it_is_called(
    tmp_path, monkeypatch, capsys
):
    train = write(tmp_path / "train.json", [[7]], names={7: "cat\nwith \x1b[31mtail"})
    monkeypatch.setattr(sys, "argv", ["coco_to_lvis.py", str(train), "--out", str(tmp_path / "o")])
    runpy.run_path(str(TOOL), run_name="__main__")
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert printed.splitlines()[1].startswith(r"cat\nwith \x1b[31mtail")
