"""Predictions of trained models for image files."""

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import TRANSFORMS
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray

from mmdet_ltnorm.data.image_files import check_whole, folder_content
from mmdet_ltnorm.data.wrapped import dataset_configs
from mmdet_ltnorm.deployment.classes import class_names, known_groups
from mmdet_ltnorm.deployment.drawing import draw_classes, draw_detections
from mmdet_ltnorm.lettering import some
from mmdet_ltnorm.reading import read_json
from mmdet_ltnorm.results.trained import is_detector, load_model
from mmdet_ltnorm.writing import write_json

PREDICTIONS = "predictions.json"
TOP = 5


class Predictor:
    """A trained classifier or detector, called on images.

    They go through the test pipeline of the config. Where that neither resizes nor crops, as on
    CIFAR, a classifier should get images of the size that it was trained with. An image is a file
    or an array as OpenCV reads it: height, width and three colours, blue first, from 0 to 255.

    mmdet's ``DetInferencer(model=CONFIG, weights=CHECKPOINT)`` takes the detectors' configs, too.
    Given a checkpoint alone, it finds no config: this package drops its text from the file, which
    mmdet would run as Python.

    Raises:
        FileNotFoundError: naming the file.
        ValueError: the checkpoint is of another model, or names other classes.
    """

    def __init__(self, config: str | Path, checkpoint: str | Path) -> None:
        self.cfg, self.model, meta = load_model(config, checkpoint)
        self.model.to(get_device())
        self.is_classifier = not is_detector(self.model)
        self.class_names = class_names(self.cfg, self.model, meta)
        self.groups = known_groups(self.cfg)
        self._group_of = {c: name for name, classes in self.groups.items() for c in classes}
        loading, *steps = next(dataset_configs(self.cfg.test_dataloader.dataset))["pipeline"]
        if "LoadImage" not in loading["type"]:  # the data set holds its images
            loading, steps = dict(type="LoadImageFromFile"), [loading, *steps]
        self._load = TRANSFORMS.build(loading)
        self._steps = Compose(steps)

    @torch.no_grad()
    def __call__(self, image: Any) -> Any:
        """Return the sample of an image, or a list of samples for a list of images.

        A classifier's has ``pred_score``, a detector's ``pred_instances``.

        Raises:
            ValueError: the file is no image, or the model's scores are no numbers.
        """
        if isinstance(image, list | tuple):
            return [self(each) for each in image]
        packed = self._steps(self._loaded(image))
        batch = {key: [value] for key, value in packed.items()}
        sample = self.model.test_step(batch)[0].cpu()
        found = sample.pred_instances.scores if "pred_instances" in sample else sample.pred_score
        if not found.isfinite().all():
            name = "the array" if isinstance(image, np.ndarray) else image
            raise ValueError(f"{name}: the model's scores are NaN: did its training diverge?")
        return sample

    def _loaded(self, image: str | Path | NDArray[Any]) -> dict[str, Any]:
        """Read an image as the test pipeline does: blue first, turned by its EXIF entry."""
        if isinstance(image, np.ndarray):
            if image.ndim != 3 or image.shape[2] != 3 or not image.size:
                raise ValueError(
                    "an image must be an array of height, width and three colours, blue first, got "
                    f"one of shape {image.shape}"
                )
            size = image.shape[:2]
            return dict(img=image, img_shape=size, ori_shape=size, img_path=None, img_id=0)
        loaded = self._load(dict(img_path=str(image), img_id=0))
        if loaded is None:
            raise ValueError(f"{image} is not an image that can be read")
        return loaded

    def record(self, sample: BaseDataElement, score_thr: float = 0.3) -> list[dict[str, Any]]:
        """Return the predictions for JSON, the best first.

        Each entry has the class's name, its label, score, and group if that is known: the five best
        classes, or the detections from a score on with ``bbox`` (x1, y1, x2, y2) in pixels, and
        ``mask``, COCO's run lengths.
        """
        if self.is_classifier:
            best = sample.pred_score.topk(min(TOP, len(self.class_names)))
            return [
                self._entry(label, score)
                for score, label in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            ]
        found = sample.pred_instances
        found = found[found.scores >= score_thr]
        entries = []
        for index in found.scores.argsort(descending=True).tolist():
            entry = self._entry(int(found.labels[index]), float(found.scores[index]))
            entry["bbox"] = [round(x, 2) for x in found.bboxes[index].tolist()]
            if "masks" in found:
                entry["mask"] = _run_lengths(found.masks[index].numpy())
            entries.append(entry)
        return entries

    def draw(
        self,
        image: str | Path | NDArray[Any],
        sample: BaseDataElement,
        out: str | Path,
        score_thr: float = 0.3,
    ) -> None:
        """Draw the predictions, in the colours of the classes' groups if these are known.

        Frequent or many-shot classes are blue, common or medium ones orange, the rest green.
        """
        picture = np.clip(self._loaded(image)["img"], 0, 255).astype(np.uint8)
        picture = picture[..., 2::-1] if picture.ndim == 3 else np.stack(3 * [picture], axis=-1)
        if self.is_classifier:
            draw_classes(picture, self.record(sample), self.groups, out)
        else:
            draw_detections(picture, sample, self.class_names, self.groups, score_thr, out)

    def _entry(self, label: int, score: float) -> dict[str, Any]:
        entry = {"class": self.class_names[label], "label": label, "score": round(score, 4)}
        return entry | ({"group": self._group_of[label]} if self.groups else {})


def load(config: str | Path, checkpoint: str | Path) -> Predictor:
    """Return a trained classifier or detector that can be called on images.

    Raises:
        FileNotFoundError, ValueError: see :class:`Predictor`.
    """
    return Predictor(config, checkpoint)


