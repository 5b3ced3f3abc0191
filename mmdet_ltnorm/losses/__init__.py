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


@MODELS.register_module()
def LTSeesawLoss(**options: Any) -> nn.Module:  # noqa: N802, it stands as a type in configs
    """Build a :class:`mmdet_ltnorm.losses.seesaw.LTSeesawLoss`.

    A function, because the class extends mmdet's, which imports mmcv's compiled ops; importing this
    package must not need them.
    """
    from mmdet_ltnorm.losses.seesaw import LTSeesawLoss

    return LTSeesawLoss(**options)
