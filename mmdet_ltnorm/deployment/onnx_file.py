"""Trained models as ONNX files that take raw images."""

import inspect
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.model import ImgDataPreprocessor
from torch import Tensor, nn

from mmdet_ltnorm.classification import ExpertAssignmentClassifier, ImageClassifier
from mmdet_ltnorm.data.wrapped import dataset_configs
from mmdet_ltnorm.deployment.classes import class_names
from mmdet_ltnorm.deployment.onnx_detector import (
    RawImageDetector,
    detection_error,
    detector_contract,
    input_size,
)
from mmdet_ltnorm.results.trained import is_detector, load_model
from mmdet_ltnorm.surgery import fold_norms
from mmdet_ltnorm.writing import check_outputs, replacing

TOLERANCE = 1e-4  # of a probability; of a box, in shares of the image
OPSET = 17  # what the oldest torch and onnxruntime that are supported both know
# Batches and sizes that the file is checked on; neither is that of the trace.
CHECKED = ((1, 3, 64, 64), (3, 3, 64, 96))


class RawImageClassifier(nn.Module):
    """A classifier with its preprocessing: raw images (N, 3, H, W) to probabilities (N, C).

    Raises:
        TypeError: the preprocessor is not one that only normalizes.
    """

    def __init__(self, model: ImageClassifier) -> None:
        super().__init__()
        if not isinstance(model.data_preprocessor, ImgDataPreprocessor):
            kind = type(model.data_preprocessor).__name__
            raise TypeError(f"expected a data_preprocessor like ClsDataPreprocessor, got {kind}")
        self.model = model
        self.example = torch.zeros(2, 3, 32, 32)
        self.outputs = ["scores"]
        self.free = {"images": {0: "N", 2: "H", 3: "W"}, "scores": {0: "N"}}

    def forward(self, images: Tensor) -> Tensor:
        """Preprocess images and return their probabilities."""
        host = self.model.data_preprocessor
        if host._channel_conversion:
            images = images[:, [2, 1, 0]]
        if host._enable_normalize:
            images = (images - host.mean) / host.std
        return self.model.head.probabilities(self.model(images))


def export_onnx(config: str | Path, checkpoint: str | Path, out: str | Path) -> float:
    """Write a trained model as an ONNX file, and return its largest error on random images.

    The input ``images`` is float32 (N, 3, H, W), values 0 to 255, blue first as OpenCV reads; the
    means, deviations and channel order of training are in the graph. NBN and rectified logits are
    folded; CBN stays a mixture; experts are averaged.

    A classifier's output ``scores`` is (N, C), probabilities. N, H and W are free. A detector takes
    one image of the size that the test pipeline resizes to. Its outputs are ``boxes`` (n, 4),
    ``scores``, ``labels``, and of Mask R-CNN ``masks`` (n, 28, 28), probabilities within the boxes.

    The pipeline's resizing and cropping are not in the graph. The file's metadata tells them, and
    what else an input has to be: see :func:`input_contract` and :func:`detector_contract`.

    The file gets its name only if onnxruntime agrees with the model to 1e-4.

    Raises:
        ImportError: onnx or onnxruntime is missing.
        ValueError: the model is neither a classifier of this package nor a Faster or Mask R-CNN,
            or chooses its experts for each image.
        RuntimeError: onnxruntime disagrees.
    """
    check_outputs([out], [config, checkpoint])
    cfg, model, meta = load_model(config, checkpoint)
    names = class_names(cfg, model, meta)
    graph: Any
    if is_detector(model):
        graph = RawImageDetector(fold_norms(model), input_size(cfg, model)).eval()
        contract, error_of, checked = detector_contract(graph), detection_error, (graph.size,)
    else:
        _check_exportable(model)
        graph = RawImageClassifier(fold_norms(model)).eval()
        contract, error_of, checked = input_contract(cfg, model), _error, CHECKED
    with replacing(out) as partial:
        _write(graph, contract | {"classes": json.dumps(names)}, partial)
        error = max(error_of(model, partial, shape) for shape in checked)
        if not error <= TOLERANCE:  # so that NaN fails, too
            raise RuntimeError(
                f"onnxruntime's answers differ from the model's by {error:.1e}, more than "
                f"{TOLERANCE:g}: nothing was written to {out}"
            )
    return error


