"""Scores of trained models; importing registers the metrics."""

from mmdet_ltnorm.evaluation.experts_used import ExpertsUsed as ExpertsUsed
from mmdet_ltnorm.evaluation.group_accuracy import GroupAccuracy as GroupAccuracy
from mmdet_ltnorm.evaluation.lvis import LTLVISMetric as LTLVISMetric
