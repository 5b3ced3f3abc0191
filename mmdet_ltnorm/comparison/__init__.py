"""Tests whether two models differ by more than the choice of test images explains."""

from mmdet_ltnorm.comparison.bootstrap import Difference as Difference
from mmdet_ltnorm.comparison.bootstrap import paired_bootstrap as paired_bootstrap
from mmdet_ltnorm.comparison.files import compare_files as compare_files
from mmdet_ltnorm.comparison.files import differences_table as differences_table
