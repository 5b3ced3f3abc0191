"""What a norm computes; knows no network, class or data set.

:mod:`mmdet_ltnorm.split` tells CBN each sample's group; its contexts are offered here, too.
"""

from mmdet_ltnorm.norms.affine import NormalizedAffine as NormalizedAffine
from mmdet_ltnorm.norms.affine import share_magnitude as share_magnitude
from mmdet_ltnorm.norms.after import BNThen as BNThen
from mmdet_ltnorm.norms.after import FeatureNorm as FeatureNorm
from mmdet_ltnorm.norms.cbn import CBN as CBN
from mmdet_ltnorm.norms.cbn import shared_num_components as shared_num_components
from mmdet_ltnorm.norms.nbn import NBN as NBN
from mmdet_ltnorm.norms.normalized import NCBN as NCBN
from mmdet_ltnorm.norms.normalized import NGN as NGN
from mmdet_ltnorm.norms.normalized import NLN as NLN
from mmdet_ltnorm.split import split_by as split_by
from mmdet_ltnorm.split import split_into as split_into
