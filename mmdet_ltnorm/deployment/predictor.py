"""Predictions of trained models for image files."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import mmcv
import torch
from mmcv.transforms import Compose
from mmengine.device import get_device
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray

from mmdet_ltnorm.analysis.trained import load_model
from mmdet_ltnorm.classification import ImageClassifier
from mmdet_ltnorm.deployment.classes import class_names, known_groups
from mmdet_ltnorm.deployment.drawing import draw_classes, draw_detections
from mmdet_ltnorm.writing import write_json

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
TOP = 5


class Predictor:
    """A trained classifier or detector, called on images.

    They go through the test pipeline of the config. Where that neither resizes nor crops, as on
    CIFAR, a classifier should get images of the size that it was trained with.

    mmdet's ``DetInferencer(model=CONFIG, weights=CHECKPOINT)`` takes the detectors' configs, too.
    Given a checkpoint alone, it runs the config's text in that file as Python: only for files that
    you trust. This class always asks for the config, and never runs what is in a checkpoint.

    Raises:
        FileNotFoundError: naming the file.
        ValueError: the checkpoint is of another model, or names other classes.
    """

    def __init__(self, config: str | Path, checkpoint: str | Path) -> None:
        self.cfg, self.model, meta = load_model(config, checkpoint)
        self.model.to(get_device())
        self.is_classifier = isinstance(self.model, ImageClassifier)
        self.class_names = class_names(self.cfg, self.model, meta)
        self.groups = known_groups(self.cfg)
        self._group_of = {c: name for name, classes in self.groups.items() for c in classes}
        loading, *steps = self.cfg.test_dataloader.dataset.pipeline
        if "LoadImage" not in loading["type"]:  # the data set holds its images
            loading, steps = dict(type="LoadImageFromFile"), [loading, *steps]
        self._pipeline = Compose([loading, *steps])

    @torch.no_grad()
    def __call__(self, image: str | Path) -> BaseDataElement:
        """Return the image's sample: ``pred_score`` of a classifier, ``pred_instances``."""
        packed = self._pipeline(dict(img_path=str(image), img_id=0))
        batch = {key: [value] for key, value in packed.items()}
        return self.model.test_step(batch)[0].cpu()

    def record(self, sample: BaseDataElement, score_thr: float = 0.3) -> list[dict[str, Any]]:
        """Return what was predicted as JSON has it, the best first.

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
        self, image: str | Path, sample: BaseDataElement, out: str | Path, score_thr: float = 0.3
    ) -> None:
        """Draw the predictions, where the classes' groups are known in their colours.

        Frequent or many-shot classes are blue, common or medium ones orange, the rest green.
        """
        picture = mmcv.imread(image, channel_order="rgb")
        if self.is_classifier:
            draw_classes(picture, self.record(sample), self.groups, out)
        else:
            draw_detections(picture, sample, self.class_names, self.groups, score_thr, out)

    def _entry(self, label: int, score: float) -> dict[str, Any]:
        entry = {"class": self.class_names[label], "label": label, "score": round(score, 4)}
        return entry | ({"group": self._group_of[label]} if self.groups else {})


def predict_files(
    predictor: Predictor, images: Sequence[str | Path], out: str | Path, score_thr: float = 0.3
) -> list[dict[str, Any]]:
    """Predict for files and all images in folders; write pictures and ``predictions.json``.

    Returns:
        What the file holds: for each image its path, the name of its picture, and its predictions.

    Raises:
        FileNotFoundError: there is no such file, or no image in a folder.
        ValueError: a file is not an image.
    """
    files = list(image_files(images))
    repeated = Counter(file.stem for file in files)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    records = []
    for number, file in enumerate(files):
        if mmcv.imread(file) is None:
            raise ValueError(f"{file} is not an image that OpenCV can read: damaged, or no image?")
        name = f"{file.stem}.png" if repeated[file.stem] == 1 else f"{file.stem}_{number}.png"
        sample = predictor(file)
        predictor.draw(file, sample, out / name, score_thr)
        predictions = predictor.record(sample, score_thr)
        records.append({"image": str(file), "picture": name, "predictions": predictions})
    write_json(out / "predictions.json", records)
    return records


def image_files(paths: Sequence[str | Path]) -> Iterator[Path]:
    """Yield the files, and in the place of a folder its images by their names.

    Raises:
        FileNotFoundError: there is no such file, or no image in a folder.
    """
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"{path.absolute()} does not exist")
        inside = [path]
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
            if not inside:
                raise FileNotFoundError(f"no image is in {path.absolute()}")
        yield from inside


def _run_lengths(mask: NDArray[Any]) -> dict[str, Any]:
    from mmdet.structures.mask import encode_mask_results

    (encoded,) = encode_mask_results([mask])
    return encoded | {"counts": encoded["counts"].decode()}
