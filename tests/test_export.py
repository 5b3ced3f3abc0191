"""tools/export.py: ONNX files that agree with onnxruntime, and the models it refuses."""

import json
import re
import runpy
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

import mmdet_ltnorm.deployment.onnx_file as onnx_file
from mmdet_ltnorm.deployment import Predictor, export_onnx

TOOL = Path(__file__).parents[1] / "tools" / "export.py"
CLASSES = [f"class {number}" for number in range(10)]
PREPROCESSOR = dict(
    type="ClsDataPreprocessor", mean=[100, 120, 140], std=[50, 60, 70], bgr_to_rgb=True
)
SMALL = dict(type="ResNetCIFAR", depth=8)
EXPERTS = dict(type="MultiExpertBackbone", num_experts=3, backbone=SMALL)
MMDET_BACKBONE = dict(type="ResNet", depth=18, base_channels=8, norm_eval=False, out_indices=(3,))


def with_norm(backbone, norm_cfg):
    return dict(type="LTNormBackbone", backbone=backbone, norm_cfg=norm_cfg)


def head(predictor="Linear", **options):
    options = dict(type="ClsHead", in_channels=64, loss=dict(type="CrossEntropyLoss")) | options
    return dict(num_classes=len(CLASSES), predictor=dict(type=predictor), **options)


def trained(tmp_path, model, meta=True, pipeline=()):
    """Save a config and a checkpoint of a model whose state is not that of a fresh one."""
    init_default_scope("mmdet")
    config, checkpoint = tmp_path / "config.py", tmp_path / "trained.pth"
    dataset = dict(type="CIFAR10LT", data_root="nowhere", split="test", pipeline=[*pipeline])
    Config(dict(model=model, test_dataloader=dict(dataset=dataset))).dump(config)
    model = MODELS.build(model)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1 or "predictor" in name:
            nn.init.uniform_(parameter, 0.5, 1.5)
    with torch.no_grad():
        for _ in range(3):
            model(torch.randn(8, 3, 32, 32))
    meta = {"dataset_meta": {"classes": CLASSES}} if meta else {}
    torch.save({"state_dict": model.state_dict(), "meta": meta}, checkpoint)
    return config, checkpoint, model.eval()


def run(file, images):
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return session.run(["scores"], {"images": images.astype(np.float32)})[0]


@pytest.mark.parametrize(
    ("backbone", "of_head"),
    [
        (with_norm(dict(type="ResNetCIFAR", depth=32), dict(type="NBN")), head()),
        (with_norm(dict(type="ResNetCIFAR", depth=32), dict(type="CBN")), head()),
        (dict(type="ResNetCIFAR", depth=32), head("RectifiedLinear")),
        (dict(SMALL, norm_cfg=dict(type="CBN", temperature="sqrt_channels")), head("LWSLinear")),
        (with_norm(MMDET_BACKBONE, dict(type="NBN")), head("TauNormLinear")),
        (
            dict(EXPERTS, backbone=with_norm(SMALL, dict(type="NBN"))),
            head(
                "NormedLinear",
                type="MultiExpertHead",
                num_experts=3,
                loss=dict(type="RIDELoss", num_classes=10, loss=dict(type="CrossEntropyLoss")),
            ),
        ),
    ],
    ids=["nbn", "cbn", "lr", "cbn_all-lws", "mmdet-nbn-taunorm", "ride-nbn-normed"],
)
def test_an_onnx_file_takes_raw_images_and_agrees_with_the_model(tmp_path, backbone, of_head):
    onnx, _ = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    model = dict(
        type="ImageClassifier", data_preprocessor=PREPROCESSOR, backbone=backbone, head=of_head
    )
    config, checkpoint, model = trained(tmp_path, model)
    out = tmp_path / "new folder" / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert export_onnx(config, checkpoint, out) < 1e-4
    assert [file.name for file in out.parent.iterdir()] == ["model.onnx"]
    for shape in (1, 32, 32, 3), (5, 40, 24, 3):
        pictures = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
        rgb = (pictures[..., ::-1] - np.array([100, 120, 140])) / np.array([50, 60, 70])
        with torch.no_grad():
            logits = model(torch.from_numpy(rgb.transpose(0, 3, 1, 2)).float())
        scores = run(out, pictures.transpose(0, 3, 1, 2))
        np.testing.assert_allclose(scores, logits.softmax(1), atol=1e-5)
        np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)
    properties = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
    assert json.loads(properties["classes"]) == CLASSES


