"""Shapes-LT: a seeded, procedural stand-in for CIFAR, in CIFAR-100's file format."""

import json
from itertools import product
from pathlib import Path

import numpy as np
from mmengine.registry import DATASETS

from mmdet_ltnorm.data.cifar_lt import CIFARFormat, CIFARLayout
from mmdet_ltnorm.data.cifar_pickle import dump_cifar_pickle, load_cifar_pickle
from mmdet_ltnorm.data.synthetic.made_folder import made_folder
from mmdet_ltnorm.data.synthetic.procedural import (
    draw_background,
    draw_shape,
    draw_texture,
    hsv,
    mix,
)

VERSION = 1  # counts the changes after which the same arguments give other bytes
FOLDER = "shapes-python"
IMAGE_SIZE = 32
MAX_BYTES = 2**31 - 1  # of a split's images: CIFAR's format has 31 bits for their length
NOISE = 0.1
RADIUS = (10.5, 15.0)  # pixels
SHIFT = 3.5  # of the centre, in pixels
# In the order in which more classes use more of them; those beside each other differ most.
SHAPES = (
    *("ring", "triangle", "cross", "heart", "disc"),
    *("star", "arrow", "crescent", "bolt", "square"),
)
TEXTURES = (  # pattern and period in pixels
    ("striped", 4.5),
    ("checked", 10.0),
    ("striped", 11.0),
    ("dotted", 7.0),
    ("checked", 6.0),
    ("striped", 7.0),
    ("dotted", 10.5),
    ("checked", 15.0),
    ("dotted", 14.0),
    ("striped", 16.0),
)
MAX_CLASSES = len(SHAPES) * len(TEXTURES)


@DATASETS.register_module()
class ShapesLT(CIFARFormat):
    """The files of `make_shapes_lt`, their training split long-tailed if `imbalance_factor` > 1."""

    layout = CIFARLayout(
        folder=FOLDER,
        splits={"train": ("train",), "test": ("test",)},
        labels="fine_labels",
        meta="meta",
        names="fine_label_names",
        how_to_get="Make it: `python tools/make_shapes_lt.py {root}`.",
        md5={},
    )


def class_looks(num_classes: int) -> list[tuple[int, int]]:
    """Return the shape and the texture of each class, as positions in SHAPES and TEXTURES.

    The pairs fill a square of about sqrt(num_classes) shapes and as many textures, so that a
    class shares its shape with some classes and its texture with others and neither suffices.
    Which class gets which pair is fixed: the same classes are rare whatever the seed.
    """
    pairs = sorted(product(range(len(SHAPES)), range(len(TEXTURES))), key=lambda p: (max(p), p))
    return [pairs[k] for k in np.random.RandomState(0).permutation(num_classes)]


def make_shapes_lt(
    out_dir: str | Path,
    *,
    num_classes: int = 10,
    train_per_class: int = 300,
    test_per_class: int = 100,
    seed: int = 0,
) -> bool:
    """Write balanced splits in CIFAR-100's format; return whether `out_dir` did not hold them.

    A class is a shape with a texture; colours, pose, background and noise are random. The coarse
    label is the shape. `ShapesLT` makes the training split long-tailed: with imbalance 50, a small
    ResNet with cross entropy reaches about 60 % overall and 33 % on the rarest four of 10 classes.
    The same arguments give the same bytes, and the folder gets its name only when complete.

    Raises:
        ValueError: a number is out of range, or `out_dir` holds another such set, or another
            process is making it.
    """
    if not 10 <= num_classes <= MAX_CLASSES:
        raise ValueError(f"num_classes must be between 10 and {MAX_CLASSES}, got {num_classes}")
    most = MAX_BYTES // (3 * IMAGE_SIZE**2 * num_classes)
    for name, number in ("train_per_class", train_per_class), ("test_per_class", test_per_class):
        if not 1 <= number <= most:
            raise ValueError(
                f"{name} must be between 1 and {most} for {num_classes} classes, got {number}"
            )
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    arguments = {
        "version": VERSION,
        "num_classes": num_classes,
        "per_class": [train_per_class, test_per_class],
        "seed": seed,
    }
    folder = Path(out_dir).resolve() / FOLDER
    if _holds(folder, arguments):
        return False
    with made_folder(folder) as partial:
        looks = class_looks(num_classes)
        for number, (split, size) in enumerate(
            [("train", train_per_class), ("test", test_per_class)]
        ):
            dump_cifar_pickle(_split(split, looks, size, [seed, number]), partial / split)
        dump_cifar_pickle(_meta(looks, arguments), partial / "meta")
    return True


def draw_class(look: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Draw an image of a class, uint8 RGB of shape (32, 32, 3)."""
    size = (IMAGE_SIZE, IMAGE_SIZE)
    pattern, period = TEXTURES[look[1]]
    share = draw_texture(pattern, size, period, rng)
    bright = hsv(rng.random(), rng.uniform(0, 1), rng.uniform(0.7, 1))
    dark = hsv(rng.random(), rng.uniform(0, 1), rng.uniform(0, 0.4))
    surface = mix(share, bright, dark)
    radius = rng.uniform(*RADIUS)
    centre = IMAGE_SIZE / 2 + rng.uniform(-SHIFT, SHIFT, 2)
    angle = rng.uniform(0, 2 * np.pi)
    aspect = rng.uniform(0.8, 1.25)
    coverage = draw_shape(SHAPES[look[0]], size, centre, radius, angle, aspect)
    picture = mix(coverage / np.float32(255), surface, draw_background(size, rng))
    picture += NOISE * rng.standard_normal(picture.shape, dtype=np.float32)
    return (255 * picture.clip(0, 1)).round().astype(np.uint8)


def _split(split: str, looks: list[tuple[int, int]], per_class: int, seed: list[int]) -> dict:
    rng = np.random.default_rng(seed)
    # Each image has its own generator: it stays the same if there are more of its class.
    drawn = [
        (label, draw_class(look, np.random.default_rng([*seed, label, number])))
        for label, look in enumerate(looks)
        for number in range(per_class)
    ]
    order = rng.permutation(len(drawn))
    labels = [drawn[i][0] for i in order]
    images = np.stack([drawn[i][1] for i in order])
    return {
        "filenames": [f"{split}_{i:05}.png" for i in range(len(labels))],
        "fine_labels": labels,
        "coarse_labels": [looks[label][0] for label in labels],
        "data": images.transpose(0, 3, 1, 2).reshape(len(labels), -1),
    }


def _meta(looks: list[tuple[int, int]], arguments: dict) -> dict:
    return {
        "fine_label_names": ["{}_{}{:g}".format(SHAPES[s], *TEXTURES[t]) for s, t in looks],
        "coarse_label_names": list(SHAPES),
        "made_with": json.dumps(arguments),
    }


def _holds(folder: Path, arguments: dict) -> bool:
    if not folder.exists():
        return False
    meta = folder / "meta"
    made_with = load_cifar_pickle(meta).get("made_with") if meta.is_file() else None
    if made_with != json.dumps(arguments):
        raise ValueError(
            f"{folder} is not the Shapes-LT asked for, {arguments}; delete it or name another place"
        )
    return True
