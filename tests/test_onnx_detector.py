"""A Mask R-CNN as an ONNX file: the page's program finds what the model finds."""

import json
import re
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from trained_detector import trained_detector

import mmdet_ltnorm.deployment.onnx_file as onnx_file
from mmdet_ltnorm.deployment import Predictor, export_onnx
from mmdet_ltnorm.deployment.onnx_detector import RawImageDetector, input_size
from mmdet_ltnorm.results.trained import load_model

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
PAGE = Path(__file__).parents[1] / "docs" / "detection.md"


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return trained_detector(tmp_path_factory.mktemp("detector") / "trained.pth")


@pytest.fixture
def model(detector):
    return load_model(*detector)[1]


def test_the_pages_program_finds_what_the_model_finds(detector, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert export_onnx(*detector, "street.onnx") < 1e-5
    (code,) = re.findall(
        r"```python\n(import json\n\nimport cv2.*?)```", PAGE.read_text("utf-8"), re.S
    )
    names = {}
    exec(code.split("\nboxes, ")[0], names)
    assert json.loads(names["contract"]["input_size"]) == [128, 128]
    assert json.loads(names["contract"]["pad_value"]) == pytest.approx([103.53, 116.28, 123.675])
    predictor = Predictor(*detector)
    assert json.loads(names["contract"]["classes"]) == predictor.class_names
    for number in range(2):  # boxes, and levels with and without them, differ between pictures
        noise = np.random.default_rng(number).integers(0, 256, (128, 128, 3), np.uint8)
        noise = cv2.resize(noise[: 128 >> 3 * number, : 128 >> 3 * number], (128, 128))
        cv2.imwrite("image.png", noise)
        expected = predictor("image.png").pred_instances
        boxes, scores, labels, masks = names["detect"]("image.png")
        assert len(expected) == len(boxes) > 5
        np.testing.assert_array_equal(labels, expected.labels)
        np.testing.assert_allclose(scores, expected.scores, atol=1e-5)
        np.testing.assert_allclose(boxes, expected.bboxes, atol=1e-2)
        for mask, box, whole in zip(masks, boxes.astype(int), expected.masks.numpy(), strict=True):
            left, top, right, bottom = box
            if right - left > 28 and bottom - top > 28:
                inside = cv2.resize(mask, (right - left, bottom - top)) > 0.5
                assert (inside != whole[top:bottom, left:right]).mean() < 0.1


@pytest.mark.slow
def test_a_graph_that_is_half_a_pixel_off_is_not_written(detector, tmp_path, monkeypatch):
    class Shifted(RawImageDetector):
        def forward(self, images):
            boxes, *others = super().forward(images)
            return boxes + 0.5, *others

    monkeypatch.setattr(onnx_file, "RawImageDetector", Shifted)
    with pytest.raises(RuntimeError, match="answers differ from the model's by 3.9e-03"):
        export_onnx(*detector, tmp_path / "street.onnx")
    assert not list(tmp_path.iterdir())


def test_detectors_of_another_kind_are_refused_with_what_exports_them(model):
    with pytest.raises(ValueError, match="rpn_head is RPNHead, and Identity has none: .*MMDeploy"):
        RawImageDetector(torch.nn.Identity(), (64, 64))
    model.roi_head.test_cfg.nms.type = "soft_nms"
    with pytest.raises(ValueError, match="StandardRoIHead has .*soft_nms.*MMDeploy's tools/deploy"):
        RawImageDetector(model, (64, 64))
    model.roi_head.__class__ = type("CascadeRoIHead", (type(model.roi_head),), {})
    with pytest.raises(ValueError, match="whose roi_head is StandardRoIHead, and MaskRCNN has Ca"):
        RawImageDetector(model, (64, 64))


def test_the_size_is_that_of_the_test_pipelines_resize_padded(model):
    def sized(*pipeline):
        dataset = dict(pipeline=pipeline)
        return input_size(Config(dict(test_dataloader=dict(dataset=dataset))), model)

    assert sized(dict(type="Resize", scale=(1333, 800), keep_ratio=True)) == [800, 1344]
    with pytest.raises(ValueError, match=r"Resize\(scale=\(width, height\)\) .* has 0 such steps"):
        sized(dict(type="PackDetInputs"))
