"""Pictures that are drawn from numbers: shapes, textures, surfaces, and the outlines of masks.

Colours are triples in [0, 1] and images float32 arrays (height, width, 3) in [0, 1].
"""

import colorsys
from collections.abc import Callable, Sequence

import cv2
import numpy as np


def _circle(radius: float) -> np.ndarray:
    return _spokes([radius] * 48)


def _spokes(radii: Sequence[float]) -> np.ndarray:
    """Return corners at equal angles and the given distances, the first one on top."""
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False) - np.pi / 2
    return np.asarray(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _corners(*coordinates: float) -> np.ndarray:
    return np.reshape(coordinates, (-1, 2)).astype(float)


def _crescent() -> np.ndarray:
    outer = np.linspace(0.2 * np.pi, 1.8 * np.pi, 40)
    inner = np.linspace(1.7 * np.pi, 0.3 * np.pi, 30)
    x = np.concatenate([np.cos(outer), 0.45 + 0.62 * np.cos(inner)])
    y = np.concatenate([np.sin(outer), 0.62 * np.sin(inner)])
    return np.stack([x, y], axis=1)


def _heart() -> np.ndarray:
    t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([16 * np.sin(t) ** 3, -y - 2], axis=1) / 17


# A shape is a list of closed loops around the origin, of radius about 1, y down;
# inside is where an odd number of loops goes around.
SHAPES: dict[str, list[np.ndarray]] = {
    "disc": [_circle(0.85)],
    "square": [_spokes([1, 1, 1, 1])],
    "triangle": [_spokes([1, 1, 1])],
    "star": [_spokes([1, 0.42] * 5)],
    "cross": [_spokes([1, 1, 0.45] * 4)],
    "ring": [_circle(0.95), _circle(0.48)],
    "crescent": [_crescent()],
    "heart": [_heart()],
    "arrow": [_corners(0, -1, 0.85, 0, 0.3, 0, 0.3, 0.95, -0.3, 0.95, -0.3, 0, -0.85, 0)],
    "bolt": [_corners(0.3, -1, -0.7, 0.2, -0.1, 0.2, -0.3, 1, 0.7, -0.3, 0.1, -0.3, 0.65, -1)],
}


def draw_shape(
    name: str,
    image_size: tuple[int, int],
    centre: tuple[float, float],
    radius: float,
    angle: float = 0.0,
    aspect: float = 1.0,
) -> np.ndarray:
    """Return each pixel's coverage by a shape, uint8 of `image_size` = (height, width), 255 = all.

    `centre` is (x, y) in pixels; `angle` turns clockwise, in radians; `aspect` stretches the
    shape's own y axis and shrinks its x axis, which keeps the area.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    turn = radius * np.array([[cos, sin], [-sin, cos]])
    stretch = np.array([aspect**-0.5, aspect**0.5])
    # fillPoly takes fixed-point corners (1/16 pixel) and puts pixel centres on whole numbers.
    loops = [
        np.round(((loop * stretch) @ turn + centre - 0.5) * 16).astype(np.int32)
        for loop in SHAPES[name]
    ]
    coverage = np.zeros(image_size, np.uint8)
    return cv2.fillPoly(coverage, loops, 255, lineType=cv2.LINE_AA, shift=4)


def _stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.sin(u)


def _checks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return 2 * np.sin(u) * np.sin(v)


def _dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.cos(u) + np.cos(v) - 0.3


def _plain(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.ones(np.broadcast(u, v).shape, np.float32)


# A texture is a function of the phases along two crossed axes; its sign parts the two colours.
TEXTURES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "plain": _plain,
    "striped": _stripes,
    "dotted": _dots,
    "checked": _checks,
}


def draw_texture(
    name: str, image_size: tuple[int, int], period: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the share of the first of two colours, in [0, 1], at a random angle and phase.

    `period` is the distance between two stripes, dots or equal checks, in pixels.
    """
    angle, phase_u, phase_v = rng.uniform(0, 2 * np.pi, 3).astype(np.float32)
    y, x = np.ogrid[: image_size[0], : image_size[1]]
    scale = np.float32(2 * np.pi / period)
    x, y = scale * x.astype(np.float32), scale * y.astype(np.float32)
    u = np.cos(angle) * x + np.sin(angle) * y + phase_u
    v = np.cos(angle) * y - np.sin(angle) * x + phase_v
    sharpness = period / 4
    return np.clip(0.5 + sharpness * TEXTURES[name](u, v), 0, 1)


def draw_clouds(image_size: tuple[int, int], cells: int, rng: np.random.Generator) -> np.ndarray:
    """Return smooth noise, float32 in [0, 1], with about `cells` bumps across the image."""
    grid = rng.random((cells + 1, cells + 1), dtype=np.float32)
    height, width = image_size
    return np.clip(cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)


def hsv(hue: float, saturation: float, value: float) -> np.ndarray:
    """Return the RGB colour of a hue (in turns, any real number), saturation and value."""
    return np.array(colorsys.hsv_to_rgb(hue % 1, saturation, value), np.float32)


def mix(share: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Mix two colours or images; `share` is the part of the first."""
    return second + share[..., None] * (first - second)


def draw_surface(
    texture: str, hue: float, image_size: tuple[int, int], period: float, rng: np.random.Generator
) -> np.ndarray:
    """Draw one material: bright and dark shades of about this hue, unevenly lit."""
    bright = hsv(hue + rng.normal(0, 0.04), rng.uniform(0.6, 1), rng.uniform(0.75, 1))
    share = draw_texture(texture, image_size, period, rng)
    light = 0.75 + 0.35 * draw_clouds(image_size, 2, rng)
    return mix(share, bright, rng.uniform(0.25, 0.4) * bright) * light[..., None]


def draw_background(image_size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw muted colours in clouds, under a faint texture."""
    shades = [hsv(rng.random(), rng.uniform(0, 0.35), rng.uniform(0.3, 0.8)) for _ in range(3)]
    ground = mix(draw_clouds(image_size, int(rng.integers(2, 6)), rng), *shades[:2])
    texture = str(rng.choice(list(TEXTURES)))
    period = rng.uniform(0.06, 0.2) * max(image_size)
    faint = rng.uniform(0.1, 0.5) * draw_texture(texture, image_size, period, rng)
    return mix(faint, shades[2], ground)


def mask_polygons(mask: np.ndarray) -> list[list[float]]:
    """Return outlines [x1, y1, x2, y2, ...] that pycocotools rasterises to this boolean mask.

    One polygon for each part; polygons cannot have holes, so that a part with one is cut in two.
    """
    # Outlines run through pixel centres. In the mask of twice the size those lie a quarter of
    # an original pixel inside the region's border: clear of every original pixel's centre.
    doubled = mask.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    outlines, links = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    for outline, (_, _, _, parent) in zip(outlines, links[0] if outlines else (), strict=True):
        if parent >= 0:
            x = outline[:, 0, 0]
            cut = (x.min() + x.max()) // 4
            left, right = mask.copy(), mask.copy()
            left[:, cut:] = False
            right[:, :cut] = False
            return mask_polygons(left) + mask_polygons(right)
    return [((outline.reshape(-1) + 0.5) / 2).tolist() for outline in outlines]
