"""Faulty annotation files are refused before training; the message names file and entry."""

import json
import math

import numpy as np
import pycocotools.mask as mask_utils
import pytest
from coco_files import coco, lvis, write

from mmdet_ltnorm.data.annotations import read_annotations
from mmdet_ltnorm.data.annotations.outlines import outline
from mmdet_ltnorm.evaluation import LTLVISMetric


def first(content):
    return content["annotations"][0]


def test_whole_numbers_may_be_floats_and_orphans_are_left_out_with_a_warning(tmp_path, caplog):
    content = coco()
    for image in content["images"]:
        image["width"] = 64.0
    first(content)["category_id"] = 1.0
    content["annotations"].append({**first(content), "id": 99, "image_id": 777})
    found = read_annotations(write(tmp_path / "a.json", content))
    assert found.size[1] == (64, 64) and type(found.images[0]["width"]) is int
    assert len(found.annotations) == 12 and type(found.annotations[0]["category_id"]) is int
    assert not found.is_literal and read_annotations(write(tmp_path / "b.json", coco())).is_literal


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("images"), "not in COCO's format: expected images, annotations"),
        (lambda c: c.update(categories={"1": "car"}), "not in COCO's format"),
        (lambda c: c["annotations"].append(3), "annotations has entries of another kind"),
        (lambda c: c.update(images=[], annotations=[]), "has no images"),
        (lambda c: c.update(categories=[]), "has no categories"),
        (lambda c: c["categories"][0].pop("name"), "a category needs an id and a name"),
        (lambda c: c["categories"][2].update(id=2), "two entries have the category id 2"),
        (lambda c: c["categories"][2].update(name="car"), "two categories are called 'car'"),
        (lambda c: c["images"][3].update(id=3), "two entries have the image id 3"),
        (lambda c: c["images"][3].update(id=[3]), r"image id \[3\] is no whole"),
        (lambda c: c["images"][1].pop("height"), r"image 2 \(2.png\) needs a height"),
        (lambda c: c["images"][1].update(width="64"), "needs a width in whole pixels, got '64'"),
        (lambda c: c["images"][1].update(width=10**6, height=10**6), "more than OpenCV reads"),
        (lambda c: first(c).pop("area"), "annotation 1 has no area: .*coco_to_lvis.py"),
        (lambda c: first(c).update(category_id="1"), "category_id='1', which is not among"),
        (lambda c: first(c).update(category_id=777), "category_id=777, which is not among"),
        (lambda c: first(c).update(image_id=1.5), "image_id=1.5, expected a whole number"),
        (lambda c: first(c).update(image_id=2.0**60), "expected a whole number"),
        (lambda c: first(c).update(id=10**30), "expected a whole number below"),
        (lambda c: first(c).update(bbox=[math.nan, 1, 2, 3]), r"bbox=\[nan, 1, 2, 3\], expected"),
        (lambda c: first(c).update(bbox=[1, 2, 3, 4, 0.5]), "expected four finite numbers"),
        (lambda c: first(c).update(bbox=[1, 2, -3, 4]), "width or height is negative"),
        (lambda c: first(c).update(area=math.inf), "area=inf, expected a finite number"),
    ],
)
def test_meaningless_entries_are_refused_with_file_and_entry(change, message, tmp_path):
    content = coco()
    change(content)
    with pytest.raises(ValueError, match=rf"^{tmp_path}/a\.json.*{message}"):
        read_annotations(write(tmp_path / "a.json", content))


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        (None, "has no segmentation"),
        ([], "has no segmentation"),
        ([2, 4, 18, 4, 18, 20], "is no list of polygons"),
        ([[1, 1, 2, 2]], "has no polygon of three points"),
        ([[2, 4, 18, 4, 18, 20, 5]], "a polygon of 7 numbers"),
        ([[2, 4, 18, 4, 18, math.nan]], "coordinates that are not finite numbers"),
        ([["2", "4", "18", "4", "18", "20"]], "coordinates that are not finite numbers"),
        ([[0, 0, 1e8, 0, 1e8, 1e8]], r"a polygon from 0 to 1e\+08 in an image of 64 x 64"),
        (
            {"size": [32, 64], "counts": [2048]},
            r"a mask of \(height, width\) \(32, 64\), its image",
        ),
        ({"size": [64, 64], "counts": [10, 20]}, "run lengths of 30 pixels for a mask of 64 x 64"),
        ({"size": [64, 64], "counts": [-1, 4097]}, "run lengths that are no numbers of pixels"),
        ({"size": [64, 64], "counts": "~~"}, "run lengths that are no numbers of pixels"),
        ({"size": [64, 64], "counts": ""}, "run lengths that are no numbers of pixels"),
        ({"size": [64], "counts": "0"}, r"size \[64\], expected \[height, width\]"),
    ],
)
def test_an_outline_that_no_mask_can_be_made_of_is_refused_where_masks_are_scored(
    segmentation, message, tmp_path
):
    content = lvis()
    first(content)["segmentation"] = segmentation
    file = write(tmp_path / "a.json", content)
    with pytest.raises(ValueError, match=f"a.json: annotation 1 of image 1 .*{message}"):
        LTLVISMetric(file)
    LTLVISMetric(file, metric="bbox")


