"""What a norm computes; knows no network, class or data set."""

from mmdet_ltnorm.norms.cbn import CBN as CBN
from mmdet_ltnorm.norms.cbn import shared_num_components as shared_num_components
from mmdet_ltnorm.norms.magnitude import share_magnitude as share_magnitude
from mmdet_ltnorm.norms.nbn import NBN as NBN
from mmdet_ltnorm.norms.split import split_by as split_by
