"""mini-LVIS is an LVIS v1 data set in every respect but its pictures."""

import json
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdet_ltnorm.data import make_mini_lvis
from mmdet_ltnorm.data.synthetic import mini_lvis as module

SMALL = {"num_train": 12, "num_val": 4, "num_categories": 4, "image_size": 64}
SMALL["populate_groups"] = False
# The fields of the files that the LVIS web site offers.
IMAGE_FIELDS = {"id", "width", "height", "coco_url", "flickr_url", "license", "date_captured"}
IMAGE_FIELDS |= {"neg_category_ids", "not_exhaustive_category_ids"}
ANNOTATION_FIELDS = {"id", "image_id", "category_id", "bbox", "area", "segmentation"}
CATEGORY_FIELDS = {"id", "name", "synset", "synonyms", "def", "frequency", "image_count"}
CATEGORY_FIELDS |= {"instance_count"}


def content(root, split):
    return json.loads((root / "annotations" / f"lvis_v1_{split}.json").read_text())


def categories_by_image(split_content):
    found = defaultdict(set)
    for annotation in split_content["annotations"]:
        found[annotation["image_id"]].add(annotation["category_id"])
    return found


@pytest.fixture(scope="module")
def smallest(tmp_path_factory):
    """The smallest set of four categories that has rare, common and frequent ones."""
    root = tmp_path_factory.mktemp("smallest")
    make_mini_lvis(root, num_train=169, num_val=8, num_categories=4, image_size=48)
    return root


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_files_have_the_fields_of_lvis_v1_and_no_others(mini_lvis, split):
    found = content(mini_lvis, split)
    assert set(found) == {"info", "licenses", "images", "annotations", "categories"}
    for entries, fields in (
        (found["images"], IMAGE_FIELDS),
        (found["annotations"], ANNOTATION_FIELDS),
        (found["categories"], CATEGORY_FIELDS),
    ):
        assert entries
        assert all(set(entry) == fields for entry in entries)
        assert len({entry["id"] for entry in entries}) == len(entries)
    assert [category["id"] for category in found["categories"]] == list(range(1, 9))


def test_images_lie_where_their_urls_say_and_have_the_stated_size(mini_lvis):
    names = []
    for split in ("train", "val"):
        for image in content(mini_lvis, split)["images"]:
            name = image["coco_url"].removeprefix("http://images.cocodataset.org/")
            assert name == f"{split}2017/{image['id']:012d}.jpg"
            picture = cv2.imread(str(mini_lvis / name))
            assert picture.shape == (image["height"], image["width"], 3) == (96, 96, 3)
            assert (mini_lvis / name).read_bytes()[:3] == b"\xff\xd8\xff"  # JPEG
            names.append(Path(name).name)
    assert len(set(names)) == 32


@pytest.mark.parametrize("split", ["train", "val"])
def test_outlines_rasterise_to_the_stated_area_and_box_and_do_not_overlap(mini_lvis, split):
    from lvis import LVIS

    data = LVIS(str(mini_lvis / "annotations" / f"lvis_v1_{split}.json"))
    for annotations in data.img_ann_map.values():
        masks = np.array([data.ann_to_mask(annotation) for annotation in annotations])
        assert masks.sum(0).max() == 1
        for mask, annotation in zip(masks, annotations, strict=True):
            y, x = np.nonzero(mask)
            box = [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
            assert annotation["bbox"] == box
            assert annotation["area"] == mask.sum() >= 20


def test_objects_are_seen_where_they_are_annotated(mini_lvis):
    # Objects are far more colourful than backgrounds are.
    inside, outside = [], []
    from lvis import LVIS

    data = LVIS(str(mini_lvis / "annotations" / "lvis_v1_train.json"))
    for image in data.imgs.values():
        if image["not_exhaustive_category_ids"]:
            continue
        picture = cv2.imread(str(mini_lvis / "/".join(image["coco_url"].split("/")[-2:])))
        saturation = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)[..., 1]
        masks = [data.ann_to_mask(annotation) for annotation in data.img_ann_map[image["id"]]]
        covered = np.any(masks, axis=0)
        inside.append(saturation[covered].mean())
        outside.append(saturation[~covered].mean())
    assert np.mean(np.array(inside) > np.array(outside) + 50) > 0.9


