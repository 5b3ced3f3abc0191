"""List files: what is read, what is checked, and which image an error names."""

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from torch.utils.data import DataLoader

from mmdet_ltnorm.data import image_list
from mmdet_ltnorm.data.image_files import ImageError
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
    """Write a list file and its first images, whose colour is their line number."""
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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize(("between", "end"), [(" ", "\r\n"), ("\t", "\n"), ("\t ", " \r\n")])
def test_a_list_that_was_saved_on_windows_is_read(tmp_path, encoding, between, end):
    write_list(tmp_path, ["a b/käse.png 1"])
    lines = ["a b/käse.png", "1"], ["2.png", "0"], ["", ""]
    text = end.join(between.join(line) for line in lines)
    (tmp_path / "list.txt").write_bytes(text.encode(encoding))
    (tmp_path / "names.txt").write_bytes(f"käse{end}brot{end}{end}".encode(encoding))
    dataset = ImageList(
        "list.txt",
        num_classes=2,
        data_root=str(tmp_path),
        pipeline=LOAD,
        metainfo=dict(classes=str(tmp_path / "names.txt")),
    )
    assert dataset[0]["img"].shape == (6, 8, 3)
    assert dataset.get_labels().tolist() == [1, 0]
    assert dataset.metainfo["classes"] == ["käse", "brot"]


def test_a_list_that_is_no_unicode_is_refused_with_its_line(tmp_path):
    (tmp_path / "list.txt").write_bytes("a.png 0\nkäse.png 1\n".encode("latin1"))
    with pytest.raises(ValueError, match=r"list.txt, line 2: byte 0xe4 is not UTF-8"):
        ImageList("list.txt", num_classes=2, data_root=str(tmp_path))


def test_paths_with_backslashes_are_explained(tmp_path):
    write_list(tmp_path, [r"train\0.png 0"], images=0)
    with pytest.raises(FileNotFoundError, match=r"does not exist.* with / in the place of Windows"):
        ImageList("list.txt", num_classes=1, data_root=str(tmp_path))


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("car", "must be a list of names, or a text file .* got 'car', and there is no such file"),
        (["a", "b", "a"], "name number 3 is 'a' again, as number 1 is"),
        (["a", " "], "name number 2 is blank"),
        (7, "must be a list of names, got 7"),
    ],
)
def test_names_that_are_no_class_names_are_refused(tmp_path, classes, message):
    write_list(tmp_path, ["0.png 0"])
    with pytest.raises(ValueError, match=message):
        ImageList("list.txt", 3, data_root=str(tmp_path), metainfo=dict(classes=classes))


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
    with pytest.raises(ImageError, match=r"a.JPEG is not an image .*; leave_out_unreadable=True"):
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


@pytest.mark.parametrize(
    "line",
    [
        *("no_label.png", "1.png x", "1.png -1", "1.png 3", "", " ", " 1", "1.png,1", "1.png 1.0"),
        *(f"1.png {2**40}", f"1.png {'9' * 5000}", "1.png 1 # a comment", "1.png \u00b2"),
    ],
)
def test_a_line_that_is_no_path_and_label_is_shown(tmp_path, line):
    write_list(tmp_path, ["0.png 0", line, "2.png 0"])
    with pytest.raises(ValueError, match=r"line 2 of .*list.txt is .*a label from 0 to 2"):
        ImageList("list.txt", num_classes=3, data_root=str(tmp_path))


def folders_of_images(root):
    """Write three images of class a and two of class b."""
    for name in "a/1.png", "a/2.PNG", "a/3.jpeg", "b/1.png", "b/2.webp":
        (root / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(root / name), np.zeros((6, 8, 3), np.uint8))
    return root


@pytest.mark.parametrize(
    "file",
    [
        *("a/Thumbs.db", "a/desktop.ini", "a/.DS_Store", "a/._1.png", "__MACOSX/a/._1.png"),
        *(".ipynb_checkpoints/1-checkpoint.png", "a/.ipynb_checkpoints/1-checkpoint.png"),
        *("@eaDir/a.jpg", "a/@eaDir/1.png", "$RECYCLE.BIN/1.png", "lost+found/x", "c/Thumbs.db"),
    ],
)
def test_what_computers_leave_in_folders_is_no_image_and_no_class(tmp_path, file):
    path = folders_of_images(tmp_path) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xd0\xcf\x11\xe0")
    dataset = ImageFolder(data_root=str(tmp_path), pipeline=LOAD)
    empty = path.parent.name == "c"  # an empty folder is a class without images
    assert dataset.metainfo["classes"] == (("a", "b", "c") if empty else ("a", "b"))
    assert dataset.class_counts == ([3, 2, 0] if empty else [3, 2])
    assert all(dataset[index]["img"].shape == (6, 8, 3) for index in range(5))