def input_contract(cfg: Any, model: nn.Module) -> dict[str, str]:
    """Return the preprocessing of an image before the graph, as texts for a file's metadata.

    ``preprocessing`` is a JSON list of the test pipeline's steps after the image is read, in mmcv's
    and mmdet's names. ``input_size`` is the height and the width that they end with, [0, 0] if they
    leave that to the image: then the images should be as large as those of training. ``dtype``,
    ``layout``, ``channel_order`` and ``range`` are the input's. ``normalization`` describes the
    normalization inside the graph.
    """
    steps = next(dataset_configs(cfg.test_dataloader.dataset))["pipeline"]
    steps = [s for s in steps if "LoadImage" not in s["type"] and s["type"] != "PackClsInputs"]
    sizes = []
    for size in (500, 333), (333, 500):
        image = dict(img=np.zeros((*size, 3), np.uint8), img_shape=size, ori_shape=size)
        sizes.append(Compose(steps)(image)["img"].shape[:2])
    host = model.data_preprocessor
    normalization = {"channel_order": "RGB" if host._channel_conversion else "BGR"}
    if host._enable_normalize:
        normalization |= {n: getattr(host, n).flatten().tolist() for n in ("mean", "std")}
    return {
        "preprocessing": json.dumps(steps, default=str),
        "input_size": json.dumps(sizes[0] if sizes[0] == sizes[1] else [0, 0]),
        "dtype": "float32",
        "layout": "NCHW",
        "channel_order": "BGR",
        "range": "0 to 255",
        "normalization": f"in the graph: {json.dumps(normalization)}",
    }


def _check_exportable(model: nn.Module) -> None:
    if isinstance(model, ExpertAssignmentClassifier):
        raise ValueError(
            "the gate of expert assignment chooses experts for each image, and an ONNX graph runs "
            "them all: export the first stage, whose config and checkpoint have the same experts "
            f"(here {model.first_stage})"
        )
    if not isinstance(model, ImageClassifier):
        raise ValueError(
            f"{type(model).__name__} is neither an image classifier of this package nor a detector"
        )


def _write(graph: Any, properties: Mapping[str, str], file: Path) -> None:
    import onnx

    # The newer exporter needs onnxscript; torch 2.4 has no such argument and only the older one.
    known = inspect.signature(torch.onnx.export).parameters
    exporter = {"dynamo": False} if "dynamo" in known else {}
    with warnings.catch_warnings():
        # That the exporter is the older one; and that checks of shapes are not in the graph.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)
        warnings.filterwarnings("ignore", "Exporting aten::index", UserWarning)  # that it is long
        torch.onnx.export(
            graph,
            (graph.example,),
            str(file),
            input_names=["images"],
            output_names=graph.outputs,
            dynamic_axes=graph.free,
            opset_version=OPSET,
            autograd_inlining=False,  # so that functions are asked for their symbols
            **exporter,
        )
    written = onnx.load(file)
    onnx.helper.set_model_props(written, properties)
    onnx.checker.check_model(written, full_check=True)
    onnx.save(written, file)


def _error(model: Any, file: Path, shape: Sequence[int]) -> float:
    """Return the largest difference from the predictions of the original model for a batch."""
    import onnxruntime

    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with torch.no_grad():
        samples = model.test_step({"inputs": torch.from_numpy(images), "data_samples": None})
    expected = np.stack([sample.pred_score.numpy() for sample in samples])
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], {"images": images.astype(np.float32)})
    return float(np.abs(scores - expected).max())
