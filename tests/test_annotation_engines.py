"""Odd annotation files score the same with both engines."""

import pytest
from lvis_random_sets import evaluate, random_set


def repeated_ids(content):
    for note in content["annotations"]:
        note["id"] = 5


def huge_ids(content):
    for number, note in enumerate(content["annotations"]):
        note["id"] = 2**53 + number


def floats(content):
    for image in content["images"]:
        image |= {key: float(image[key]) for key in ("id", "height", "width")}
        image["neg_category_ids"] = [float(i) for i in image["neg_category_ids"]]
    for note in content["annotations"]:
        note |= {key: float(note[key]) for key in ("id", "image_id", "category_id")}


def crowds_and_ignored(content):
    for number, note in enumerate(content["annotations"]):
        note |= {"iscrowd": [0, 1, None, 0.0][number % 4], "ignore": number % 2}


def no_area(content):
    for note in content["annotations"][::3]:
        note["area"] = -1.0


def flat_boxes(content):
    for note in content["annotations"][::3]:
        note["bbox"][2] = 0


def far_boxes(content):
    for number, note in enumerate(content["annotations"][::3]):
        note["bbox"] = [(-10.0) ** (number % 14), 0, 10.0 ** (number % 13), 1e9]


def short_parts(content):
    for note in content["annotations"]:
        if isinstance(note["segmentation"], list):
            note["segmentation"][:0] = [[1, 2, 3, 4], []]


def run_lengths(content):
    size = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    for note in content["annotations"][::2]:
        height, width = size[note["image_id"]]
        counts = [height, 2 * height, height * width - 3 * height]
        note["segmentation"] = dict(size=[height, width], counts=counts)


def cut_categories(content):
    for image in content["images"]:
        image["neg_category_ids"] = image["neg_category_ids"] * 2 + [9999]
        image["not_exhaustive_category_ids"].append(9998)


def orphans(content):
    content["annotations"].append({**content["annotations"][0], "id": 9999, "image_id": 9999})


def other_fields(content):
    content["annotations"][0] |= {"score": float("nan"), "attributes": {"occluded": True}}
    content["categories"][0] |= {"supercategory": None, "image_count": "3"}
    content["images"][0] |= {"coco_url": None, "license": 1.5}


CHANGES = [
    *(repeated_ids, huge_ids, floats, crowds_and_ignored, no_area, flat_boxes, far_boxes),
    *(short_parts, run_lengths, cut_categories, orphans, other_fields),
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_the_two_lvis_engines_agree(change, tmp_path):
    content, samples = random_set(3, num_images=3, num_classes=5)
    change(content)
    scores = [evaluate(content, samples, tmp_path, engine=name) for name in ("vernier", "lvis")]
    assert scores[0] == pytest.approx(scores[1], abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("change", [floats, short_parts, cut_categories, orphans, other_fields])
def test_odd_entries_with_one_meaning_change_no_score(change, tmp_path):
    content, samples = random_set(3, num_images=3, num_classes=5)
    expected = evaluate(content, samples, tmp_path)
    change(content)
    assert evaluate(content, samples, tmp_path) == pytest.approx(expected, abs=1e-12, nan_ok=True)