def test_parts_that_enclose_nothing_do_not_matter():
    square = [1, 1, 9, 1, 9, 9]
    assert outline([square, [4, 4], []]) == outline([square])._replace(has_short_parts=True)
    assert not outline([square]).fault_in(10, 10)
    assert not outline([[-3, 0, 13, 0, 5, 9]]).fault_in(10, 10)  # a little outside


@pytest.mark.parametrize("seed", range(8))
def test_run_lengths_in_cocos_text_are_counted_as_pycocotools_decodes_them(seed):
    mask = np.random.default_rng(seed).random((37, 53)) < seed / 8
    rle = mask_utils.encode(np.asfortranarray(mask.astype(np.uint8)))
    text = rle["counts"].decode()
    assert outline({"size": [37, 53], "counts": text}) == (*("", False, 0.0, 0.0), (37, 53))
    assert "pixels for a mask" in outline({"size": [37, 54], "counts": text}).fault


@pytest.mark.parametrize("name", ["ids", "none", "outside", "crowds"])
def test_annotations_that_train_nothing_or_something_else_are_refused_for_training(name, tmp_path):
    content, message = coco(), "none that can be trained"
    for note in content["annotations"]:
        if name == "ids":
            note["id"], message = 7, r"1 ids of annotations are repeated, the first is 7"
        if name == "outside":
            note["bbox"] = [x / 64 for x in note["bbox"]]  # YOLO's units: all below a pixel
        if name == "crowds":
            note["iscrowd"] = 1
    if name == "none":
        content["annotations"] = []
    found = read_annotations(write(tmp_path / "a.json", content))
    with pytest.raises(ValueError, match=f"a.json.*{message}"):
        found.check_trainable()


def test_unused_categories_and_objects_are_told(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(
        "mmdet_ltnorm.data.annotations.content.print_log", lambda m, **_: told.append(m)
    )
    content = coco()
    content["categories"].insert(0, {"id": 0, "name": "objects", "supercategory": "none"})
    first(content)["area"] = 0
    for note in content["annotations"][1:3]:
        note["bbox"] = [20, 20, 40, 60]  # as corners
    read_annotations(write(tmp_path / "a.json", content)).check_trainable()
    assert "1 of 12 objects are not trained" in told[0] and "the first is 1" in told[0]
    assert "2 of 11 boxes reach beyond their image" in told[1]
    assert "has the categories 'objects'" in told[2] and "--drop-unused" in told[2]


def test_a_file_that_is_no_whole_text_is_named(tmp_path):
    file = tmp_path / "a.json"
    text = json.dumps(coco())
    file.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(read_annotations(str(file)).annotations) == 12
    for raw in (text[:300].encode(), text.replace("car", "café").encode("latin-1"), b"", b"null"):
        file.write_bytes(raw)
        with pytest.raises(ValueError, match=r"a\.json"):
            read_annotations(str(file))


def test_a_plain_coco_file_is_pointed_to_the_tool_that_makes_it_scorable(tmp_path):
    with pytest.raises(ValueError, match=r"a\.json is in COCO's format.*coco_to_lvis\.py TRAIN"):
        LTLVISMetric(write(tmp_path / "a.json", coco()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["categories"][0].update(frequency="rare"), "frequency of 'car' is none of r"),
        (
            lambda c: c["images"][0].update(neg_category_ids=None),
            "neg_category_ids of image 1 must",
        ),
    ],
)
def test_fields_of_lvis_that_mean_nothing_are_refused(change, message, tmp_path):
    content = lvis()
    change(content)
    with pytest.raises(ValueError, match=rf"a\.json.*{message}"):
        LTLVISMetric(write(tmp_path / "a.json", content))


def test_ids_in_text_are_refused_by_the_metric_with_the_tool_that_numbers_them(tmp_path):
    content = lvis()
    for image in content["images"]:
        image["id"] = f"cam-{image['id']}"
    for note in content["annotations"]:
        note["image_id"] = f"cam-{note['image_id']}"
    with pytest.raises(ValueError, match="must be numbers.*'cam-1'.*coco_to_lvis"):
        LTLVISMetric(write(tmp_path / "a.json", content))
