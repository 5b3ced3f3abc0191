"""Image classification on mmengine: networks, head, hooks and two-stage training."""

from mmdet_ltnorm.classification.classifier import ImageClassifier as ImageClassifier
from mmdet_ltnorm.classification.data_preprocessor import (
    ClsDataPreprocessor as ClsDataPreprocessor,
)
from mmdet_ltnorm.classification.dual_path import (
    CompoundSplitClassifier as CompoundSplitClassifier,
)
from mmdet_ltnorm.classification.dual_path import DualPathClassifier as DualPathClassifier
from mmdet_ltnorm.classification.dual_path import SplitClassifier as SplitClassifier
from mmdet_ltnorm.classification.head import ClsHead as ClsHead
from mmdet_ltnorm.classification.hooks import ClassCountsHook as ClassCountsHook
from mmdet_ltnorm.classification.hooks import LossEpochHook as LossEpochHook
from mmdet_ltnorm.classification.resnet_cifar import ResNetCIFAR as ResNetCIFAR
from mmdet_ltnorm.classification.two_stage import SecondStageClassifier as SecondStageClassifier
