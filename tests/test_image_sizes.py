"""An image that is loaded in another size than it was annotated in is named, and ends the run."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from coco_files import NAMES, coco, write
from mmdet.registry import DATASETS
from PIL import Image

from mmdet_ltnorm.data.annotations import ImageSizes
from mmdet_ltnorm.data.image_files import ImageError
from mmdet_ltnorm.engine.hooks import CheckClassesHook

STEPS = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(32, 32), keep_ratio=True),
    dict(type="PackDetInputs"),
]


def folder(root, turned=(), images=20):
    """Write images of 64 x 48 pixels, of which some have an EXIF orientation, and their file."""
    content = coco(images=images, size=(48, 64))
    exif = Image.Exif()
    exif[0x0112] = 6
    for image in content["images"]:
        image["file_name"] = f"{image['id']}.jpg"
        options = {"exif": exif.tobytes()} if image["id"] in turned else {}
        picture = Image.fromarray(np.zeros((48, 64, 3), dtype=np.uint8))
        picture.save(root / image["file_name"], **options)
    return write(root / "a.json", content)


def dataset(file, root, wrapper=None, **load):
    steps = [STEPS[0] | load, *STEPS[1:]]
    plain = dict(type="CocoDataset", ann_file=file, data_prefix=dict(img=str(root)), pipeline=steps)
    plain["metainfo"] = dict(classes=NAMES)
    if wrapper == "ConcatDataset":
        return DATASETS.build(dict(type=wrapper, datasets=[plain]))
    return DATASETS.build(dict(type=wrapper, times=2, dataset=plain) if wrapper else plain)


@pytest.mark.parametrize("wrapper", [None, "ConcatDataset", "RepeatDataset"])
def test_a_set_of_turned_images_is_refused_at_the_start(wrapper, tmp_path):
    file = folder(tmp_path, turned=range(1, 21))
    message = r"1\.jpg is 48 x 64 pixels .* as loaded, .* for 64 x 48.*color_ignore_orientation"
    with pytest.raises(ValueError, match=message):
        ImageSizes(dataset(file, tmp_path, wrapper))


def test_ignoring_the_orientation_is_a_remedy(tmp_path):
    file = folder(tmp_path, turned=range(1, 21))
    found = dataset(file, tmp_path, color_type="color_ignore_orientation")
    ImageSizes(found).check(found[index]["data_samples"] for index in range(20))


def test_one_turned_image_is_found_when_it_is_loaded(tmp_path):
    found = dataset(folder(tmp_path, turned=[5]), tmp_path)  # none of those looked at before
    sizes = ImageSizes(found)
    sizes.check(found[index]["data_samples"] for index in (0, 1, 2, 3))
    with pytest.raises(ImageError, match=r"5\.jpg is 48 x 64"):
        sizes.check([found[4]["data_samples"]])


def test_an_image_that_was_resized_after_annotation_has_another_remedy(tmp_path):
    file = folder(tmp_path, images=2)
    cv2.imwrite(str(tmp_path / "2.jpg"), np.zeros((24, 32, 3)))
    with pytest.raises(ValueError, match=r"2\.jpg is 32 x 24 .*resized or exchanged after"):
        ImageSizes(dataset(file, tmp_path))


def test_a_damaged_image_is_named(tmp_path):
    file = folder(tmp_path, images=2)
    (tmp_path / "2.jpg").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"2\.jpg is not an image that OpenCV can read"):
        ImageSizes(dataset(file, tmp_path))


@pytest.mark.parametrize("mode", ["train", "val", "test"])
def test_the_hook_ends_every_kind_of_run(mode, tmp_path):
    found = dataset(folder(tmp_path, turned=[5]), tmp_path)
    loader = SimpleNamespace(dataset=found)
    runner = SimpleNamespace(
        model=SimpleNamespace(named_modules=list), val_loop=object(), train_dataloader=loader,
        val_dataloader=loader, test_dataloader=loader,
    )  # fmt: skip
    hook = CheckClassesHook()
    getattr(hook, f"before_{mode}")(runner)
    step = getattr(hook, f"before_{mode}_iter")
    step(runner, 0, dict(data_samples=[found[0]["data_samples"]]))
    with pytest.raises(ValueError, match=r"5\.jpg is 48 x 64"):
        step(runner, 1, dict(data_samples=[found[4]["data_samples"]]))
