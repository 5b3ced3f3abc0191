"""Data looked at before training: what is counted, found and drawn, and the status for scripts."""

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from coco_files import NAMES, coco, write
from mmengine.config import Config

from mmdet_ltnorm.data.coco_to_lvis import coco_to_lvis
from mmdet_ltnorm.data_check import check_data

TOOL = Path(__file__).parents[1] / "tools" / "check_data.py"
DETECTION = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True)]


def picture(path, number, size=(64, 64)):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).integers(0, 255, (*size, 3), dtype=np.uint8)
    assert cv2.imwrite(str(path), noise)


@pytest.fixture
def folders(tmp_path):
    """A config of image folders: 25 cats and 3 dogs to train, 2 of each to test."""
    numbers = iter(range(1000))
    for split, counts in {"train": (25, 3), "test": (2, 2)}.items():
        for name, count in zip(("cat", "dog"), counts, strict=True):
            for index in range(count):
                picture(tmp_path / split / name / f"{index}.png", next(numbers), (12, 16))
    loaders = {
        split: dict(dataset=dict(type="ImageFolder", data_root=str(tmp_path / split), pipeline=[]))
        for split in ("train", "test")
    }
    return Config(
        dict(
            model=dict(type="ImageClassifier", head=dict(num_classes=2)),
            train_dataloader=loaders["train"],
            val_dataloader=loaders["test"],
            test_dataloader=loaders["test"],
            val_evaluator=dict(type="GroupAccuracy"),
        )
    )


@pytest.fixture
def boxes(tmp_path):
    """A config of COCO-format files with LVIS's fields: 6 images to train, 4 to score on."""
    parts = {}
    for split, images in {"train": 6, "val": 4}.items():
        write(tmp_path / f"{split}.json", coco(images=images))
        for index in range(1, images + 1):
            picture(tmp_path / split / f"{index}.png", index + 100 * (split == "val"))
    files = [tmp_path / f"{split}.json" for split in ("train", "val")]
    coco_to_lvis(files[0], files[1:], tmp_path / "lvis", limits=(2, 4))
    for split in ("train", "val"):
        parts[split] = dict(
            type="CocoDataset",
            ann_file=str(tmp_path / "lvis" / f"{split}.json"),
            data_prefix=dict(img=str(tmp_path / split)),
            metainfo=dict(classes=NAMES),
            pipeline=DETECTION,
        )
    metric = dict(type="LTLVISMetric", ann_file=parts["val"]["ann_file"], metric="bbox")
    return Config(
        dict(
            model=dict(type="FasterRCNN", roi_head=dict(bbox_head=dict(num_classes=3))),
            train_dataloader=dict(dataset=parts["train"]),
            val_dataloader=dict(dataset=parts["val"]),
            val_evaluator=metric,
        )
    )


def found_in(cfg):
    return check_data(cfg).findings


def changed(cfg, loader, change):
    """Change the content of a loader's annotation file."""
    file = Path(cfg[loader].dataset.ann_file)
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_folders_without_fault_are_counted_by_class_and_group(folders, tmp_path):
    found = check_data(folders)
    assert not found.findings.problems and not found.findings.notes
    assert [split.title for split in found.splits] == ["train", "val, test"]
    assert [split.images.tolist() for split in found.splits] == [[25, 3], [2, 2]]
    text = found.text()
    assert f"train: ImageFolder {tmp_path}/train: 28 images, 2 classes" in text
    assert "| cat   | medium | 25            | 2" in text
    assert "classes: many 0, medium 1, few 1" in text and text.endswith("no problem found")


def test_what_a_data_set_says_each_time_that_it_is_built_is_noted_once(folders, tmp_path):
    (tmp_path / "train" / "cat" / "notes.txt").touch()
    folders.model = dict(head=dict(num_classes=2, loss=dict(type="BalancedSoftmaxLoss")))
    (text,) = found_in(folders).notes["train"]
    assert text.endswith("left out: cat/notes.txt")


def test_boxes_without_fault_are_counted_by_class_and_frequency(boxes):
    found = check_data(boxes)
    assert not found.findings.problems and not found.findings.notes
    assert [split.objects.tolist() for split in found.splits] == [[6, 6, 6], [4, 4, 4]]
    assert "18 objects, 0 images without any" in found.text()
    assert "classes: frequent 3, common 0, rare 0" in found.text()


