"""Losses for long tails, for classifiers and mmdet's box heads; importing registers them."""

from typing import Any

from mmengine.registry import MODELS
from torch import nn

from mmdet_ltnorm.losses.balanced_softmax import BalancedSoftmaxLoss as BalancedSoftmaxLoss
from mmdet_ltnorm.losses.balanced_softmax import balanced_softmax_loss as balanced_softmax_loss
from mmdet_ltnorm.losses.contrastive import BalancedContrastiveLoss as BalancedContrastiveLoss
from mmdet_ltnorm.losses.contrastive import balanced_contrastive_loss as balanced_contrastive_loss
from mmdet_ltnorm.losses.eql import EqualizationLoss as EqualizationLoss
from mmdet_ltnorm.losses.eql import eql_weights as eql_weights
from mmdet_ltnorm.losses.eqlv2 import EqualizationLossV2 as EqualizationLossV2
from mmdet_ltnorm.losses.eqlv2 import eqlv2_weights as eqlv2_weights
from mmdet_ltnorm.losses.focal import SoftmaxFocalLoss as SoftmaxFocalLoss
from mmdet_ltnorm.losses.focal import softmax_focal_loss as softmax_focal_loss
from mmdet_ltnorm.losses.ldam import LDAMLoss as LDAMLoss
from mmdet_ltnorm.losses.ldam import ldam_loss as ldam_loss
from mmdet_ltnorm.losses.reweight import ClassBalancedLoss as ClassBalancedLoss
from mmdet_ltnorm.losses.reweight import effective_number_weights as effective_number_weights
from mmdet_ltnorm.losses.ride import RIDELoss as RIDELoss
from mmdet_ltnorm.losses.ride import expert_divergence as expert_divergence
from mmdet_ltnorm.losses.ride import ride_temperature as ride_temperature


def __getattr__(name: str) -> Any:
    """Import ``LTSeesawLoss`` when it is asked for.

    It extends mmdet's class, which imports mmcv's compiled ops, and importing this package must not
    need them.
    """
    if name != "LTSeesawLoss":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mmdet_ltnorm.losses.seesaw import LTSeesawLoss

    return LTSeesawLoss


@MODELS.register_module("LTSeesawLoss")
def build_seesaw_loss(**options: Any) -> nn.Module:
    """Build a :class:`mmdet_ltnorm.losses.seesaw.LTSeesawLoss`, which configs name as a type."""
    return __getattr__("LTSeesawLoss")(**options)