def predict_files(
    predictor: Predictor, images: Sequence[str | Path], out: str | Path, score_thr: float = 0.3
) -> list[dict[str, Any]]:
    """Predict for files and all images in folders; write pictures and ``predictions.json``.

    What an earlier call wrote into ``out`` for these images is replaced, and nothing else is ever
    written over. Until all is done, predictions that are to come are ``null`` in the file.

    Returns:
        What the file holds: for each image its path, the name of its picture, and its predictions.

    Raises:
        FileNotFoundError: there is no such file, or no image in a folder.
        ValueError: ``out`` is a folder of the images, or holds files of others: nothing was
            written. Or, in the end, some images could not be read: those of all others were.
    """
    if not 0 <= score_thr <= 1:
        raise ValueError(f"the score threshold must be between 0 and 1, got {score_thr}")
    files = image_files(images)
    out = Path(out)
    pictures = dict(zip(picture_names(files), files, strict=True))
    replaced = _checked_folder(out, pictures)
    records = [
        {"image": str(file), "picture": name, "predictions": None}
        for name, file in pictures.items()
    ]
    write_json(out / PREDICTIONS, records)
    failures = []
    for record, file in zip(records, files, strict=True):
        try:
            check_whole(file)
            sample = predictor(file)
            predictions = predictor.record(sample, score_thr)
            predictor.draw(file, sample, out / record["picture"], score_thr)
            record["predictions"] = predictions
        except Exception as error:  # one image of thousands must not cost the others
            reason = str(error) or type(error).__name__
            failures.append(reason if str(file) in reason else f"{file}: {reason}")
            print_log(f"left out {failures[-1]}", logger="current", level=logging.WARNING)
    records = [record for record in records if record["predictions"] is not None]
    write_json(out / PREDICTIONS, records)
    for name in replaced.difference(record["picture"] for record in records):
        (out / name).unlink(missing_ok=True)  # an older model's
    if failures:
        raise ValueError(
            f"{len(failures)} of {len(files)} images have no prediction, the other {len(records)} "
            f"are in {out}:\n" + "\n".join(failures)
        )
    return records


def image_files(paths: Sequence[str | Path]) -> list[Path]:
    """Return the absolute paths of files, and of the images in folders.

    A file that is named twice is there once.

    Raises:
        FileNotFoundError: there is no such file, or no image in a folder.
    """
    found: list[Path] = []
    for path in (Path(os.path.abspath(path)) for path in paths):
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
        if not path.is_dir():
            found.append(path)
            continue
        images, others, folders = folder_content(path)
        left_out = [*others, *(f"{folder}/" for folder in folders)]
        if not images:
            raise FileNotFoundError(
                f"no image is in {path}" + (f": it holds {some(left_out)}" if left_out else "")
            )
        if left_out:
            names = f"{path}: {some(left_out)}, {len(left_out)} in all"
            message = f"left out what is no image by its name in {names}"
            print_log(message, logger="current", level=logging.WARNING)
        found += [path / image for image in images]
    return list(dict.fromkeys(found))


def picture_names(files: Sequence[Path]) -> list[str]:
    """Return a name for each image's picture; names differ in more than case."""
    stems = [file.stem.casefold() for file in files]
    taken = {stem for stem, number in Counter(stems).items() if number == 1}
    names = []
    for number, (file, stem) in enumerate(zip(files, stems, strict=True)):
        name = file.stem
        if stem not in taken:
            free = (k for k in count(number) if f"{stem}_{k}" not in taken)
            name = f"{file.stem}_{next(free)}"
            taken.add(name.casefold())
        names.append(f"{name}.png")
    return names


def _checked_folder(out: Path, pictures: Mapping[str, Path]) -> set[str]:
    """Return the pictures in a folder that an earlier call made of these images.

    Raises:
        ValueError: something would be written over that is no such picture.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file, and pictures go to a folder")
    for file in pictures.values():
        if file.parent.resolve() == out.resolve():
            raise ValueError(
                f"{out} is the folder of the image {file.name}: pictures would lie among the "
                "images or over them; write to another folder"
            )
    earlier = _earlier(out / PREDICTIONS)
    if others := sorted(set(earlier.values()).difference(map(str, pictures.values()))):
        raise ValueError(
            f"{out / PREDICTIONS} has predictions for other images, {some(others)}: write to "
            "another folder, or move them away"
        )
    for name, image in pictures.items():
        path = out / name
        if path.is_symlink() or (path.exists() and earlier.get(name) != str(image)):
            raise ValueError(
                f"{path} is there already, and no picture of {image} by an earlier run: write to "
                "another folder, or move it away"
            )
    return set(earlier)


def _earlier(file: Path) -> dict[str, str]:
    """Return the image of each picture of an earlier call, from its ``predictions.json``."""
    if not file.exists() and not file.is_symlink():
        return {}
    try:
        records = read_json(file)
        earlier = {record["picture"]: os.path.abspath(record["image"]) for record in records}
        if file.is_symlink() or any(Path(name).name != name for name in earlier):
            raise ValueError
    except (KeyError, OSError, TypeError, ValueError):
        raise ValueError(
            f"{file} is there already, and no earlier run wrote it: write to another folder, or "
            "move it away"
        ) from None
    return earlier


def _run_lengths(mask: NDArray[Any]) -> dict[str, Any]:
    from mmdet.structures.mask import encode_mask_results

    (encoded,) = encode_mask_results([mask])
    return encoded | {"counts": encoded["counts"].decode()}