def test_the_frequency_of_a_category_follows_from_its_training_images(smallest):
    train, val = content(smallest, "train"), content(smallest, "val")
    images = Counter(c for present in categories_by_image(train).values() for c in present)
    instances = Counter(annotation["category_id"] for annotation in train["annotations"])
    for category in train["categories"]:
        number = images[category["id"]]
        assert category["image_count"] == number
        assert category["instance_count"] == instances[category["id"]] >= number
        # LVIS v1: rare in 1-10 images, common in 11-100, frequent in more.
        expected = "r" if number < 11 else "c" if number < 101 else "f"
        assert category["frequency"] == expected
    assert {category["frequency"] for category in train["categories"]} == set("rcf")
    assert val["categories"] == train["categories"]


def test_every_category_occurs_in_five_validation_images(smallest):
    images = Counter(
        c for present in categories_by_image(content(smallest, "val")).values() for c in present
    )
    assert min(images[category] for category in range(1, 5)) >= 5


@pytest.mark.parametrize("split", ["train", "val"])
def test_negative_categories_are_some_of_the_absent_ones(mini_lvis, split):
    data = content(mini_lvis, split)
    present = categories_by_image(data)
    for image in data["images"]:
        absent = {category["id"] for category in data["categories"]} - present[image["id"]]
        negative = set(image["neg_category_ids"])
        assert negative < absent
        assert negative
        assert set(image["not_exhaustive_category_ids"]) <= present[image["id"]]


def test_each_not_exhaustive_category_lacks_one_annotation(tmp_path, monkeypatch):
    found = {}
    for share in (0, 1):
        monkeypatch.setattr(module, "NOT_EXHAUSTIVE", share)
        make_mini_lvis(tmp_path / str(share), **SMALL)
        found[share] = content(tmp_path / str(share), "train")
    lists = [image["not_exhaustive_category_ids"] for image in found[1]["images"]]
    assert not any(image["not_exhaustive_category_ids"] for image in found[0]["images"])
    lacking = len(found[0]["annotations"]) - len(found[1]["annotations"])
    assert lacking == sum(map(len, lists)) > 0
    assert categories_by_image(found[0]) == categories_by_image(found[1])


def test_mmdet_loads_the_set_and_its_masks(mini_lvis):
    from mmdet.datasets import LVISV1Dataset
    from mmdet.utils import register_all_modules

    register_all_modules()
    names = tuple(category["name"] for category in content(mini_lvis, "train")["categories"])
    dataset = LVISV1Dataset(
        data_root=str(mini_lvis),
        ann_file="annotations/lvis_v1_train.json",
        data_prefix={"img": ""},
        metainfo={"classes": names},
        filter_cfg={"filter_empty_gt": True, "min_size": 32},
        pipeline=[
            {"type": "LoadImageFromFile"},
            {"type": "LoadAnnotations", "with_bbox": True, "with_mask": True},
            {"type": "PackDetInputs"},
        ],
    )
    assert len(dataset) == 24
    labels = Counter()
    for item in dataset:
        assert item["inputs"].shape == (3, 96, 96)
        instances = item["data_samples"].gt_instances
        masks = instances.masks.to_ndarray()
        assert len(masks) == len(instances.bboxes) >= 1
        # The boxes that mmdet would derive from the masks, within the rounding of outlines.
        derived = instances.masks.get_bboxes(type(instances.bboxes)).tensor
        assert (derived - instances.bboxes.tensor).abs().max() <= 0.5
        assert (masks.sum((1, 2)) > 0).all()
        labels.update(instances.labels.tolist())
    assert set(labels) == set(range(8))


def test_all_categories_of_lvis_can_be_declared(tmp_path):
    names = [f"name_{i}" for i in range(1203)]
    make_mini_lvis(tmp_path / "declared", category_names=names, **SMALL)
    make_mini_lvis(tmp_path / "plain", **SMALL)
    declared, plain = (content(tmp_path / name, "train") for name in ("declared", "plain"))
    assert [category["name"] for category in declared["categories"]] == names
    assert {category["frequency"] for category in declared["categories"][4:]} == {"r"}
    assert sum(category["image_count"] for category in declared["categories"][4:]) == 0
    assert declared["annotations"] == plain["annotations"]
    assert declared["images"] == plain["images"]
