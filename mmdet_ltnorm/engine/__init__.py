"""Training and testing runs: safe checkpoints, hooks, guards and what the tools call."""

from mmdet_ltnorm.engine import checkpoint as checkpoint
from mmdet_ltnorm.engine import hooks as hooks
from mmdet_ltnorm.engine import mixed_precision as mixed_precision
from mmdet_ltnorm.engine import saving as saving
from mmdet_ltnorm.engine import split_seeding as split_seeding
from mmdet_ltnorm.engine import variance as variance
