"""Where norms sit: placing, sharing and folding them in any network."""

from mmdet_ltnorm.surgery.backbone import LTNormBackbone as LTNormBackbone
from mmdet_ltnorm.surgery.fold import fold_norms as fold_norms
from mmdet_ltnorm.surgery.fold import plain_config as plain_config
from mmdet_ltnorm.surgery.positions import norm_positions as norm_positions
from mmdet_ltnorm.surgery.replace import replace_norms as replace_norms
from mmdet_ltnorm.surgery.weight_norm import WeightNormBackbone as WeightNormBackbone
