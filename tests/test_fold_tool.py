"""tools/fold_norms.py: the checkpoint and the config it writes work in plain mmdet."""

import subprocess
import sys
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmdet_ltnorm.norms import NBN
from mmdet_ltnorm.surgery import plain_config

ROOT = Path(__file__).parents[1]
PLAIN_MMDET = """
import sys, torch
from mmdet.apis import init_detector
model = init_detector(sys.argv[1], sys.argv[2], device="cpu")
assert not any(name.startswith("mmdet_ltnorm") for name in sys.modules)
torch.save(model.backbone(torch.load(sys.argv[3])), sys.argv[4])
"""


def test_plain_config_names_none_of_our_layers():
    cfg = dict(
        type="Detector",
        backbone=dict(
            type="LTNormBackbone", backbone=dict(type="ResNet"), norm_cfg=dict(type="NBN")
        ),
        neck=[dict(norm_cfg=dict(type="NBN", eps=1e-3, official=True, requires_grad=False))],
        cls_predictor_cfg=dict(type="RectifiedLinear", momentum=0.5),
    )
    assert plain_config(cfg) == dict(
        type="Detector",
        backbone=dict(type="ResNet"),
        neck=[dict(norm_cfg=dict(type="BN", eps=1e-3, requires_grad=False))],
        cls_predictor_cfg=dict(type="Linear"),
    )


def test_folded_checkpoint_works_in_plain_mmdet_with_equal_outputs(tmp_path):
    config = ROOT / "configs/demo/seesaw_nbn.py"
    init_default_scope("mmdet")
    model = MODELS.build(Config.fromfile(config).model)
    for module in model.modules():
        if isinstance(module, NBN):
            nn.init.uniform_(module._parameters["weight"], 0.5, 2)
    x = torch.randn(2, 3, 64, 64)
    for _ in range(3):
        model.backbone(x)
    model.eval()
    torch.save({"state_dict": model.state_dict()}, tmp_path / "trained.pth")
    torch.save(x, tmp_path / "x.pth")
    out = tmp_path / "folded.pth"
    command = [
        sys.executable,
        "tools/fold_norms.py",
        str(config),
        str(tmp_path / "trained.pth"),
        str(out),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "no NBN left" in done.stdout
    files = [out.with_suffix(".py"), out, tmp_path / "x.pth", tmp_path / "y.pth"]
    subprocess.run([sys.executable, "-c", PLAIN_MMDET, *map(str, files)], cwd=tmp_path, check=True)
    with torch.no_grad():
        for ours, plain in zip(model.backbone(x), torch.load(tmp_path / "y.pth"), strict=True):
            torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-5)
