"""tools/export.py writes checkpoints with which plain mmdet predicts the same."""

import subprocess
import sys
import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from trained_detector import trained_detector

from mmdet_ltnorm.deployment import export_plain
from mmdet_ltnorm.surgery import plain_config

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "tools" / "export.py"
PLAIN_MMDET = """
import sys, torch
from mmdet.apis import inference_detector, init_detector
model = init_detector(sys.argv[1], sys.argv[2], device="cpu")
found = inference_detector(model, sys.argv[3]).pred_instances
assert not any(name.startswith("mmdet_ltnorm") for name in sys.modules)
torch.save(dict(found.items()), sys.argv[4])
"""


@pytest.mark.parametrize("placed", [{}, dict(norm_cfg=dict(type="NBN"))])
def test_plain_config_names_none_of_our_layers(placed):
    cfg = dict(
        type="Detector",
        backbone=dict(type="LTNormBackbone", backbone=dict(type="ResNet"), **placed),
        neck=[dict(norm_cfg=dict(type="NBN", eps=1e-3, official=True, requires_grad=False))],
        cls_predictor_cfg=dict(type="RectifiedLinear", momentum=0.5),
        loss_cls=dict(type="LTSeesawLoss", p=0.8, sync_counts=True),
    )
    assert plain_config(cfg) == dict(
        type="Detector",
        backbone=dict(type="ResNet"),
        neck=[dict(norm_cfg=dict(type="BN", eps=1e-3, requires_grad=False))],
        cls_predictor_cfg=dict(type="Linear"),
        loss_cls=dict(type="SeesawLoss", p=0.8),
    )


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    return trained_detector(tmp_path_factory.mktemp("detector") / "trained.pth")


def test_a_mask_rcnn_predicts_the_same_in_plain_mmdet(detector, tmp_path):
    from mmdet.apis import inference_detector, init_detector

    image = tmp_path / "image.png"
    cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are no names of classes
        model = init_detector(str(detector[0]), str(detector[1]), device="cpu")
    ours = inference_detector(model, str(image)).pred_instances
    assert len(ours) > 5
    out = tmp_path / "folded.pth"
    assert export_plain(*detector, out) == out.with_suffix(".py")
    files = [out.with_suffix(".py"), out, image, tmp_path / "found.pth"]
    subprocess.run([sys.executable, "-c", PLAIN_MMDET, *map(str, files)], cwd=tmp_path, check=True)
    found = torch.load(files[-1])
    torch.testing.assert_close(found["labels"], ours.labels)
    torch.testing.assert_close(found["scores"], ours.scores, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["bboxes"], ours.bboxes, rtol=1e-4, atol=1e-2)
    assert (found["masks"] != ours.masks).float().mean() < 1e-3
    # mmdet's other way in, which draws, and a joined test set of the config.
    from mmdet.apis import DetInferencer

    inferencer = DetInferencer(
        model=str(out.with_suffix(".py")), weights=str(out), device="cpu", show_progress=False
    )
    result = inferencer(str(image), out_dir=str(tmp_path / "drawn"))["predictions"][0]
    np.testing.assert_allclose(result["scores"], ours.scores, rtol=1e-4, atol=1e-5)
    assert (tmp_path / "drawn" / "vis" / "image.png").is_file()


def test_only_an_earlier_export_is_written_over(detector, tmp_path):
    out = tmp_path / "folded.pth"
    for _ in range(2):
        export_plain(*detector, out)
    mine = tmp_path / "epoch_11.pth"
    mine.write_bytes(b"trained for days")
    config = tmp_path / "street.py"
    config.write_text("# my config")
    for target, named in (mine, mine), (config.with_suffix(".pth"), config):
        with pytest.raises(ValueError, match=f"{named.name} is there already, and no earlier exp"):
            export_plain(*detector, target)
    assert mine.read_bytes() == b"trained for days" and config.read_text() == "# my config"
    assert not config.with_suffix(".pth").exists()


def test_the_plain_config_of_joined_test_sets_has_the_first_ones_pipeline(detector, tmp_path):
    cfg = Config.fromfile(detector[0])
    first = cfg.test_dataloader.dataset
    cfg.test_dataloader.dataset = dict(type="ConcatDataset", datasets=[first, first])
    cfg.dump(tmp_path / "joined.py")
    plain = export_plain(tmp_path / "joined.py", detector[1], tmp_path / "folded.pth")
    assert Config.fromfile(plain).test_dataloader.dataset.pipeline == first.pipeline
