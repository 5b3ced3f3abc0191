"""The number of experts that a network with expert assignment runs for an image."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS


@METRICS.register_module()
class ExpertsUsed(BaseMetric):
    """The mean number of experts that ``ExpertAssignmentClassifier`` ran: ``experts/used``."""

    default_prefix = "experts"

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Keep the number of each sample."""
        self.results.extend(int(sample["num_experts"]) for sample in data_samples)

    def compute_metrics(self, results: list[int]) -> dict[str, float]:
        """Average over all samples."""
        return {"used": float(np.mean(results))}
