"""Paired trainings: every config with every seed, and the differences."""

from mmdet_ltnorm.results.scores import Estimate as Estimate
from mmdet_ltnorm.results.scores import Results as Results
from mmdet_ltnorm.results.scores import default_metrics as default_metrics
from mmdet_ltnorm.results.scores import difference as difference
from mmdet_ltnorm.results.scores import in_percent as in_percent
from mmdet_ltnorm.results.scores import last_scores as last_scores
from mmdet_ltnorm.results.scores import last_step as last_step
from mmdet_ltnorm.results.scores import means as means
from mmdet_ltnorm.sweep.planning import Run as Run
from mmdet_ltnorm.sweep.planning import plan_runs as plan_runs
from mmdet_ltnorm.sweep.report import plot_sweeps as plot_sweeps
from mmdet_ltnorm.sweep.report import sweep_table as sweep_table
from mmdet_ltnorm.sweep.report import write_report as write_report
from mmdet_ltnorm.sweep.runs import train_runs as train_runs
