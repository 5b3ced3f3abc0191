"""Training and testing runs: safe checkpoints, hooks, guards and what the tools call."""

from mmdet_ltnorm.engine import checkpoint as checkpoint
from mmdet_ltnorm.engine import compiling as compiling
from mmdet_ltnorm.engine import finite as finite
from mmdet_ltnorm.engine import generators as generators
from mmdet_ltnorm.engine import hooks as hooks
from mmdet_ltnorm.engine import missing_validation as missing_validation
from mmdet_ltnorm.engine import mixed_precision as mixed_precision
from mmdet_ltnorm.engine import saving as saving
from mmdet_ltnorm.engine import schedules as schedules
from mmdet_ltnorm.engine import split_seeding as split_seeding
from mmdet_ltnorm.engine import variance as variance
