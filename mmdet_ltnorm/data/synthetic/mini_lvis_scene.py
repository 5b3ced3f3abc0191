"""The scenes of mini-LVIS: textured shapes that overlap."""

import numpy as np

from mmdet_ltnorm.data.synthetic.procedural import (
    SHAPES,
    TEXTURES,
    draw_background,
    draw_shape,
    draw_surface,
    mix,
)

OBJECTS_PER_IMAGE = (2, 5)
LEAST_VISIBLE = 0.5  # share of an object that others may not hide
# In units of the image size.
OBJECT_RADIUS = (0.11, 0.24)
TEXTURE_PERIOD = (0.07, 0.1)
HUE_STEP = 0.618  # the golden ratio spreads any number of hues evenly

MAX_CATEGORIES = len(SHAPES) * len(TEXTURES)

# A category and the boolean mask of what is visible of it.
SceneObject = tuple[int, np.ndarray]


def category_look(category: int) -> tuple[str, str]:
    """Return a category's shape and texture: every pair once, neighbours differing in both."""
    turn, shape = divmod(category, len(SHAPES))
    return list(SHAPES)[shape], list(TEXTURES)[(category + turn) % len(TEXTURES)]


def draw_scene(
    categories: list[int], size: int, rng: np.random.Generator
) -> tuple[np.ndarray, list[SceneObject]]:
    """Return a picture, uint8 RGB, of one object or more of each category, and its objects."""
    picture = draw_background((size, size), rng)
    objects: list[SceneObject] = []
    areas: list[int] = []
    for category in _lineup(categories, rng):
        shape, texture = category_look(category)
        coverage = _place(shape, size, objects, areas, rng)
        period = size * rng.uniform(*TEXTURE_PERIOD)
        surface = draw_surface(texture, category * HUE_STEP, (size, size), period, rng)
        picture = mix(coverage / np.float32(255), surface, picture)
        mask = coverage > 127
        for _, visible in objects:
            visible &= ~mask
        objects.append((category, mask))
        areas.append(np.count_nonzero(mask))
    picture += 0.03 * rng.standard_normal(picture.shape, dtype=np.float32)
    return (255 * picture.clip(0, 1)).round().astype(np.uint8), objects


def _lineup(categories: list[int], rng: np.random.Generator) -> list[int]:
    """Return the categories, and repetitions of some, in the order of painting."""
    if not categories:
        return []
    number = max(len(categories), rng.integers(*OBJECTS_PER_IMAGE, endpoint=True))
    repeated = rng.choice(categories, number - len(categories))
    return rng.permutation([*categories, *repeated]).tolist()


def _place(
    shape: str, size: int, objects: list[SceneObject], areas: list[int], rng: np.random.Generator
) -> np.ndarray:
    """Draw a shape where every earlier object stays visible enough; return its coverage."""
    largest = 1.0
    while True:
        radius = size * largest * rng.uniform(*OBJECT_RADIUS)
        centre = rng.uniform(0.6 * radius, size - 0.6 * radius, 2)
        angle, aspect = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.25)
        coverage = draw_shape(shape, (size, size), centre, radius, angle, aspect)
        uncovered = coverage <= 127
        if all(
            np.count_nonzero(visible & uncovered) >= LEAST_VISIBLE * area
            for (_, visible), area in zip(objects, areas, strict=True)
        ):
            return coverage
        largest *= 0.95  # a small object finds a gap
