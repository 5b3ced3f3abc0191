"""Image classification on mmengine: networks, heads, hooks and two-stage training."""

from mmdet_ltnorm.classification.classifier import ImageClassifier as ImageClassifier
from mmdet_ltnorm.classification.contrastive import (
    ContrastiveClassifier as ContrastiveClassifier,
)
from mmdet_ltnorm.classification.contrastive import (
    PrototypeContrastiveHead as PrototypeContrastiveHead,
)
from mmdet_ltnorm.classification.data_preprocessor import (
    ClsDataPreprocessor as ClsDataPreprocessor,
)
from mmdet_ltnorm.classification.dual_path import (
    CompoundSplitClassifier as CompoundSplitClassifier,
)
from mmdet_ltnorm.classification.dual_path import DualPathClassifier as DualPathClassifier
from mmdet_ltnorm.classification.dual_path import SplitClassifier as SplitClassifier
from mmdet_ltnorm.classification.expert_assignment import (
    ExpertAssignmentClassifier as ExpertAssignmentClassifier,
)
from mmdet_ltnorm.classification.expert_assignment import (
    ExpertAssignmentHead as ExpertAssignmentHead,
)
from mmdet_ltnorm.classification.head import ClsHead as ClsHead
from mmdet_ltnorm.classification.hooks import ClassCountsHook as ClassCountsHook
from mmdet_ltnorm.classification.hooks import LossEpochHook as LossEpochHook
from mmdet_ltnorm.classification.multi_expert import MultiExpertBackbone as MultiExpertBackbone
from mmdet_ltnorm.classification.multi_expert import MultiExpertHead as MultiExpertHead
from mmdet_ltnorm.classification.narrowed import NarrowedResNet as NarrowedResNet
from mmdet_ltnorm.classification.resnet_cifar import ResNetCIFAR as ResNetCIFAR
from mmdet_ltnorm.classification.two_stage import SecondStageClassifier as SecondStageClassifier
