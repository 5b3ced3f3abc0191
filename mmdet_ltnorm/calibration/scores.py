"""The formulas: functions of logits or scores and of what is known about the classes."""

import torch
from torch import Tensor
from torch.nn import functional as F


def divide_by_frequency(scores: Tensor, class_counts: Tensor, strength: float) -> Tensor:
    r"""Return scores divided by a power of the class counts, each row with the sum it had.

    .. math:: s_c \propto \frac{p_c}{n_c^\gamma}, \quad s_0 \propto p_0

    With a background 0, the column after the classes, it is NorCal: Pan et al., "On Model
    Calibration for Long-Tailed Object Detection and Instance Segmentation", NeurIPS 2021. Without
    one it is post-hoc logit adjustment, :math:`\mathrm{softmax}(z - \tau\log\pi)`, of Menon et
    al., "Long-tail learning via logit adjustment", with strength tau.

    Strength 0 returns the same scores, bit for bit. A class without samples counts as one with one.
    """
    factors = class_counts.clamp(min=1).to(scores.device, torch.float64) ** -strength
    wide = scores.double()
    divided = wide * F.pad(factors, (0, scores.shape[1] - len(factors)), value=1.0)
    rescale = wide.sum(1, keepdim=True) / divided.sum(1, keepdim=True)
    return (divided * rescale).to(scores.dtype)


def normalize_logits(logits: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    r"""Return logits in which every class has the same deviation, and nearly the same mean.

    .. math:: \hat z_c = \frac{z_c - \mu_c + \min_j \mu_j}{\sigma_c}

    Zhao et al., "Logit Normalization for Long-Tail Object Detection" (LogN), IJCV 2024; mean and
    deviation of each class's logit are over the training set. Columns after the classes, the
    background's, stay as they are.
    """
    shift = (mean - mean.min()).to(logits)
    classes = (logits[:, : len(mean)] - shift) / std.to(logits)
    return torch.cat([classes, logits[:, len(mean) :]], dim=1)
