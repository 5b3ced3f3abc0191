"""Losses for long tails, for classifiers and mmdet's box heads; importing registers them."""

from typing import Any

from mmengine.registry import MODELS
from torch import nn

from mmdet_ltnorm.losses.balanced_softmax import BalancedSoftmaxLoss as BalancedSoftmaxLoss
from mmdet_ltnorm.losses.balanced_softmax import balanced_softmax_loss as balanced_softmax_loss
from mmdet_ltnorm.losses.focal import SoftmaxFocalLoss as SoftmaxFocalLoss
from mmdet_ltnorm.losses.focal import softmax_focal_loss as softmax_focal_loss
from mmdet_ltnorm.losses.ldam import LDAMLoss as LDAMLoss
from mmdet_ltnorm.losses.ldam import ldam_loss as ldam_loss
from mmdet_ltnorm.losses.reweight import ClassBalancedLoss as ClassBalancedLoss
from mmdet_ltnorm.losses.reweight import effective_number_weights as effective_number_weights


@MODELS.register_module()
def LTSeesawLoss(**options: Any) -> nn.Module:  # noqa: N802, it stands as a type in configs
    """Build a :class:`mmdet_ltnorm.losses.seesaw.LTSeesawLoss`.

    A function, because the class extends mmdet's, which imports mmcv's compiled ops; importing this
    package must not need them.
    """
    from mmdet_ltnorm.losses.seesaw import LTSeesawLoss

    return LTSeesawLoss(**options)
