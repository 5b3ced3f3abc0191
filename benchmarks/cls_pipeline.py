"""Images per second of the CIFAR training pipeline, against the same one written the usual way.

Both crop and flip, apply AutoAugment and Cutout, and give the main process normalised batches of
512 images from 2 workers. The usual way takes Pillow images and applies one transform after the
other to each: crop, flip, policy, to tensor, cutout, normalise. Ours works on arrays of 8 bits and
normalises batches. The images are those of Shapes-LT. Run: python benchmarks/cls_pipeline.py
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.dataset import default_collate, worker_init_fn
from mmengine.model import ImgDataPreprocessor
from PIL import Image, ImageEnhance, ImageOps
from torch.utils.data import DataLoader, Dataset

from mmdet_ltnorm.data import ShapesLT, make_shapes_lt
from mmdet_ltnorm.data.auto_augment import CIFAR10_POLICY, auto_augment_arguments
from mmdet_ltnorm.results.tables import markdown_table

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
PIPELINE = [
    dict(type="PadCrop", padding=4),
    dict(type="HorizontalFlip"),
    dict(type="ClsAutoAugment", policy="cifar10"),
    dict(type="Cutout", size=16),
    dict(type="PackClsInputs"),
]


# ---- the usual way


def _shear(image: Image.Image, coefficients: tuple) -> Image.Image:
    return image.transform(
        image.size, Image.AFFINE, coefficients, Image.BICUBIC, fillcolor=(128, 128, 128)
    )


def _shift(image: Image.Image, coefficients: tuple) -> Image.Image:
    return image.transform(image.size, Image.AFFINE, coefficients, fillcolor=(128, 128, 128))


PILLOW_OPS: dict[str, Callable[..., Image.Image]] = {
    "auto_contrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
    "invert": ImageOps.invert,
    "posterize": ImageOps.posterize,
    "solarize": ImageOps.solarize,
    "brightness": lambda image, v: ImageEnhance.Brightness(image).enhance(v),
    "color": lambda image, v: ImageEnhance.Color(image).enhance(v),
    "contrast": lambda image, v: ImageEnhance.Contrast(image).enhance(v),
    "sharpness": lambda image, v: ImageEnhance.Sharpness(image).enhance(v),
    "rotate": lambda image, v: image.rotate(v, fillcolor=(128, 128, 128)),
    "shear_x": lambda image, v: _shear(image, (1, v, 0, 0, 1, 0)),
    "shear_y": lambda image, v: _shear(image, (1, 0, 0, v, 1, 0)),
    "translate_x": lambda image, v: _shift(image, (1, 0, v * image.size[0], 0, 1, 0)),
    "translate_y": lambda image, v: _shift(image, (1, 0, 0, 0, 1, v * image.size[1])),
}


def pillow_pad_crop(image: Image.Image) -> Image.Image:
    padded = ImageOps.expand(image, border=4, fill=0)
    left, top = random.randint(0, 8), random.randint(0, 8)
    return padded.crop((left, top, left + 32, top + 32))


def pillow_flip(image: Image.Image) -> Image.Image:
    return image.transpose(Image.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image


PILLOW_POLICY = [
    [(PILLOW_OPS[name], p, auto_augment_arguments(name, level)) for name, p, level in pair]
    for pair in CIFAR10_POLICY
]


def pillow_auto_augment(image: Image.Image) -> Image.Image:
    for op, probability, arguments in random.choice(PILLOW_POLICY):
        if random.random() < probability:
            image = op(image, *random.choice(arguments))
    return image


def to_tensor(image: Image.Image) -> torch.Tensor:
    array = torch.from_numpy(np.array(image, np.uint8, copy=True))
    return array.permute(2, 0, 1).contiguous().to(torch.float32).div(255)


def tensor_cutout(image: torch.Tensor) -> torch.Tensor:
    y, x = random.randrange(32), random.randrange(32)
    mask = np.ones((32, 32), np.float32)
    mask[max(y - 8, 0) : y + 8, max(x - 8, 0) : x + 8] = 0
    return image * torch.from_numpy(mask).expand_as(image)


def tensor_normalize(image: torch.Tensor) -> torch.Tensor:
    mean, std = torch.as_tensor(MEAN), torch.as_tensor(STD)
    return image.clone().sub_(mean.view(-1, 1, 1)).div_(std.view(-1, 1, 1))


USUAL_STEPS: dict[str, Callable] = {
    "from array": Image.fromarray,
    "crop": pillow_pad_crop,
    "flip": pillow_flip,
    "AutoAugment": pillow_auto_augment,
    "to tensor": to_tensor,
    "Cutout": tensor_cutout,
    "normalise": tensor_normalize,
}


class UsualDataset(Dataset):
    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        image = self.images[index]
        for step in USUAL_STEPS.values():
            image = step(image)
        return image, int(self.labels[index])


# ---- measuring


def our_steps(dataset: ShapesLT) -> dict[str, Callable]:
    names = ["crop", "flip", "AutoAugment", "Cutout", "to tensor"]
    steps = dict(zip(names, dataset.pipeline.transforms, strict=True))
    return {"from array": dataset.get_data_info} | steps


def microseconds(steps: dict[str, Callable], items: Iterable[Any]) -> dict[str, float]:
    """Return the mean processor time of each step for one item."""
    spent = dict.fromkeys(steps, 0.0)
    items = list(items)
    for item in items:
        for name, step in steps.items():
            start = time.process_time()
            item = step(item)
            spent[name] += time.process_time() - start
    return {name: 1e6 * seconds / len(items) for name, seconds in spent.items()}


def images_per_second(loader: DataLoader, finish: Callable[[Any], torch.Tensor]) -> float:
    start = time.perf_counter()
    number = sum(len(finish(batch)) for batch in loader)
    return number / (time.perf_counter() - start)


def measure_rates(dataset: ShapesLT, usual: UsualDataset, normalize: Any, rounds: int) -> None:
    options = dict(batch_size=512, shuffle=True, num_workers=2, persistent_workers=True)
    options["worker_init_fn"] = partial(worker_init_fn, num_workers=2, rank=0, seed=0)
    ours = DataLoader(dataset, collate_fn=default_collate, **options)
    candidates = {
        "usual": (DataLoader(usual, **options), lambda batch: batch[0]),
        "ours": (ours, lambda batch: normalize(batch)["inputs"]),
    }
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds + 1):  # in turns, so that a busy machine slows both alike
        for name, candidate in candidates.items():
            rates[name].append(images_per_second(*candidate))
    ratios = [ours / usual for ours, usual in zip(rates["ours"], rates["usual"], strict=True)][1:]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    rows = [[name, f"{statistics.median(values[1:]):.0f}"] for name, values in rates.items()]
    print(markdown_table(["", "images/s"], [*rows, ["ratio", spread]]))


def measure_steps(dataset: ShapesLT, usual: UsualDataset, normalize: Any) -> None:
    number = range(min(2000, len(dataset)))
    tables = {
        "usual": microseconds(USUAL_STEPS, (usual.images[i] for i in number)),
        "ours": microseconds(our_steps(dataset), number),
    }
    batch = torch.from_numpy(usual.images[:512]).permute(0, 3, 1, 2).contiguous()
    batches = microseconds({"normalise": normalize}, ({"inputs": batch} for _ in range(10)))
    tables["ours"]["normalise"] = batches["normalise"] / len(batch)
    for times in tables.values():
        times["all"] = sum(times.values())
    rows = [
        [step, *(f"{table[step]:.1f}" for table in tables.values())] for step in tables["usual"]
    ]
    print("\n" + markdown_table(["µs an image", *tables], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each; median is reported")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        make_shapes_lt(root, train_per_class=args.images // 10, test_per_class=1)
        dataset = ShapesLT(data_root=root, pipeline=PIPELINE)
    images = np.ascontiguousarray(dataset.images[..., ::-1])
    usual = UsualDataset(images, dataset.get_labels())
    normalize = ImgDataPreprocessor(
        mean=[255 * v for v in MEAN], std=[255 * v for v in STD], bgr_to_rgb=True
    )
    measure_rates(dataset, usual, normalize, args.rounds)
    measure_steps(dataset, usual, normalize)


if __name__ == "__main__":
    main()