def test_what_is_wrong_with_images_is_named(folders, tmp_path):
    whole = (tmp_path / "train" / "cat" / "0.png").read_bytes()
    (tmp_path / "train" / "cat" / "1.png").write_bytes(b"no image")
    (tmp_path / "train" / "cat" / "2.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "train" / "cat" / "3.png").write_bytes(whole)
    (tmp_path / "train" / "dog" / "0.png").write_bytes(whole)
    (tmp_path / "test" / "cat" / "0.png").write_bytes(whole)
    found = found_in(folders)
    unread = found.problems.pop("train: images that cannot be read")
    assert [text.partition(".png")[0][-5:] for text in unread] == ["cat/1", "cat/2"]
    first = tmp_path / "train" / "cat" / "0.png"
    assert found.notes == {
        "train: images that are there twice": [f"{tmp_path}/train/cat/3.png is {first}"]
    }
    assert found.problems == {
        "train: one image with two labels": [f"{tmp_path}/train/dog/0.png is {first}"],
        "val, test: images that are training images, too": [
            f"{tmp_path}/test/cat/0.png is {first}"
        ],
    }


def test_images_of_another_size_than_annotated_are_named(boxes, tmp_path):
    picture(tmp_path / "val" / "2.png", 7, size=(32, 64))
    (found,) = found_in(boxes).problems["val: images of another size than annotated"]
    assert "val/2.png is 64 x 32 pixels" in found and "for 64 x 64" in found


def test_what_training_would_refuse_is_told_for_every_split(boxes):
    def damaged(content):
        content["annotations"][0]["bbox"] = [1, 2, 3]

    for loader in ("train_dataloader", "val_dataloader"):
        changed(boxes, loader, damaged)
    found = found_in(boxes)
    assert set(found.problems) == {"train", "val"}
    assert all("has bbox=[1, 2, 3], expected four" in text for [text] in found.problems.values())


def test_a_model_for_another_number_of_classes_is_a_problem(boxes, folders):
    boxes.model.roi_head.bbox_head.num_classes = 80
    folders.model.head.num_classes = 3
    (text,) = found_in(boxes).problems["classes"]
    assert "have 3 categories, but the config has model.roi_head.bbox_head.num_classes=80" in text
    (text,) = found_in(folders).problems["classes"]
    assert "train has 2 categories, but the config has model.head.num_classes=3" in text


def test_classes_that_only_one_split_has_are_named(folders, boxes, tmp_path):
    picture(tmp_path / "test" / "eel" / "0.png", 999)
    (text,) = found_in(folders).problems["classes"]
    assert "val, test has 3 categories" in text or "only one of them has ['eel']" in text

    def without_buses(content):
        content["annotations"] = [n for n in content["annotations"] if n["category_id"] != 3]

    changed(boxes, "val_dataloader", without_buses)
    assert found_in(boxes).notes["val: classes without an image"] == ["bus"]


def test_counts_that_are_older_than_the_annotations_are_noted(boxes):
    def one_less(content):
        content["annotations"].pop()

    changed(boxes, "train_dataloader", one_less)
    (found,) = found_in(boxes).notes.values()
    assert found == ["bus: 6 said, 5 counted"]


def test_a_box_that_is_annotated_twice_and_a_metric_that_cannot_score_are_told(boxes, tmp_path):
    def twice(content):
        content["annotations"].append({**content["annotations"][0], "id": 99})

    changed(boxes, "val_dataloader", twice)
    boxes.val_evaluator.ann_file = str(tmp_path / "val.json")
    found = found_in(boxes)
    (text,) = found.notes["val: images in which one box is annotated twice"]
    assert "val/1.png: car [" in text
    assert "is in COCO's format, not LVIS v1's" in found.problems["val: LTLVISMetric"][0]


def test_the_tool_writes_numbers_and_pictures_and_its_status_tells_of_problems(
    boxes, tmp_path, monkeypatch
):
    boxes.dump(tmp_path / "own.py")
    changed(boxes, "train_dataloader", lambda content: content["annotations"][0].update(
        segmentation={"size": [64, 64], "counts": [64, 640, 3392]}))  # fmt: skip
    command = [str(TOOL), str(tmp_path / "own.py"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert ended.value.code == 0
    content = json.loads((tmp_path / "out" / "data.json").read_text())
    assert content["splits"][0]["objects"] == [6, 6, 6] and content["problems"] == {}
    for name in "counts.png", "samples.png":
        assert min(cv2.imread(str(tmp_path / "out" / name)).shape[:2]) > 200
    (tmp_path / "val" / "1.png").unlink()
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert ended.value.code == 1
    monkeypatch.setattr(sys, "argv", [*command, "--without-images"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOL), run_name="__main__")
    assert ended.value.code == 0


def test_a_class_list_of_many_classes_is_cut_short(folders, tmp_path):
    for number in range(50):
        for split in "train", "test":
            folder = tmp_path / split / f"more{number:02}"
            picture(folder / "0.png", 2 * number + 5000 + (split == "test"), (8, 8))
    folders.model.head.num_classes = 52
    text = check_data(folders, with_images=False).text()
    assert "(12 more)" in text and text.count("\n") < 60
