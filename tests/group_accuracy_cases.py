"""Random predictions for the tests of GroupAccuracy, and their scores by loops."""

import math

import numpy as np
import torch
from mmengine.evaluator import Evaluator

import mmdet_ltnorm.evaluation  # noqa: F401, registers GroupAccuracy

COUNTS = [500, 250, 100, 60, 20, 19, 3, 0]  # 2 many, 3 medium, 3 few


def random_samples(number=60, classes=8, seed=0, balanced=False):
    """Return predictions with ties, unsorted indices, and no sample of the last class."""
    draw = np.random.default_rng(seed)
    labels = np.arange(number) % classes if balanced else draw.integers(0, classes - 1, number)
    logits = draw.integers(0, 4, (number, classes)) + np.eye(classes)[labels]
    scores = torch.tensor(logits).softmax(1).float()
    return [
        dict(sample_idx=int(index), pred_score=score, gt_label=torch.tensor([label]))
        for index, score, label in zip(draw.permutation(number), scores, labels, strict=True)
    ]


def evaluate(samples, size=None, batch_size=7, counts=COUNTS, **options):
    evaluator = Evaluator(dict(type="GroupAccuracy", class_counts=counts, **options))
    evaluator.dataset_meta = dict(classes=tuple("abcdefgh"))
    for start in range(0, len(samples), batch_size):
        evaluator.process(samples[start : start + batch_size])
    return evaluator.evaluate(len(samples) if size is None else size)


def reference(samples, counts=COUNTS):
    """Return the scores, each by one obvious loop."""
    ranked = [np.argsort(-s["pred_score"].numpy(), kind="stable").tolist() for s in samples]
    labels = [s["gt_label"].item() for s in samples]
    per_class = {}
    for label, order in zip(labels, ranked, strict=True):
        per_class.setdefault(label, []).append(order[0] == label)
    groups = {"many": [], "medium": [], "few": []}
    for label, hits in per_class.items():
        n = counts[label]
        name = "many" if n > 100 else "few" if n < 20 else "medium"
        groups[name].append(sum(hits) / len(hits))
    error = 0.0
    for b in range(15):
        inside = [
            (order[0] == label, s["pred_score"].max().item())
            for s, order, label in zip(samples, ranked, labels, strict=True)
            if b / 15 < s["pred_score"].max().item() <= (b + 1) / 15
        ]
        if inside:
            right, confidence = np.mean(inside, axis=0)
            error += len(inside) / len(samples) * abs(right - confidence)
    return {
        "accuracy/all": 100 * np.mean([o[0] == y for o, y in zip(ranked, labels, strict=True)]),
        **{f"accuracy/{k}": 100 * np.mean(v) if v else math.nan for k, v in groups.items()},
        "accuracy/top5": 100 * np.mean([y in o[:5] for o, y in zip(ranked, labels, strict=True)]),
        "accuracy/ece": 100 * error,
    }
