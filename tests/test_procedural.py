"""Drawn shapes, textures and outlines are what they are said to be."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pycocotools.mask as mask_api
import pytest
from hypothesis import given, settings

from mmdet_ltnorm.data.synthetic.procedural import (
    SHAPES,
    TEXTURES,
    draw_background,
    draw_clouds,
    draw_shape,
    draw_surface,
    draw_texture,
    hsv,
    mask_polygons,
)

SIZE = (128, 160)


def area(loop):
    x, y = loop.T
    return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2


def perimeter(loop):
    return np.linalg.norm(loop - np.roll(loop, 1, axis=0), axis=1).sum()


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_covers_its_area_at_any_angle_and_aspect(name):
    outer, *holes = map(area, SHAPES[name])
    inner = 40**2 * (outer - sum(holes))
    # OpenCV fills the pixels that a border touches, half a pixel more than its inside.
    border = 40 * sum(map(perimeter, SHAPES[name]))
    for angle, aspect in ((0, 1), (0.7, 1), (2, 1.25), (4, 0.8)):
        covered = draw_shape(name, SIZE, (80, 64), 40, angle, aspect)
        assert covered.shape == SIZE
        assert covered.sum() / 255 == pytest.approx(inner + border / 2, rel=0.05)


def test_a_shape_lies_around_its_centre_and_turns_clockwise():
    y, x = np.nonzero(draw_shape("disc", SIZE, (50.5, 30.5), 20) > 127)
    assert (x.mean(), y.mean()) == pytest.approx((50, 30), abs=0.1)
    # The head of the arrow, its wider half, points up; a quarter turn later to the right.
    up = draw_shape("arrow", SIZE, (80, 64), 40) > 127
    right = draw_shape("arrow", SIZE, (80, 64), 40, angle=np.pi / 2) > 127
    assert up[:64].sum() > 1.2 * up[64:].sum()
    assert right[:, 80:].sum() > 1.2 * right[:, :80].sum()


@pytest.mark.parametrize("name", sorted(TEXTURES.keys() - {"plain"}))
def test_a_texture_repeats_after_its_period(name):
    texture = draw_texture(name, (256, 256), 16, np.random.default_rng(0))
    assert 0 <= texture.min() < 0.05 < 0.95 < texture.max() <= 1
    spectrum = np.abs(np.fft.fft2(texture - texture.mean()))
    row, column = np.unravel_index(spectrum.argmax(), spectrum.shape)
    frequency = np.hypot(np.fft.fftfreq(256)[row], np.fft.fftfreq(256)[column])
    # Checks repeat along the diagonals of the two axes.
    expected = np.sqrt(2) / 16 if name == "checked" else 1 / 16
    assert frequency == pytest.approx(expected, rel=0.07)


def test_images_stay_within_bounds_and_differ_from_one_another():
    rng = np.random.default_rng(0)
    clouds = draw_clouds(SIZE, 3, rng)
    surface = draw_surface("striped", 0.5, SIZE, 10, rng)
    grounds = [draw_background(SIZE, rng) for _ in range(2)]
    assert clouds.shape == SIZE
    for image in (clouds, surface, *grounds):
        assert image.dtype == np.float32
        assert image.min() >= 0
        assert image.max() <= 1.1
    assert grounds[0].shape == (*SIZE, 3)
    assert np.abs(grounds[0] - grounds[1]).mean() > 0.05


def test_hues_go_around():
    assert hsv(0, 1, 1).tolist() == [1, 0, 0]
    assert hsv(1 / 3, 1, 1) == pytest.approx([0, 1, 0], abs=1e-6)
    assert hsv(-2 / 3, 1, 1) == pytest.approx([0, 1, 0], abs=1e-6)


@settings(max_examples=200, deadline=None)
@given(arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_outlines_rasterise_to_exactly_the_mask(mask):
    polygons = mask_polygons(mask)
    assert all(len(polygon) >= 6 for polygon in polygons)
    if polygons:
        rle = mask_api.merge(mask_api.frPyObjects(polygons, *mask.shape))
        assert (mask_api.decode(rle) == mask).all()
    else:
        assert not mask.any()
