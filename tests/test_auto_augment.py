"""AutoAugment, RandAugment and their operations, against Pillow's own."""

import hashlib
import random
from collections import Counter

import cv2
import numpy as np
import pytest
from mmengine.registry import TRANSFORMS
from PIL import Image, ImageEnhance, ImageOps

import mmdet_ltnorm  # noqa: F401
from mmdet_ltnorm.data import image_ops
from mmdet_ltnorm.data.auto_augment import (
    POLICIES,
    RAND_AUGMENT_OPS,
    auto_augment_arguments,
    rand_augment_arguments,
)

FILL = (128, 128, 128)


def photo(size=32, seed=0):
    """Return a smooth coloured picture with some noise, neither flat nor of full range."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 220, (5, 5, 3))
    image = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    return (image + rng.normal(0, 4, image.shape)).clip(3, 247).astype(np.uint8)


def affine(coefficients, resample=Image.NEAREST):
    return lambda image: image.transform(
        image.size, Image.AFFINE, coefficients(*image.size), resample, fillcolor=FILL
    )


def pillow(name, *args):
    """Apply an operation as the reference implementation of AutoAugment does."""
    value = args[0] if args else None
    return {
        "auto_contrast": ImageOps.autocontrast,
        "equalize": ImageOps.equalize,
        "invert": ImageOps.invert,
        "posterize": lambda image: ImageOps.posterize(image, value),
        "solarize": lambda image: ImageOps.solarize(image, value),
        "solarize_add": lambda image: image.point(
            [min(255, i + value) if i < 128 else i for i in range(256)] * 3
        ),
        "brightness": lambda image: ImageEnhance.Brightness(image).enhance(value),
        "color": lambda image: ImageEnhance.Color(image).enhance(value),
        "contrast": lambda image: ImageEnhance.Contrast(image).enhance(value),
        "sharpness": lambda image: ImageEnhance.Sharpness(image).enhance(value),
        "rotate": lambda image: image.rotate(value, fillcolor=FILL),
        "shear_x": affine(lambda w, h: (1, value, 0, 0, 1, 0), Image.BICUBIC),
        "shear_y": affine(lambda w, h: (1, 0, 0, value, 1, 0), Image.BICUBIC),
        "translate_x": affine(lambda w, h: (1, 0, value * w, 0, 1, 0)),
        "translate_y": affine(lambda w, h: (1, 0, 0, 0, 1, value * h)),
    }[name]


EVERY_STEP = sorted(
    {(name, *args) for policy in POLICIES.values() for pair in policy for name, _, level in pair
     for args in auto_augment_arguments(name, level)}
    | {("solarize_add", 60), ("solarize_add", 110), ("posterize", 1), ("shear_x", -0.3)}
    | {("brightness", 1.9), ("color", 0.0), ("contrast", 0.0), ("sharpness", 0.0)}
    | {("solarize", 100)}
)  # fmt: skip


@pytest.mark.parametrize("step", EVERY_STEP, ids=str)
@pytest.mark.parametrize("size", [32, 57])
def test_every_operation_of_the_policies_equals_pillows(step, size):
    name, *args = step
    image = photo(size)
    ours = getattr(image_ops, name)(image, *args)[..., ::-1]
    theirs = np.asarray(pillow(name, *args)(Image.fromarray(image[..., ::-1].copy())))
    assert ours.dtype == np.uint8 and ours.shape == image.shape
    difference = np.abs(ours.astype(int) - theirs)
    if name in ("rotate", "shear_x", "shear_y"):
        # Rounding of positions; along the border the two mix the grey differently.
        assert (difference > 6).any(-1).mean() < 0.05
    else:
        assert difference.max() <= 1


@pytest.mark.parametrize("name", RAND_AUGMENT_OPS)
def test_float_images_give_the_values_of_uint8_ones(name):
    image = photo()
    for magnitude in 3.0, 9.0:
        args = rand_augment_arguments(name, magnitude)
        expected = getattr(image_ops, name)(image, *args)
        for dtype in np.float32, np.float64:
            result = getattr(image_ops, name)(image.astype(dtype), *args)
            assert result.dtype == dtype
            assert np.abs(result - expected).max() <= 1
    assert (image == photo()).all()


def test_operations_leave_their_argument_and_flat_images_unchanged():
    flat = np.full((8, 8, 3), 77, np.uint8)
    for name in "auto_contrast", "equalize":
        assert (getattr(image_ops, name)(flat) == 77).all()
    for name in "brightness", "contrast", "color", "sharpness":
        assert (getattr(image_ops, name)(photo(), 1.0) == photo()).all()


@pytest.mark.parametrize("image", [photo() / 50 - 2.5, photo() / 255])
def test_normalised_images_are_refused(image):
    with pytest.raises(ValueError, match=r"invert takes uint8 images or floats from 0 to 255, got"):
        image_ops.invert(image)


def test_hues_turn_around_the_circle():
    image = np.zeros((1, 1, 3), np.uint8)
    image[..., 2] = 200  # red
    for turn, channel in ((1 / 3, 1), (-1 / 3, 0), (1, 2)):
        turned = image_ops.hue(image, turn)[0, 0].astype(int)
        assert turned[channel] >= 198 and turned.sum() - turned[channel] < 8


# ---- the policies


@pytest.mark.parametrize("policy", ["cifar10", "imagenet"])
def test_auto_augment_draws_all_pairs_alike_and_steps_by_their_probability(policy, monkeypatch):
    calls = Counter()
    for name in {name for pair in POLICIES[policy] for name, _, _ in pair}:

        def record(image, *args, name=name):
            calls[name] += 1
            return image

        monkeypatch.setattr(image_ops, name, record)
    transform = TRANSFORMS.build(dict(type="ClsAutoAugment", policy=policy))
    random.seed(0)
    for _ in range(5000):
        transform(dict(img=None))
    expected = Counter()
    for pair in POLICIES[policy]:
        for name, probability, _ in pair:
            expected[name] += 200 * probability
    for name, number in expected.items():
        assert calls[name] == pytest.approx(number, abs=5 * number**0.5 + 1)
    assert len(POLICIES[policy]) == 25


@pytest.mark.parametrize(
    ("policy", "digest"), [("cifar10", "232311bf87617f12"), ("imagenet", "ceed202638401130")]
)
def test_the_policies_are_the_published_ones(policy, digest):
    # Digests of the operations, probabilities and levels in Balanced Softmax's published code.
    text = " ".join(f"{name} {p} {level}" for pair in POLICIES[policy] for name, p, level in pair)
    assert hashlib.sha256(text.encode()).hexdigest().startswith(digest)


def test_auto_augment_knows_the_published_ranges():
    assert auto_augment_arguments("rotate", 9) == [(30,)]
    assert auto_augment_arguments("posterize", 9) == [(4,)]
    assert [auto_augment_arguments("posterize", level)[0][0] for level in range(10)] == [
        *(8, 8, 7, 7, 6, 6, 5, 5, 4, 4)
    ]
    assert auto_augment_arguments("solarize", 0) == [(256,)]
    assert np.ravel(auto_augment_arguments("color", 9)) == pytest.approx([0.1, 1.9])
    assert np.ravel(auto_augment_arguments("translate_y", 9)) == pytest.approx(
        [-0.4532, 0.4532], 1e-3
    )
    with pytest.raises(ValueError, match=r"one of \['cifar10', 'imagenet'\], got 'svhn'"):
        TRANSFORMS.build(dict(type="ClsAutoAugment", policy="svhn"))


def test_rand_augment_does_about_half_of_the_operations_it_draws(monkeypatch):
    calls = Counter()
    for name in RAND_AUGMENT_OPS:

        def record(image, *args, name=name):
            calls[name] += 1
            return image

        monkeypatch.setattr(image_ops, name, record)
    transform = TRANSFORMS.build(dict(type="ClsRandAugment", num_ops=3, magnitude=9))
    random.seed(0)
    for _ in range(2000):
        transform(dict(img=None))
    assert len(calls) == 15 and calls.total() == pytest.approx(3000, abs=200)
    assert min(calls.values()) > 140


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_random_policies_work_on_images_of_any_size(dtype):
    random.seed(0)
    transforms = [
        TRANSFORMS.build(cfg)
        for cfg in (dict(type="ClsAutoAugment", policy="imagenet"), dict(type="ClsRandAugment"))
    ]
    for size in (1, 2, 31):
        image = photo(31)[:size, : size + 1].astype(dtype)
        for transform in transforms * 60:
            result = transform(dict(img=image))["img"]
            assert result.shape == image.shape and result.dtype == dtype
        assert (image == photo(31)[:size, : size + 1]).all()
