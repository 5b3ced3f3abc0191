"""Checks of data before training: classes, images, annotations, and how splits fit."""

from mmdet_ltnorm.data_check.check import DataCheck as DataCheck
from mmdet_ltnorm.data_check.check import check_data as check_data
