"""Supervised contrastive learning in which all classes weigh the same."""

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from mmdet_ltnorm.arguments import checked_number
from mmdet_ltnorm.losses.base import check_labels


def balanced_contrastive_loss(
    features: Tensor, labels: Tensor, prototypes: Tensor, temperature: float = 0.07
) -> Tensor:
    r"""Return the loss of each sample, whose own class should be nearer than the other classes.

    .. math:: -\frac{1}{|A_{y}|} \sum_{p \in A_{y}} \log \frac{\exp(z \cdot z_p / \tau)}
        {\sum_{j=1}^{C} \frac{1}{|A_j|} \sum_{a \in A_j} \exp(z \cdot z_a / \tau)}, \quad
        A_j = B_j \setminus \{z\} \cup \{c_j\}

    Zhu et al., "Balanced Contrastive Learning for Long-Tailed Visual Recognition": B_j are the
    samples of class j in the batch. Its prototype c_j is among them, so that every class is in
    every batch (class complement); each class counts in the denominator by its mean (class
    averaging). All vectors are scaled to length 1.

    The formula has been printed with the sample itself in the denominator, among B_y, though not
    among the positives. The authors' code leaves it out of both, and of the number of A_y, as here:
    its constant exp(1/tau), a million, would outweigh all other classes.

    Computes in float32 or wider, under autocast too.

    Shape: (M, D), (M,) and (C, D) to (M,).
    """
    wide = torch.promote_types(features.dtype, torch.float32)
    with torch.autocast(features.device.type, enabled=False):
        samples = F.normalize(features.to(wide), dim=1)
        contrasts = torch.cat([samples, F.normalize(prototypes.to(wide), dim=1)])
        similarity = samples @ contrasts.T / temperature
    classes = torch.arange(len(prototypes), device=labels.device)
    same_class = labels[:, None] == torch.cat([labels, classes])
    itself = torch.eye(*same_class.shape, dtype=torch.bool, device=labels.device)
    positives = same_class & ~itself
    sizes = 1 + same_class[:, len(labels) :].sum(0)  # of the classes, prototypes included
    others = sizes[torch.cat([labels, classes])] - same_class.long()  # a sample is not its own
    averaged = (similarity - others.to(wide).log()).masked_fill(itself, -torch.inf)
    mean_positive = similarity.where(positives, 0).sum(1) / positives.sum(1)
    return averaged.logsumexp(1) - mean_positive


@MODELS.register_module()
class BalancedContrastiveLoss(nn.Module):
    """Balanced contrastive loss, the mean over all samples in all views.

    It weighs classes by their samples in the batch, and needs no counts of the training set.
    """

    def __init__(self, temperature: float = 0.07, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.temperature = checked_number("temperature", temperature, above=0)
        self.loss_weight = checked_number("loss_weight", loss_weight, at_least=0)

    def forward(self, features: Tensor, labels: Tensor, prototypes: Tensor) -> Tensor:
        """Return the loss of features (V, N, D) of N images in V views and prototypes (C, D)."""
        check_labels(labels, len(prototypes))
        losses = balanced_contrastive_loss(
            features.flatten(0, 1), labels.repeat(len(features)), prototypes, self.temperature
        )
        return self.loss_weight * losses.sum() / max(len(losses), 1)