def snippet():
    """Return the page's code that prepares an image for an ONNX file and runs it."""
    page = (TOOL.parents[1] / "docs" / "classification.md").read_text(encoding="utf-8")
    (code,) = [c for c in re.findall(r"```python\n(.*?)```", page, re.S) if "def prepare" in c]
    return code.split("batch = ")[0]


def test_the_docs_snippet_gives_the_answers_of_predict_py(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    steps = [
        dict(type="LoadImageFromFile"),
        dict(type="ResizeShortestEdge", scale=40, max_size=100000),
        dict(type="CenterCrop", crop_size=32),
        dict(type="PackClsInputs"),
    ]
    config, checkpoint, _ = trained(tmp_path, plain_classifier(), pipeline=steps)
    export_onnx(config, checkpoint, tmp_path / "animals.onnx")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(snippet(), names)
    assert names["classes"] == CLASSES
    assert json.loads(names["contract"]["input_size"]) == [32, 32]
    told = [names["contract"][key] for key in ("dtype", "layout", "channel_order", "range")]
    assert told == ["float32", "NCHW", "BGR", "0 to 255"]
    assert names["contract"]["normalization"] == (
        'in the graph: {"channel_order": "RGB", "mean": [100, 120, 140], "std": [50, 60, 70]}'
    )
    predictor = Predictor(config, checkpoint)
    differs = 0
    for number, shape in enumerate([(480, 640), (641, 333), (31, 97), (40, 40), (32, 32), (1, 9)]):
        file = str(tmp_path / f"{number}.png")
        noise = np.random.default_rng(number).integers(0, 256, (*shape, 3), np.uint8)
        cv2.imwrite(file, cv2.resize(noise[:9, :9], shape[::-1]))
        expected = predictor(file).pred_score.numpy()
        image = names["prepare"](file)
        scores = names["session"].run(["scores"], {"images": image[None]})[0][0]
        np.testing.assert_allclose(scores, expected, atol=1e-5)
        whole = cv2.imread(file).transpose(2, 0, 1)[None]
        differs += abs(run(tmp_path / "animals.onnx", whole)[0] - expected).max() > 1e-2
    assert differs >= 3  # the steps matter


@pytest.mark.parametrize("steps", [[], [dict(type="PackClsInputs")]])
def test_a_pipeline_that_leaves_the_size_says_so(tmp_path, steps):
    config, checkpoint, model = trained(tmp_path, plain_classifier(), pipeline=steps)
    contract = onnx_file.input_contract(Config.fromfile(config), model)
    assert contract["preprocessing"] == "[]" and contract["input_size"] == "[0, 0]"


def plain_classifier(**options):
    options = dict(type="ImageClassifier", backbone=SMALL, head=head()) | options
    return dict(data_preprocessor=PREPROCESSOR, **options)


def test_without_names_in_the_checkpoint_those_of_the_data_set_or_numbers_are_written(tmp_path):
    onnx, _ = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    config, checkpoint, _ = trained(tmp_path, plain_classifier(), meta=False)
    export_onnx(config, checkpoint, tmp_path / "model.onnx")
    properties = {e.key: e.value for e in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(properties["classes"]) == list(map(str, range(10)))  # no data to name them


def test_a_file_that_disagrees_is_not_written(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    config, checkpoint, _ = trained(tmp_path, plain_classifier())
    monkeypatch.setattr(onnx_file, "_error", lambda *_: float("nan"))
    with pytest.raises(RuntimeError, match="answers differ from the model's by nan"):
        export_onnx(config, checkpoint, tmp_path / "model.onnx")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.py", "trained.pth"]


def test_the_comparison_sees_an_exporter_that_forgets_the_channel_order(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    config, checkpoint, _ = trained(tmp_path, plain_classifier())

    class Forgetful(onnx_file.RawImageClassifier):
        def forward(self, images):
            return super().forward(images[:, [2, 1, 0]])

    monkeypatch.setattr(onnx_file, "RawImageClassifier", Forgetful)
    with pytest.raises(RuntimeError, match="answers differ"):
        export_onnx(config, checkpoint, tmp_path / "model.onnx")


def export(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name="__main__")


def test_the_tool_says_what_it_wrote(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnxruntime")
    config, checkpoint, _ = trained(tmp_path, plain_classifier())
    export(monkeypatch, config, checkpoint, tmp_path / "model.onnx")
    assert "model.onnx; onnxruntime's answers differ by at most" in capsys.readouterr().out


def test_a_missing_onnx_is_named_with_the_extra_that_brings_it(tmp_path, monkeypatch):
    config, checkpoint, _ = trained(tmp_path, plain_classifier())
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(SystemExit, match=r"onnx.*: pip install onnx onnxruntime"):
        export(monkeypatch, config, checkpoint, tmp_path / "model.onnx")


def test_a_preprocessor_that_is_not_a_plain_normalization_is_refused(tmp_path, monkeypatch):
    other = plain_classifier() | dict(data_preprocessor=dict(type="BaseDataPreprocessor"))
    config, checkpoint, _ = trained(tmp_path, other)
    with pytest.raises(SystemExit, match="data_preprocessor like .* got BaseDataPreprocessor"):
        export(monkeypatch, config, checkpoint, tmp_path / "model.onnx")


def test_a_model_whose_experts_depend_on_the_image_is_refused(tmp_path, monkeypatch):
    options = dict(num_experts=3, type="ExpertAssignmentHead", top_k=3)
    model = plain_classifier(
        type="ExpertAssignmentClassifier",
        backbone=EXPERTS,
        head=head(**options),
        first_stage="work_dirs/first.pth",
        trainable=["head.gate.*"],
    )
    config, checkpoint, _ = trained(tmp_path, model)
    with pytest.raises(SystemExit, match="chooses experts .* first stage, .*work_dirs/first.pth"):
        export(monkeypatch, config, checkpoint, tmp_path / "model.onnx")


def test_classifiers_have_no_plain_form(tmp_path, monkeypatch):
    config, checkpoint, _ = trained(tmp_path, plain_classifier())
    with pytest.raises(SystemExit, match="nothing in the place of mmdet_ltnorm's .*ClsHead"):
        export(monkeypatch, config, checkpoint, tmp_path / "plain.pth")


def test_checkpoints_of_other_models_and_other_suffixes_are_refused(tmp_path, monkeypatch, capsys):
    config, checkpoint, _ = trained(tmp_path, plain_classifier())
    out = tmp_path / "model.onnx"
    with pytest.raises(SystemExit, match="no.pth can not be found"):
        export(monkeypatch, config, tmp_path / "no.pth", out)
    weights = torch.load(checkpoint)["state_dict"]
    other = tmp_path / "other.pth"
    for change, message in [
        (
            dict(a=torch.ones(1)),
            "other.pth is of another model than the config: it also has a. Use",
        ),
        (
            {"head.predictor.bias": torch.ones(3)},
            "other shapes: head.predictor.bias .3,. there, .10,. here",
        ),
    ]:
        torch.save({"state_dict": weights | change}, other)
        with pytest.raises(SystemExit, match=message):
            export(monkeypatch, config, other, out)
    torch.save({name: w for name, w in weights.items() if "layer3" not in name}, other)
    with pytest.raises(
        SystemExit, match=r"it lacks backbone.layer3\S+, \S+, \S+ and \d+ more. Use"
    ):
        export(monkeypatch, config, other, out)
    torch.save({"state_dict": weights, "meta": {"dataset_meta": {"classes": "ab"}}}, other)
    with pytest.raises(SystemExit, match="2 classes are named .*: head 10"):
        export(monkeypatch, config, other, out)
    with pytest.raises(SystemExit):
        export(monkeypatch, config, checkpoint, tmp_path / "model.pt")
    assert "out must end in .onnx or .pth" in capsys.readouterr().err
