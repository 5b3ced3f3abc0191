"""The check of a config's data, in words, numbers and pictures."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.registry import METRICS, init_default_scope
from terminaltables import AsciiTable

from mmdet_ltnorm.data.wrapped import check_same_classes, class_counts
from mmdet_ltnorm.data_check.findings import DataFindings
from mmdet_ltnorm.data_check.images import check_images
from mmdet_ltnorm.data_check.pictures import draw_counts, draw_samples
from mmdet_ltnorm.data_check.splits import Split, read_splits
from mmdet_ltnorm.engine.checks import check_class_config, check_configured_classes
from mmdet_ltnorm.lettering import literal
from mmdet_ltnorm.results.groups import Groups, counts_and_groups
from mmdet_ltnorm.writing import write_json

MOST_ROWS = 40  # of classes that are printed


@dataclass
class DataCheck:
    """The splits of a config's data, the groups of their classes, and the findings."""

    splits: list[Split]
    groups: Groups
    findings: DataFindings

    def text(self) -> str:
        """Return the check in words; of many classes, the most and the least frequent ones."""
        parts = ["\n".join(split.line() for split in self.splits)]
        if self.splits:
            parts.append(AsciiTable(self._rows()).table)
        if self.groups:
            sizes = (f"{name} {len(classes)}" for name, classes in self.groups.items())
            parts.append(f"classes: {', '.join(sizes)}")
        parts.append(self.findings.text() or "no problem found")
        return "\n\n".join(parts)

    def write(self, out: str | Path) -> None:
        """Write data.json, with everything in full, and the pictures counts.png and samples.png."""
        rows = [
            {"title": split.title, "number of images": split.number, "classes": split.names}
            | {"images": split.images.tolist(), "objects": split.objects.tolist()}
            for split in self.splits
        ]
        groups = {name: classes.tolist() for name, classes in self.groups.items()}
        content = {"splits": rows, "groups": groups, **asdict(self.findings)}
        write_json(Path(out, "data.json"), content)
        if self.splits and self.splits[0].number:
            draw_counts(self.splits, self.groups, Path(out, "counts.png"))
            draw_samples(self.splits[0], self.groups, Path(out, "samples.png"))

    def _rows(self) -> list[list[Any]]:
        first = self.splits[0]
        group_of = {label: name for name, labels in self.groups.items() for label in labels}
        header = ["class", "group"]
        for split in self.splits:
            header.append(f"{split.title}: images")
            header += ["objects"] * split.is_of_objects
        rows = []
        for label in np.argsort(-first.images, kind="stable"):
            row = [literal(first.names[label]), group_of.get(label, "")]
            for split in self.splits:
                if len(split.names) == len(first.names):
                    row.append(split.images[label])
                    row += [split.objects[label]] * split.is_of_objects
            rows.append(row)
        if len(rows) > MOST_ROWS:
            half = MOST_ROWS // 2
            rows[half:-half] = [[f"({len(rows) - MOST_ROWS} more)"]]
        return [header, *rows]


def check_data(cfg: Mapping[str, Any], with_images: bool = True) -> DataCheck:
    """Check the data sets of a config, and their classes against each other and the model's.

    Args:
        with_images: read every image file, which takes as long as an epoch's reading.
    """
    init_default_scope(cfg.get("default_scope", "mmdet"))
    findings = DataFindings()
    splits = read_splits(cfg, findings)
    groups: Groups = {}
    if splits and splits[0].title.startswith("train"):
        groups = _check_training(cfg, splits[0], findings)
    _check_fit(cfg, splits, findings)
    if with_images:
        check_images(splits, findings)
    return DataCheck(splits, groups, findings)


def _check_training(cfg: Mapping[str, Any], split: Split, findings: DataFindings) -> Groups:
    groups: Groups = {}
    with findings.collecting("train"):
        counts, groups = counts_and_groups(cfg, split.dataset)
        own = np.array(class_counts(split.dataset))
        for label in np.flatnonzero(counts != own):
            findings.note(
                "train: image_count is not that of the annotations; tools/coco_to_lvis.py fixes it",
                f"{literal(split.names[label])}: {counts[label]} said, {own[label]} counted",
            )
    return groups


def _check_fit(cfg: Mapping[str, Any], splits: list[Split], findings: DataFindings) -> None:
    """Compare the splits' classes with each other, the model's and the metrics'."""
    loaders = [f"{split.title.partition(',')[0]}_dataloader" for split in splits]
    with findings.collecting("classes"):
        check_class_config(cfg, *loaders)
        for split in splits:
            check_configured_classes(cfg, len(split.names), f"{split.title} has")
            check_same_classes(tuple(splits[0].names), tuple(split.names))
    for split in splits:
        for name, count in zip(split.names, split.images, strict=True):
            if not count:
                findings.note(f"{split.title}: classes without an image", literal(name))
    metrics = []
    for split in splits:
        if split.title.startswith("train"):
            continue
        found = cfg.get(f"{split.title.partition(',')[0]}_evaluator") or []
        for metric in [found] if isinstance(found, Mapping) else found:
            if metric not in metrics:
                metrics.append(metric)
                with findings.collecting(f"{split.title}: {metric['type']}"):
                    METRICS.build(metric).dataset_meta = split.dataset.metainfo
