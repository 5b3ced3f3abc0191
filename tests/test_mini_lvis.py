"""mini-LVIS is an LVIS v1 data set in every respect but its pictures."""

import json
import runpy
import sys
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdet_ltnorm.data import draw_contact_sheet, make_mini_lvis
from mmdet_ltnorm.data import mini_lvis as module
from mmdet_ltnorm.data.mini_lvis_plan import frequency_group, share_out, train_counts, val_counts

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


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


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


def test_frequency_groups_part_at_10_and_100_images():
    assert [frequency_group(n) for n in (1, 10, 11, 100, 101)] == ["r", "r", "c", "c", "f"]


@pytest.mark.parametrize("num_categories", [20, 24, 40])
def test_all_groups_have_six_categories_at_the_default_size(num_categories):
    counts = train_counts(600, num_categories, populate_groups=True)
    groups = Counter(frequency_group(count) for count in counts)
    assert min(groups[group] for group in "rcf") >= 5 + (num_categories > 20)
    assert counts.min() >= 1
    assert counts.sum() <= 600 * 2.75


def test_a_plan_gives_each_category_its_number_of_images():
    counts = np.array([3, 40, 9, 25])
    plan = share_out(counts, 50, np.random.default_rng(0))
    assert np.bincount(np.concatenate(plan).astype(int)).tolist() == counts.tolist()
    assert all(len(set(present)) == len(present) for present in plan)
    assert max(map(len, plan)) <= 4 and min(map(len, plan)) >= 1


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


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        make_mini_lvis(tmp_path / name, seed=seed, **SMALL)
    one, same, other = (files(tmp_path / name) for name in ("one", "same", "other"))
    assert one == same
    assert len(one) == 18
    assert one.keys() == other.keys()
    assert not any(one[name] == other[name] for name in one)


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


def test_a_set_that_stands_is_kept(tmp_path):
    assert make_mini_lvis(tmp_path / "set", **SMALL) is True
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert make_mini_lvis(tmp_path / "set", **SMALL) is False
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_another_set_is_not_overwritten(tmp_path):
    make_mini_lvis(tmp_path, seed=1, **SMALL)
    before = files(tmp_path)
    with pytest.raises(ValueError, match=r"holds a mini-LVIS with another seed: delete it or"):
        make_mini_lvis(tmp_path, seed=2, **SMALL)
    assert files(tmp_path) == before


def test_other_peoples_files_are_not_overwritten(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "lvis_v1_val.json").write_text('{"info": {"version": "v1.0"}}')
    with pytest.raises(ValueError, match="holds something else: delete it or name another"):
        make_mini_lvis(tmp_path, **SMALL)
    assert len(files(tmp_path)) == 1


def test_a_run_that_breaks_off_leaves_nothing_that_looks_complete(tmp_path, monkeypatch):
    def fail(*args):
        assert (next(tmp_path.iterdir()) / "train2017").is_dir()  # it was under way
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_categories", fail)
    with pytest.raises(KeyboardInterrupt):
        make_mini_lvis(tmp_path / "set", **SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_categories": 2}, "num_categories must be between 3 and 40, got 2"),
        ({"num_categories": 41}, "num_categories must be between 3 and 40, got 41"),
        ({"num_train": 100}, "num_train must be at least 231 for 24 .* in all three .* got 100"),
        ({"num_val": 20}, "num_val must be at least 44 for 24 categories with 5 images each"),
        ({"image_size": 16}, "image_size must be at least 32 pixels, got 16"),
        ({"category_names": ["a"] * 30}, "at least 24 different names, got 30, of which 1 differ"),
        ({"category_names": list("abc")}, "at least 24 different names, got 3, of which 3 differ"),
    ],
)
def test_arguments_that_cannot_be_met_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_mini_lvis(tmp_path / "set", **arguments)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("populate_groups", [True, False])
@pytest.mark.parametrize("num_categories", [3, 24, 40])
def test_the_stated_least_number_of_images_is_the_least(num_categories, populate_groups):
    for counts in (train_counts, val_counts):
        with pytest.raises(ValueError, match="must be at least") as error:
            counts(0, num_categories, populate_groups)
        least = int(str(error.value).split("at least ")[1].split()[0])
        counts(least, num_categories, populate_groups)
        with pytest.raises(ValueError, match=f"must be at least {least} "):
            counts(least - 1, num_categories, populate_groups)


def test_a_contact_sheet_shows_images_that_there_are(mini_lvis, tmp_path):
    draw_contact_sheet(mini_lvis, tmp_path / "sheet.png", rows=3, columns=3)
    assert cv2.imread(str(tmp_path / "sheet.png")).std() > 20


def test_the_tool_prints_what_it_made(tmp_path, capsys, monkeypatch):
    tool = Path(__file__).parents[1] / "tools" / "make_mini_lvis.py"
    command = f"tool {tmp_path}/set --num-train 169 --num-val 8 --num-categories 4 --image-size 32"
    monkeypatch.setattr(sys, "argv", command.split())
    for first_word in ("wrote", "found"):
        runpy.run_path(str(tool), run_name="__main__")
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith(first_word)
    train = content(tmp_path / "set", "train")
    rare = {category["id"] for category in train["categories"] if category["frequency"] == "r"}
    found = [annotation for annotation in train["annotations"] if annotation["category_id"] in rare]
    expected = [
        "rare",
        len(rare),
        len({annotation["image_id"] for annotation in found}),
        len(found),
    ]
    assert lines[5].split() == list(map(str, expected))
