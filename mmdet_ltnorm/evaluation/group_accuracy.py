"""Accuracy of a classifier on all samples and on groups of classes, and its calibration."""

import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS
from numpy.typing import NDArray
from terminaltables import AsciiTable

from mmdet_ltnorm.class_groups import checked_counts, class_groups
from mmdet_ltnorm.evaluation.lvis_report import write_classes
from mmdet_ltnorm.writing import write_json

# What is kept of a sample; ``rank`` is the place of its own class among the scores, from 0.
SAMPLE = np.dtype([("index", "i8"), ("label", "i4"), ("rank", "i4"), ("confidence", "f8")])
BINS = 15  # of confidence, for the calibration error


@METRICS.register_module()
class GroupAccuracy(BaseMetric):
    """Accuracy on all samples and on many-, medium- and few-shot classes, top-5 and calibration.

    ``accuracy/all`` and ``accuracy/top5`` are of samples. ``accuracy/many``, ``/medium`` and
    ``/few`` are means over the classes of a group that have test samples, which on a balanced test
    set is the accuracy of their samples. ``accuracy/ece`` is the expected calibration error. All
    are percentages, not rounded, and NaN for a group without such classes. Of equal scores, the
    first class's ranks higher.

    Samples count once by their ``sample_idx``, however often a sampler repeats them to give all
    ranks as many. (To keep the checkpoint of the least ``accuracy/ece``, tell mmengine's hook
    ``rule='less'``: it takes a name with "acc" in it for one where more is better.)

    Args:
        class_counts: Training samples of each class, which make the groups; by default those of
            the training set, which ``ClassCountsHook`` hands over.
        per_class_file: Where to write a table of the classes, as ``.json`` or ``.csv``.
        results_file: The file for the results of each sample, as ``.json``.

    Raises:
        ValueError: the counts are unknown or those of another number of classes, or scores are not
            probabilities.
    """

    default_prefix = "accuracy"

    def __init__(
        self,
        class_counts: Sequence[int] | None = None,
        per_class_file: str | None = None,
        results_file: str | None = None,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self._counts = None if class_counts is None else checked_counts(class_counts)
        self._counts_are_fixed = class_counts is not None
        self._per_class_file = per_class_file and Path(per_class_file)
        if per_class_file and self._per_class_file.suffix not in (".json", ".csv"):
            raise ValueError(f"per_class_file must end in .json or .csv, got {per_class_file!r}")
        self._results_file = results_file

    def set_class_counts(self, counts: Sequence[int]) -> None:
        """Set the training set's counts, unless the constructor got counts."""
        if not self._counts_are_fixed:
            self._counts = checked_counts(counts)

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep of each sample its index, label, rank of the label, and confidence."""
        scores = torch.stack([sample["pred_score"] for sample in data_samples]).float()
        labels = torch.cat([sample["gt_label"] for sample in data_samples]).to(scores.device)
        self._check(scores, labels)
        own = scores.gather(1, labels[:, None])
        before = torch.arange(scores.shape[1], device=scores.device) < labels[:, None]
        kept = np.empty(len(scores), SAMPLE)
        kept["index"] = [sample["sample_idx"] for sample in data_samples]
        kept["label"] = labels.cpu().numpy()
        kept["rank"] = ((scores > own) | ((scores == own) & before)).sum(1).cpu().numpy()
        kept["confidence"] = scores.amax(1).cpu().numpy()
        self.results.append(kept)

    def _check(self, scores: torch.Tensor, labels: torch.Tensor) -> None:
        if self._counts is None:
            raise ValueError(
                "GroupAccuracy does not know the class counts: add dict(type='ClassCountsHook') "
                "to custom_hooks, which hands over those of the training set, or set class_counts"
            )
        classes = len(self._counts)
        if scores.shape[1] != classes:
            raise ValueError(
                f"the model scores {scores.shape[1]} classes and the class counts are of "
                f"{classes}: num_classes of the head must be that of the training set"
            )
        if labels.min() < 0 or labels.max() >= classes:
            raise ValueError(
                f"labels go from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}: "
                "the test set must have the classes of the training set"
            )
        # A NaN compares false: without this, a model that has diverged would rank first.
        if not ((scores.sum(1) - 1).abs() < 1e-2).all():
            raise ValueError(
                "pred_score must hold probabilities, got a sample whose sum is not 1: has the "
                "training diverged, or does the model predict logits?"
            )

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather the samples of all ranks; ``size`` is how many there should be."""
        self._size = size
        # compute_metrics knows repeated samples by their index, so mmengine need not cut the list.
        return super().evaluate(sys.maxsize)

    def compute_metrics(self, results: list[NDArray[Any]]) -> dict[str, float]:
        """Score each sample once, however many ranks it comes from."""
        samples = _once(results)
        right = samples["rank"] == 0
        tested = np.bincount(samples["label"], minlength=len(self._counts))
        hits = np.bincount(samples["label"], right, minlength=len(self._counts))
        of_class = np.divide(hits, tested, out=np.full(len(tested), np.nan), where=tested > 0)
        groups = class_groups(self._counts)
        fractions = {
            "all": right.mean(),
            **{name: _mean_of_known(of_class[group]) for name, group in groups.items()},
            "top5": (samples["rank"] < 5).mean(),
            "ece": calibration_error(samples["confidence"], right),
        }
        scores = {name: 100 * float(value) for name, value in fractions.items()}
        if self._per_class_file:
            write_classes(self._class_rows(groups, tested, of_class), self._per_class_file)
        if self._results_file:
            columns = {name: samples[name].tolist() for name in SAMPLE.names}
            names = list((self.dataset_meta or {}).get("classes") or ())
            content = {"train_samples": self._counts.tolist(), "classes": names, **columns}
            write_json(self._results_file, content, indent=None)
        self._log(scores, groups, tested, len(samples))
        return scores

    def _class_rows(
        self,
        groups: dict[str, NDArray[np.int64]],
        tested: NDArray[np.int64],
        of_class: NDArray[np.float64],
    ) -> list[dict[str, Any]]:
        group_of = {label: name for name, group in groups.items() for label in group.tolist()}
        names = (self.dataset_meta or {}).get("classes") or range(len(tested))
        return [
            dict(
                label=label,
                name=name,
                group=group_of[label],
                train_samples=int(self._counts[label]),
                test_samples=int(tested[label]),
                accuracy=100 * float(of_class[label]),
            )
            for label, name in enumerate(names)
        ]

    def _log(
        self,
        scores: dict[str, float],
        groups: dict[str, NDArray[np.int64]],
        tested: NDArray[np.int64],
        samples: int,
    ) -> None:
        classes = {"all": np.arange(len(tested)), **groups}
        cells = ["n/a" if math.isnan(value) else f"{value:.2f}" for value in scores.values()]
        sizes = [str(len(classes[name])) if name in classes else "" for name in scores]
        table = AsciiTable([["", *scores], ["percent", *cells], ["classes", *sizes]]).table
        lines = [f"evaluated on {samples} of {self._size} samples"]
        if not tested.all():
            absent = np.flatnonzero(tested == 0)
            labels = np.array2string(absent, separator=", ", threshold=20)
            lines.append(
                f"classes ({len(absent)}) without test samples, left out of their group's mean: "
                f"{labels}"
            )
        level = logging.INFO if samples == self._size else logging.WARNING
        print_log("\n".join([*lines, table]), logger="current", level=level)


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    r"""Return the expected calibration error, in [0, 1], over 15 equal bins closed on the right.

    .. math:: \sum_b \frac{|B_b|}{N} \bigl|\mathrm{acc}(B_b) - \mathrm{conf}(B_b)\bigr|

    Guo et al., "On Calibration of Modern Neural Networks", Eq. 3.
    """
    edges = np.arange(1, BINS) / BINS
    bins = np.searchsorted(edges, confidence, side="left")
    gaps = np.bincount(bins, right - confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def _once(results: list[NDArray[Any]]) -> NDArray[Any]:
    """Return each sample of the batches once."""
    if not results:
        raise ValueError("no sample was evaluated: the data loader gave none")
    samples = np.concatenate(results)
    _, first, same = np.unique(samples["index"], return_index=True, return_inverse=True)
    if (other := samples["label"] != samples["label"][first][same]).any():
        raise ValueError(
            f"sample_idx {samples['index'][other][0]} stands for samples with different labels: "
            "the metric needs one index for each sample; ClassCountsHook in custom_hooks numbers "
            "those of data sets that are joined"
        )
    return samples[first]


def _mean_of_known(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
