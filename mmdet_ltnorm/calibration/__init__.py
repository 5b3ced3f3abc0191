"""Post-hoc calibration of trained classifiers and detectors; importing registers the hooks."""

from mmdet_ltnorm.calibration.hooks import LogitAdjustmentHook as LogitAdjustmentHook
from mmdet_ltnorm.calibration.hooks import NorCalHook as NorCalHook
from mmdet_ltnorm.calibration.hooks import TauNormHook as TauNormHook
from mmdet_ltnorm.calibration.logn import LogNHook as LogNHook
from mmdet_ltnorm.calibration.scores import divide_by_frequency as divide_by_frequency
from mmdet_ltnorm.calibration.scores import normalize_logits as normalize_logits
