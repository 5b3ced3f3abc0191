"""A check of every image: damaged images, sizes unlike the annotations, duplicates."""

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

from mmdet_ltnorm.data.annotations import size_fault
from mmdet_ltnorm.data.image_files import check_whole
from mmdet_ltnorm.data.transforms import LoadImageFromFile
from mmdet_ltnorm.data_check.findings import DataFindings
from mmdet_ltnorm.data_check.splits import Split


class Seen(NamedTuple):
    """The facts about an image that was read."""

    name: str
    label: int | None
    pixels: bytes  # their digest
    fault: str = ""
    size_fault: str = ""


def check_images(splits: Sequence[Split], findings: DataFindings) -> None:
    """Read every image once, and note the faults."""
    known: dict[bytes, tuple[str, Seen]] = {}
    console = Console(stderr=True)
    with ThreadPoolExecutor() as pool:  # what reads images lets other threads work
        for split in splits:
            reading = pool.map(lambda place: _seen(*place), split.infos())
            title = f"{split.title}: reading images"
            for seen in track(
                reading, title, split.number, console=console, disable=not console.is_terminal
            ):
                if seen.fault:
                    findings.problem(f"{split.title}: images that cannot be read", seen.fault)
                    continue
                if seen.size_fault:
                    what = f"{split.title}: images of another size than annotated"
                    findings.problem(what, seen.size_fault)
                title, first = known.setdefault(seen.pixels, (split.title, seen))
                if first is not seen:
                    _twice(title, first, split.title, seen, findings)


def load_image(part: Any, info: Mapping[str, Any]) -> dict[str, Any]:
    """Load an image as its data set does.

    Raises:
        OSError, ValueError: it is missing or damaged.
    """
    if "img" in info:
        return dict(info)
    check_whole(info["img_path"])
    load = next(iter(part.pipeline.transforms), None) or LoadImageFromFile()
    return load(dict(info))


def _seen(part: Any, index: int) -> Seen:
    info = part.get_data_info(index)
    name = str(info.get("img_path", f"image {index} of {type(part).__name__}"))
    label = info.get("gt_label")
    try:
        loaded = load_image(part, info)
    except (OSError, ValueError) as error:
        return Seen(name, label, b"", str(error))
    annotated = (info.get("height"), info.get("width"))
    fault = size_fault(name, loaded["ori_shape"][:2], annotated) if all(annotated) else ""
    pixels = np.ascontiguousarray(loaded["img"])
    digest = hashlib.blake2b(pixels, digest_size=16, salt=str(pixels.shape).encode()[:16])
    return Seen(name, label, digest.digest(), size_fault=fault)


def _twice(title: str, first: Seen, other_title: str, other: Seen, findings: DataFindings) -> None:
    pair = f"{other.name} is {first.name}"
    if title == other_title:
        if first.label != other.label:
            findings.problem(f"{title}: one image with two labels", pair)
        else:
            findings.note(f"{title}: images that are there twice", pair)
    elif title.startswith("train"):
        findings.problem(f"{other_title}: images that are training images, too", pair)
    else:
        findings.note(f"{other_title}: images of {title}", pair)
