"""Crops, flips, cutout, jitter, views and packing, against closed forms."""

import copy
import pickle
import random
from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.registry import TRANSFORMS, DefaultScope

import mmdet_ltnorm  # noqa: F401
from mmdet_ltnorm.data import image_ops


def photo(size=32, seed=0):
    """Return a smooth coloured picture with some noise, neither flat nor of full range."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 220, (5, 5, 3))
    image = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return (image + rng.normal(0, 4, image.shape)).clip(3, 247).astype(np.uint8)


@pytest.mark.parametrize("content", [None, b"", b"no image", b"\x89PNG\r\n\x1a\n"])
@pytest.mark.parametrize("scope", ["mmengine", "mmdet"])
def test_an_image_that_cannot_be_read_is_named_in_detectors_too(tmp_path, content, scope):
    if content is not None:
        (tmp_path / "bad.png").write_bytes(content)
    with TRANSFORMS.switch_scope_and_registry(scope) as registry:
        load = registry.build(dict(type="LoadImageFromFile"))
    reason = "No such file" if content is None else "damaged, empty or no image"
    message = f"{tmp_path}/bad.png is not an image that OpenCV can read: {reason}"
    with pytest.raises(ValueError, match=message):
        load(dict(img_path=str(tmp_path / "bad.png")))


def test_pad_crop_reaches_every_offset_and_pads_with_black():
    image = photo(12)
    transform = TRANSFORMS.build(dict(type="PadCrop", padding=2))
    padded = np.pad(image, ((2, 2), (2, 2), (0, 0)))
    windows = {padded[y : y + 12, x : x + 12].tobytes(): (y, x) for y in range(5) for x in range(5)}
    random.seed(0)
    seen = Counter(windows[transform(dict(img=image))["img"].tobytes()] for _ in range(1000))
    assert len(seen) == 25 and max(seen.values()) < 80


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_half_of_the_images_are_mirrored(dtype):
    image = photo(6).astype(dtype)
    transform = TRANSFORMS.build(dict(type="HorizontalFlip"))
    random.seed(0)
    results = [transform(dict(img=image))["img"] for _ in range(1000)]
    mirrored = [bool((result == image[:, ::-1]).all()) for result in results]
    assert sum(mirrored) == pytest.approx(500, abs=80)
    assert all(m or (r == image).all() for m, r in zip(mirrored, results, strict=True))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_cutout_blackens_a_clipped_square_about_a_random_pixel(dtype):
    image = np.full((32, 32, 3), 9, dtype)
    transform = TRANSFORMS.build(dict(type="Cutout", size=16))
    random.seed(0)
    areas = []
    for _ in range(4000):
        black = (transform(dict(img=image))["img"] == 0).all(-1)
        rows, columns = black.any(1).sum(), black.any(0).sum()
        assert black.sum() == rows * columns and 8 <= min(rows, columns) <= max(rows, columns) <= 16
        areas.append(rows * columns)
    # Of a centre at y, the rows y - 8 to y + 7 that exist: 14 of 16 in the mean.
    assert np.mean(areas) == pytest.approx(14**2, rel=0.02)
    assert (image == 9).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_random_resized_crop_takes_parts_of_the_allowed_area_and_ratio(dtype):
    height, width = 60, 100
    # Values rise with the position, so that the part can be told from its corners' values.
    image = np.stack(np.broadcast_arrays(np.arange(height)[:, None], np.arange(width), 0), -1)
    transform = TRANSFORMS.build(dict(type="RandomResizedCrop", size=20, scale=(0.2, 0.8)))
    random.seed(0)
    for _ in range(300):
        top, left, part_height, part_width = transform._part(height, width)
        assert 0.18 < part_height * part_width / (height * width) < 0.83
        assert 0.72 < part_width / part_height < 1.38
        assert 0 <= top <= height - part_height and 0 <= left <= width - part_width
    result = transform(dict(img=image.astype(dtype)))
    assert result["img"].shape == (20, 20, 3) and result["img"].dtype == dtype
    assert result["img_shape"] == (20, 20)
    assert (np.diff(result["img"][..., 1].astype(float), axis=1) > 0).mean() > 0.9


def test_a_shape_that_no_part_fits_gives_its_central_part():
    transform = TRANSFORMS.build(dict(type="RandomResizedCrop", size=4, scale=(1.0, 1.0)))
    assert transform._part(10, 400) == (0, 193, 10, 13)
    assert transform._part(400, 12) == (192, 0, 16, 12)


def test_color_jitter_draws_factors_in_their_ranges_and_all_orders(monkeypatch):
    calls = []
    for name in "brightness", "contrast", "color", "hue":
        monkeypatch.setattr(
            image_ops, name, lambda image, value, name=name: calls.append((name, value)) or image
        )
    jitter = dict(type="ColorJitter", brightness=0.4, contrast=1.5, saturation=0.2, hue=0.1)
    transform = TRANSFORMS.build(jitter)
    for _ in range(500):
        transform(dict(img=None))
    ranges = dict(brightness=(0.6, 1.4), contrast=(0, 2.5), color=(0.8, 1.2), hue=(-0.1, 0.1))
    for name, (low, high) in ranges.items():
        values = [value for called, value in calls if called == name]
        assert len(values) == 500 and low <= min(values) < max(values) <= high
        assert np.mean(values) == pytest.approx((low + high) / 2, abs=0.1 * (high - low))
    assert len({tuple(n for n, _ in calls[i : i + 4]) for i in range(0, 2000, 4)}) == 24


# ---- views and packing


def test_views_come_in_the_order_of_the_config_and_do_not_touch_each_other():
    pipeline = Compose(
        [
            dict(
                type="MultiView",
                views=[
                    [dict(type="mmdet.CutOut", n_holes=1, cutout_shape=(32, 32))],  # in place
                    [],
                    [dict(type="RandomFlip", prob=1.0)],
                ],
            ),
            dict(type="PackClsInputs"),
        ]
    )
    image = photo()
    packed = pipeline(dict(img=image, gt_label=3, sample_idx=7))
    cut, plain, flipped = packed["inputs"]
    expected = torch.from_numpy(image).permute(2, 0, 1)
    assert (plain == expected).all() and (flipped == expected.flip(2)).all()
    assert (cut == 0).all(0).any() and (image == photo()).all()
    assert packed["data_samples"].gt_label.tolist() == [3]


def test_an_image_that_one_view_drops_is_dropped():
    views = [[], [lambda results: None]]
    assert TRANSFORMS.build(dict(type="MultiView", views=views))(dict(img=photo())) is None


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_packing_keeps_the_type_and_what_the_metric_and_the_analysis_need(dtype):
    image = photo(6)[:, ::-1].astype(str(dtype).removeprefix("torch."))
    results = dict(img=image, gt_label=2, sample_idx=5, img_path="a/b.png", flip=True)
    packed = TRANSFORMS.build(dict(type="PackClsInputs"))(results)
    assert packed["inputs"].dtype == dtype and packed["inputs"].is_contiguous()
    assert (packed["inputs"].permute(1, 2, 0).numpy() == image).all()
    sample = packed["data_samples"]
    assert sample.gt_label.dtype == torch.int64 and sample.gt_label.tolist() == [2]
    assert sample.metainfo == dict(img_path="a/b.png", sample_idx=5)


def packed_sample():
    results = dict(img=photo(4), gt_label=2, sample_idx=5)
    return TRANSFORMS.build(dict(type="PackClsInputs"))(results)["data_samples"]


def test_a_data_sample_reaches_another_process_without_a_tensor_of_its_own():
    sample = packed_sample()
    raw = pickle.dumps(sample)
    assert b"torch" not in raw
    for again in pickle.loads(raw), copy.deepcopy(sample), sample.clone():
        assert again.gt_label.dtype == torch.int64 and again.gt_label.tolist() == [2]
        assert again.metainfo == dict(sample_idx=5) and again.keys() == ["gt_label"]
    sample.pred_score = torch.ones(3)
    assert pickle.loads(pickle.dumps(sample)).pred_score.tolist() == [1, 1, 1]


def test_a_data_sample_is_copied_only_if_it_moves():
    sample = packed_sample()
    sample.pred_score = torch.ones(3)
    assert sample.to("cpu") is sample
    moved = sample.to("meta")
    assert moved.gt_label.device.type == moved.pred_score.device.type == "meta"
    assert moved.metainfo == sample.metainfo and sample.gt_label.tolist() == [2]


def test_the_hosts_transforms_that_complete_a_pipeline_work_in_mmdets_scope(tmp_path):
    cv2.imwrite(str(tmp_path / "image.png"), photo(57))
    cfg = [
        dict(type="LoadImageFromFile"),
        dict(type="ResizeShortestEdge", scale=40),
        dict(type="CenterCrop", crop_size=33),
        dict(type="RandomApply", prob=0.8, transforms=[dict(type="ColorJitter", hue=0.1)]),
        dict(type="RandomGrayscale", prob=1.0, keep_channels=True),
        dict(type="RandomFlip", prob=0.5),
        dict(type="HorizontalFlip"),
        dict(type="RandomResizedCrop", size=32),
        dict(type="ClsAutoAugment", policy="imagenet"),
        dict(type="PadCrop"),
        dict(type="ClsRandAugment"),
        dict(type="Cutout"),
        dict(type="PackClsInputs"),
    ]
    with DefaultScope.overwrite_default_scope("mmdet"):
        pipeline = Compose(cfg)
    packed = pipeline(dict(img_path=str(tmp_path / "image.png"), gt_label=0))
    assert packed["inputs"].shape == (3, 32, 32) and packed["inputs"].dtype == torch.uint8
