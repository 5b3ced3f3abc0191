"""Reads trained models and their logs; never changes training."""

from mmdet_ltnorm.analysis.curves import plot_curves as plot_curves
from mmdet_ltnorm.analysis.feature_bias_hook import FeatureBiasHook as FeatureBiasHook
from mmdet_ltnorm.analysis.predictions import draw_predictions as draw_predictions