def test_other_files_are_left_out_with_a_warning(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(image_list, "warn", said.append)
    root = folders_of_images(tmp_path)
    for name in "a/labels.csv", "b/1.heic", "README.txt", "a/notes/readme.md", "0.png":
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("x")
    dataset = ImageFolder(data_root=str(root), pipeline=LOAD)
    assert dataset.class_counts == [3, 2]
    assert len(said) == 1
    assert "4 files are in no class folder or have names of no images" in said[0]
    assert said[0].endswith("left out: 0.png, README.txt, a/labels.csv and 1 more")


def test_unreadable_images_are_left_out_on_request_and_named(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(image_list, "warn", said.append)
    root = folders_of_images(tmp_path)
    whole = (root / "a" / "1.png").read_bytes()
    (root / "a" / "1.png").write_bytes(whole[: len(whole) // 2])
    (root / "b" / "1.png").write_bytes(b"")
    options = dict(data_root=str(root), pipeline=LOAD)
    assert ImageFolder(**options).class_counts == [3, 2] and not said
    dataset = ImageFolder(**options, leave_out_unreadable=True)
    assert dataset.class_counts == [2, 1] and len([dataset[k] for k in range(3)]) == 3
    (text,) = said
    assert "2 of 5 images cannot be read, and are left out:" in text
    assert f"{root}/a/1.png is damaged" in text and f"{root}/b/1.png is damaged" in text
    write_list(root, [f"{name} 0" for name in ("b/1.png", "a/1.png")], images=0)
    with pytest.raises(ValueError, match=r"no image of .* can be read: .*b/1.png is damaged"):
        ImageList("list.txt", 1, **options, leave_out_unreadable=True)


@pytest.mark.parametrize(
    ("file", "root", "message"),
    [
        ("a/more/9.png", "", "/a is taken for a class, and holds folders .* more: move these"),
        ("a/1/2/9.png", "", "/a is taken for a class, and holds folders .* 1: move these"),
        (
            "scripts/make.py",
            "",
            r"/scripts is taken for a class, and none of its 1 .* make.py",
        ),
        ("c/9.heic", "", r"/c is taken for a class, and none of its 1 files .* save the images in"),
        (
            "d/9.png",
            "..",
            "is taken for a class, .* images, a, b, d: if .* must be .*images$",
        ),
    ],
)
def test_folders_that_may_hold_more_than_is_read_are_refused(tmp_path, file, root, message):
    (tmp_path / "images").mkdir()
    path = folders_of_images(tmp_path / "images") / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((tmp_path / "images/a/1.png").read_bytes())
    error = FileNotFoundError if root else ValueError
    with pytest.raises(error, match=message):
        ImageFolder(data_root=str(tmp_path / "images" / root))


def test_images_without_class_folders_are_refused(tmp_path):
    root = folders_of_images(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folders with images.* holds 1.png, 2.PNG"):
        ImageFolder(data_root=str(root / "a"))


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
    with pytest.raises(ImageError, match=r"bad.jpg is not an image that OpenCV") as raised:
        dataset[1]
    with pytest.raises(ImageError) as from_worker:
        list(DataLoader(dataset, num_workers=1, sampler=[1]))
    assert str(from_worker.value) == str(raised.value)  # no trace


def test_another_error_of_a_pipeline_names_the_image_and_keeps_its_trace(tmp_path):
    write_list(tmp_path, ["0.png 0"])
    bad = [*LOAD, dict(type="CenterCrop", crop_size=2), dict(type="Cutout", size="x")]
    dataset = ImageList("list.txt", num_classes=1, data_root=str(tmp_path), pipeline=bad)
    with pytest.raises(RuntimeError, match=r"image .*0.png cannot be loaded or transformed"):
        dataset[0]


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
        ([1, 2], [1], "train2018.json: image id 2 is without an annotation"),
        ([1], [1, 2], "1 annotations are of image ids that no image has: 2"),
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
    with pytest.raises(SystemExit, match="train2018.json does not exist"):
        runpy.run_path(str(TOOL), run_name="__main__")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["annotations"][0].update(category_id=-1), "image 1 has the category_id -1"),
        (lambda c: c["annotations"][0].update(category_id=2**40), "1099511627776, .* 0 to 8141"),
        (lambda c: c["annotations"][0].update(category_id=1.0), "the category_id 1.0, expected"),
        (lambda c: c["annotations"][0].pop("category_id"), r"annotations\[0\] must have image_id"),
        (lambda c: c["images"][0].update(id=[1]), r"images\[0\] must have id, a whole number"),
        (lambda c: c["images"][0].update(file_name="a\nb 7"), r"the file_name 'a\\nb 7', expected"),
        (lambda c: c["images"][0].update(file_name=None), "the file_name None, expected a path"),
        (lambda c: c.pop("images"), "train2018.json has no list of images"),
        (lambda c: c.update(annotations={}), "train2018.json has no list of annotations"),
    ],
)
def test_an_inaturalist_file_of_another_kind_is_refused_in_words(tmp_path, change, message):
    content = json.loads(inat_json([1], [1]))
    change(content)
    (tmp_path / "train2018.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        inat_lines(tmp_path / "train2018.json")


def test_a_list_that_is_there_already_is_not_replaced_by_another(tmp_path, monkeypatch):
    for split in "train", "val":
        (tmp_path / f"{split}2018.json").write_text(inat_json([1], [1]), encoding="utf-8-sig")
    monkeypatch.setattr(sys, "argv", [str(TOOL), str(tmp_path)])
    for _ in range(2):  # the same list may be made again
        runpy.run_path(str(TOOL), run_name="__main__")
    (tmp_path / "iNaturalist18_val.txt").write_text("mine.jpg 3\n")
    with pytest.raises(SystemExit, match="iNaturalist18_val.txt holds another list: delete it"):
        runpy.run_path(str(TOOL), run_name="__main__")
    assert (tmp_path / "iNaturalist18_val.txt").read_text() == "mine.jpg 3\n"
