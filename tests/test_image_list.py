"""List files: what is read, what is checked, and which image an error names."""

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdet_ltnorm.data.image_list import (
    ImageFolder,
    ImageList,
    ImageNetLT,
    INaturalist18,
    PlacesLT,
    inat_lines,
)

LOAD = [dict(type="LoadImageFromFile")]
TOOL = Path(__file__).parents[1] / "tools" / "make_inat_lists.py"


def write_list(root, lines, name="list.txt", images=1):
    """A list file, and the first images in it as pictures of their line number."""
    (root / name).write_text("".join(f"{line}\n" for line in lines))
    for number, line in enumerate(lines[:images]):
        path = root / line.rpartition(" ")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((6, 8, 3), number, np.uint8))


def test_a_list_gives_paths_labels_and_counts(tmp_path):
    lines = ["a/1.png 2", "a b/2.png 0", "a/3.png 2"]
    write_list(tmp_path, lines, images=3)
    dataset = ImageList("list.txt", num_classes=4, data_root=str(tmp_path), pipeline=LOAD)
    assert dataset.get_labels().tolist() == [2, 0, 2] and dataset.class_counts == [1, 0, 2, 0]
    assert dataset.metainfo["classes"] == ("0", "1", "2", "3")
    item = dataset[1]
    assert item["img_path"] == str(tmp_path / "a b" / "2.png") and item["gt_label"] == 0
    assert item["img"].shape == (6, 8, 3) and (item["img"] == 1).all()


def test_classes_can_be_named_by_a_file(tmp_path):
    write_list(tmp_path, ["1.png 1"])
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    metainfo = dict(classes=str(tmp_path / "names.txt"))
    options = dict(data_root=str(tmp_path), metainfo=metainfo)
    assert ImageList("list.txt", num_classes=2, **options).metainfo["classes"] == ["cat", "dog"]
    with pytest.raises(ValueError, match="2 classes are named, num_classes is 3"):
        ImageList("list.txt", num_classes=3, **options)


def test_folders_are_classes_in_sorted_order_and_may_be_empty(tmp_path):
    images = ["n02/b.JPEG", "n02/a.JPEG", "n01/c.JPEG"]
    write_list(tmp_path, [f"{image} 0" for image in images], images=3)
    (tmp_path / "n03").mkdir()
    dataset = ImageFolder(data_root=str(tmp_path), pipeline=LOAD)
    assert dataset.metainfo["classes"] == ("n01", "n02", "n03")
    assert dataset.class_counts == [1, 2, 0] and dataset.get_labels().tolist() == [0, 1, 1]
    paths = [dataset.get_data_info(index)["img_path"] for index in range(3)]
    assert paths == [str(tmp_path / image) for image in sorted(images)]
    assert (dataset[1]["img"] == 1).all()  # JPEG keeps a single colour
    (tmp_path / "n02" / "a.JPEG").write_bytes(b"no image")
    with pytest.raises(RuntimeError, match=r"image .*a.JPEG cannot be loaded"):
        dataset[1]


def test_a_folder_without_classes_is_refused(tmp_path):
    (tmp_path / "n01").mkdir()
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} has no folders with images"):
        ImageFolder(data_root=str(tmp_path))
    with pytest.raises(FileNotFoundError, match="the folder .*nowhere does not exist"):
        ImageFolder(data_root=str(tmp_path / "nowhere"))


def test_named_classes_number_the_folders_and_hidden_files_are_left_out(tmp_path):
    for name in "dog/1.png", "cat/1.png", "cat/.DS_Store", ".cache/1.png":
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert ImageFolder(data_root=str(tmp_path)).metainfo["classes"] == ("cat", "dog")
    named = dict(classes=("dog", "bird", "cat"))
    dataset = ImageFolder(data_root=str(tmp_path), metainfo=named)
    assert dataset.class_counts == [1, 0, 1] and dataset.get_labels().tolist() == [0, 2]
    with pytest.raises(ValueError, match=r"classes do not name: \['cat'\]"):
        ImageFolder(data_root=str(tmp_path), metainfo=dict(classes=("dog", "bird")))


@pytest.mark.parametrize("line", ["no_label.png", "1.png x", "1.png -1", "1.png 3", "", " 1"])
def test_a_line_that_is_no_path_and_label_is_shown(tmp_path, line):
    write_list(tmp_path, ["0.png 0", line])
    with pytest.raises(ValueError, match=r"line 2 of .*list.txt is .*a label from 0 to 2"):
        ImageList("list.txt", num_classes=3, data_root=str(tmp_path))


def test_missing_lists_and_a_wrong_data_root_are_noticed_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match="list .*list.txt does not exist"):
        ImageList("list.txt", num_classes=3, data_root=str(tmp_path))
    write_list(tmp_path, ["train/0.png 0"], images=0)
    with pytest.raises(FileNotFoundError, match=r"train/0.png, the first image .* data_root='"):
        ImageList("list.txt", num_classes=3, data_root=str(tmp_path))
    write_list(tmp_path, [])
    with pytest.raises(ValueError, match="list.txt is empty"):
        ImageList("list.txt", num_classes=3, data_root=str(tmp_path))


