"""Ships trained models: other formats, and predictions for image files."""

from mmdet_ltnorm.deployment.onnx_file import export_onnx as export_onnx
from mmdet_ltnorm.deployment.plain_checkpoint import export_plain as export_plain
from mmdet_ltnorm.deployment.predictor import Predictor as Predictor
from mmdet_ltnorm.deployment.predictor import load as load
from mmdet_ltnorm.deployment.predictor import predict_files as predict_files
