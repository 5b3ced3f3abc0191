"""mini-LVIS: a seeded, procedural data set in the file format and layout of LVIS v1."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pycocotools.mask as mask_api
from tqdm import tqdm

from mmdet_ltnorm.class_groups import frequency_group
from mmdet_ltnorm.data.synthetic.made_folder import made_folder
from mmdet_ltnorm.data.synthetic.mini_lvis_plan import (
    share_out,
    train_counts,
    val_counts,
)
from mmdet_ltnorm.data.synthetic.mini_lvis_scene import (
    MAX_CATEGORIES,
    SceneObject,
    category_look,
    draw_scene,
)
from mmdet_ltnorm.data.synthetic.procedural import mask_polygons
from mmdet_ltnorm.reading import read_json
from mmdet_ltnorm.writing import write_text

VERSION = 1  # counts the changes after which the same arguments give other bytes
# Ids are unique over both files, as in LVIS, and stay where they are when a set grows.
FIRST_IMAGE_ID = {"train": 1, "val": 1_000_001}
NEGATIVES_PER_IMAGE = 5
MAX_IMAGES = 1_000_000  # of a split: as many ids as there are between the first ones
IMAGE_SIZES = range(32, 4097)  # pixels
NOT_EXHAUSTIVE = 0.2  # share of the categories that an image shows more than once


def make_mini_lvis(
    out_dir: str | Path,
    *,
    num_train: int = 600,
    num_val: int = 120,
    num_categories: int = 24,
    image_size: int = 128,
    seed: int = 0,
    category_names: Sequence[str] | None = None,
    populate_groups: bool = True,
    progress: bool = False,
) -> bool:
    """Write a miniature of LVIS v1 and return whether `out_dir` did not hold it already.

    A category is a shape with a texture and a range of hues. The numbers of its training images
    follow the power law p(n) ~ 1/n, which is about what LVIS v1 has (337 rare, 461 common and 405
    frequent categories in 1-10, 11-100 and 101-1977 images); validation images are shared evenly.
    Polygons outline the visible part of an object. The same arguments give the same bytes, and
    `out_dir` gets its name only when the set is complete.

    Args:
        category_names: declare these categories, of which only the first `num_categories` occur.
        populate_groups: refuse a set in which a frequency group is empty or a category has fewer
            than 5 validation images.

    Raises:
        ValueError: the sizes do not go together, or `out_dir` holds something else, or another
            process is making it.
    """
    out_dir = Path(out_dir).resolve()
    names = _names(num_categories, category_names)
    if image_size not in IMAGE_SIZES:
        sizes = f"between {IMAGE_SIZES[0]} and {IMAGE_SIZES[-1]} pixels"
        raise ValueError(f"image_size must be {sizes}, got {image_size}")
    for name, number in ("num_train", num_train), ("num_val", num_val):
        if not 1 <= number <= MAX_IMAGES:
            raise ValueError(f"{name} must be between 1 and {MAX_IMAGES}, got {number}")
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, got {seed}")
    counts = {
        "train": train_counts(num_train, num_categories, populate_groups),
        "val": val_counts(num_val, num_categories, populate_groups),
    }
    arguments = {
        "version": VERSION,
        "num_train": num_train,
        "num_val": num_val,
        "num_categories": num_categories,
        "image_size": image_size,
        "seed": seed,
        "category_names": category_names and list(category_names),
    }
    if _holds(out_dir, arguments):
        return False

    with made_folder(out_dir) as partial:
        _write(partial, names, counts, arguments, progress)
    return True


def _names(num_categories: int, category_names: Sequence[str] | None) -> list[str]:
    if not 3 <= num_categories <= MAX_CATEGORIES:
        raise ValueError(
            f"num_categories must be between 3 and {MAX_CATEGORIES}, got {num_categories}"
        )
    if category_names is None:
        return ["_".join(category_look(category)[::-1]) for category in range(num_categories)]
    if len(set(category_names)) < max(num_categories, len(category_names)):
        raise ValueError(
            f"category_names must be at least {num_categories} different names, "
            f"got {len(category_names)}, of which {len(set(category_names))} differ"
        )
    return list(category_names)


def _holds(out_dir: Path, arguments: dict) -> bool:
    if not out_dir.exists() or (out_dir.is_dir() and not any(out_dir.iterdir())):
        return False
    file = out_dir / "annotations" / "lvis_v1_val.json"
    content = read_json(file) if file.is_file() else {}
    info = content.get("info") if isinstance(content, dict) else None
    found = info.get("arguments") if isinstance(info, dict) else None
    if found != arguments:
        differing = [name for name in arguments if found and found.get(name) != arguments[name]]
        what = f"a mini-LVIS with another {', '.join(differing)}" if found else "something else"
        raise ValueError(f"{out_dir} holds {what}: delete it or name another directory")
    return True


def _write(
    root: Path, names: list[str], counts: dict[str, np.ndarray], arguments: dict, progress: bool
) -> None:
    seed = arguments["seed"]
    # The seed says which categories are rare, so that it is not always the same shapes.
    rank = np.random.default_rng(seed).permutation(arguments["num_categories"])
    contents = {}
    for split, first_id in FIRST_IMAGE_ID.items():
        rng = np.random.default_rng([seed, 0, first_id])
        plan = share_out(counts[split][rank], arguments[f"num_{split}"], rng)
        contents[split] = _write_images(root, split, plan, arguments, progress)
    categories = _categories(names, len(rank), contents["train"]["annotations"])
    for split, content in contents.items():
        file = _header(arguments) | content | {"categories": categories}
        text = json.dumps(file, separators=(",", ":"))
        write_text(root / "annotations" / f"lvis_v1_{split}.json", text)


def _header(arguments: dict) -> dict:
    return {
        "info": {
            "description": "mini-LVIS: procedural pictures in the format of LVIS v1",
            "url": "",
            "version": "v1.0",
            "year": 2020,
            "contributor": "",
            "date_created": "2020-01-01 00:00:00",
            "arguments": arguments,
        },
        "licenses": [{"id": 1, "name": "free of rights", "url": ""}],
    }


def _write_images(
    root: Path, split: str, plan: list[list[int]], arguments: dict, progress: bool
) -> dict[str, list[dict]]:
    (root / f"{split}2017").mkdir(parents=True)
    size = arguments["image_size"]
    images: list[dict] = []
    annotations: list[dict] = []
    # disable=None: no bar where the output is a file.
    for present in tqdm(plan, desc=f"{split} images", disable=None if progress else True):
        image_id = FIRST_IMAGE_ID[split] + len(images)
        # Its own generator: a picture depends on its categories, not on the number of pictures.
        rng = np.random.default_rng([arguments["seed"], image_id])
        picture, objects = draw_scene(present, size, rng)
        name = f"{split}2017/{image_id:012}.jpg"
        cv2.imwrite(str(root / name), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        objects, not_exhaustive = _leave_some_out(objects, rng)
        negative = _some_absent(present, arguments["num_categories"], rng)
        images.append(
            {
                "id": image_id,
                "width": size,
                "height": size,
                "coco_url": f"http://images.cocodataset.org/{name}",
                "flickr_url": "",
                "license": 1,
                "date_captured": "2020-01-01 00:00:00",
                "neg_category_ids": [category + 1 for category in negative],
                "not_exhaustive_category_ids": [category + 1 for category in not_exhaustive],
            }
        )
        for category, mask in objects:
            ids = {"id": len(annotations) + 1, "image_id": image_id, "category_id": category + 1}
            annotations.append(ids | _outline(mask))
    return {"images": images, "annotations": annotations}


def _outline(mask: np.ndarray) -> dict:
    polygons = mask_polygons(mask)
    rle = mask_api.merge(mask_api.frPyObjects(polygons, *mask.shape))
    return {
        "bbox": mask_api.toBbox(rle).tolist(),
        "area": float(mask_api.area(rle)),
        "segmentation": polygons,
    }


def _leave_some_out(
    objects: list[SceneObject], rng: np.random.Generator
) -> tuple[list[SceneObject], list[int]]:
    """Drop an object of some categories seen more than once; those are then not exhaustive."""
    seen = Counter(category for category, _ in objects)
    chosen = [c for c in sorted(seen) if seen[c] > 1 and rng.random() < NOT_EXHAUSTIVE]
    undermost = {category: index for index, (category, _) in reversed([*enumerate(objects)])}
    left_out = {undermost[category] for category in chosen}
    return [item for index, item in enumerate(objects) if index not in left_out], chosen


def _some_absent(present: list[int], num_categories: int, rng: np.random.Generator) -> list[int]:
    """Return some absent categories; of the others the file says nothing, as LVIS is federated."""
    absent = np.setdiff1d(np.arange(num_categories), present)
    number = min(NEGATIVES_PER_IMAGE, len(absent) // 2)
    return sorted(rng.permutation(absent)[:number].tolist())


def _categories(names: list[str], num_categories: int, annotations: list[dict]) -> list[dict]:
    instances = Counter(annotation["category_id"] for annotation in annotations)
    pairs = {(annotation["category_id"], annotation["image_id"]) for annotation in annotations}
    images = Counter(category_id for category_id, _ in pairs)
    looks = [category_look(category) for category in range(num_categories)]
    definitions = [f"a {shape} with a {texture} surface" for shape, texture in looks]
    definitions += ["does not occur"] * (len(names) - num_categories)
    return [
        {
            "id": category_id,
            "name": name,
            "synset": f"{name}.n.01",
            "synonyms": [name],
            "def": definition,
            "frequency": frequency_group(images[category_id]),
            "image_count": images[category_id],
            "instance_count": instances[category_id],
        }
        for category_id, (name, definition) in enumerate(zip(names, definitions, strict=True), 1)
    ]