@pytest.mark.parametrize("content", [None, b"", b"no image"])
def test_missing_empty_and_broken_images_are_named(tmp_path, content):
    write_list(tmp_path, ["0.png 0", "bad.jpg 1"])
    if content is not None:
        (tmp_path / "bad.jpg").write_bytes(content)
    dataset = ImageList("list.txt", num_classes=2, data_root=str(tmp_path), pipeline=LOAD)
    with pytest.raises(RuntimeError, match=r"image .*bad.jpg cannot be loaded"):
        dataset[1]


@pytest.mark.parametrize(
    ("dataset", "split", "name", "total", "first"),
    [
        (ImageNetLT, "train", "ImageNet_LT_train.txt", 115_846, "train/n01440764/n_1.JPEG"),
        (ImageNetLT, "val", "ImageNet_LT_val.txt", 20_000, "train/n01440764/n_2.JPEG"),
        (ImageNetLT, "test", "ImageNet_LT_test.txt", 50_000, "val/n01440764/I_3.JPEG"),
        (PlacesLT, "train", "Places_LT_train.txt", 62_500, "train/airfield/00004851.jpg"),
        (PlacesLT, "train", "Places_LT_train.txt", 62_500, "data_256/a/airfield/00004851.jpg"),
        (PlacesLT, "val", "Places_LT_val.txt", 7_300, "train/airfield/00002049.jpg"),
        (PlacesLT, "test", "Places_LT_test.txt", 36_500, "val_256/Places365_val_00003597.jpg"),
        (INaturalist18, "val", "iNaturalist18_val.txt", 24_426, "train_val2018/Plantae/1/3.jpg"),
        (INaturalist18, "train", "iNaturalist18_train.txt", 437_513, "train_val2018/A/2/4.jpg"),
    ],
)
def test_published_lists_are_checked_against_their_length(
    tmp_path, dataset, split, name, total, first
):
    write_list(tmp_path, [f"{first} 0"], name)
    expected = rf"{name} has 1 lines, the published {split} list .* has {total}\. .*'ImageList'"
    with pytest.raises(ValueError, match=expected):
        dataset(split=split, data_root=str(tmp_path))
    if total > 40_000:
        return  # the lengths are read above; making the longer lists takes time
    write_list(tmp_path, [f"{first} 0"] * total, name)
    assert dataset(split=split, data_root=str(tmp_path)).class_counts[0] == total


def test_a_published_list_may_have_another_name_and_no_other_split(tmp_path):
    write_list(tmp_path, ["a/1.jpg 0"] * 7_300, "mine.txt")
    dataset = PlacesLT(split="val", ann_file="mine.txt", data_root=str(tmp_path))
    assert len(dataset.metainfo["classes"]) == 365
    with pytest.raises(ValueError, match=r"one of \['train', 'val'\], got 'test'"):
        INaturalist18(split="test")


def inat_json(image_ids, annotated):
    return json.dumps(
        {
            "images": [{"id": i, "file_name": f"train_val2018/P/{i}.jpg"} for i in image_ids],
            "annotations": [{"id": 90 + i, "image_id": i, "category_id": 7 * i} for i in annotated],
        }
    )


def test_inaturalists_json_becomes_lists_in_the_order_of_its_images(tmp_path, monkeypatch, capsys):
    (tmp_path / "train2018.json").write_text(inat_json([3, 1, 2], [1, 2, 3]))
    (tmp_path / "val2018.json").write_text(inat_json([5], [5]))
    monkeypatch.setattr(sys, "argv", [str(TOOL), str(tmp_path)])
    runpy.run_path(str(TOOL), run_name="__main__")
    assert (tmp_path / "iNaturalist18_train.txt").read_text().splitlines() == [
        "train_val2018/P/3.jpg 21",
        "train_val2018/P/1.jpg 7",
        "train_val2018/P/2.jpg 14",
    ]
    assert "iNaturalist18_val.txt: 1 images" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("image_ids", "annotated", "message"),
    [
        ([1, 2], [1], r"image ids \[2\] are either without"),
        ([1], [1, 2], r"image ids \[2\] are either without"),
        ([1, 2], [1, 2, 2], "of 3 annotations, 1 repeat an image id"),
        ([1, 1], [1], "of 2 images, 1 repeat an image id"),
    ],
)
def test_images_and_annotations_must_pair_off(tmp_path, image_ids, annotated, message):
    (tmp_path / "train2018.json").write_text(inat_json(image_ids, annotated))
    with pytest.raises(ValueError, match=message):
        inat_lines(tmp_path / "train2018.json")


def test_the_tool_says_which_json_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", [str(TOOL), str(tmp_path)])
    with pytest.raises(SystemExit, match="train2018.json"):
        runpy.run_path(str(TOOL), run_name="__main__")
