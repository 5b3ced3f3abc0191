"""Annotation files of detectors: contents, and checks of images and classes against them."""

from mmdet_ltnorm.data.annotations.class_names import check_names as check_names
from mmdet_ltnorm.data.annotations.class_names import same_names as same_names
from mmdet_ltnorm.data.annotations.content import Annotations as Annotations
from mmdet_ltnorm.data.annotations.content import read_annotations as read_annotations
from mmdet_ltnorm.data.annotations.content import unused_words as unused_words
from mmdet_ltnorm.data.annotations.content import warn as warn
from mmdet_ltnorm.data.annotations.image_sizes import ImageSizes as ImageSizes
from mmdet_ltnorm.data.annotations.image_sizes import size_fault as size_fault
from mmdet_ltnorm.data.annotations.outlines import enclosing_parts as enclosing_parts
from mmdet_ltnorm.data.annotations.repair import read_repaired as read_repaired
from mmdet_ltnorm.data.annotations.repair import run_lengths as run_lengths
from mmdet_ltnorm.data.annotations.sources import check_sources as check_sources
from mmdet_ltnorm.data.annotations.sources import labelled_in_file as labelled_in_file
from mmdet_ltnorm.data.annotations.sources import sources_of as sources_of
