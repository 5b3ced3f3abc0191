"""Folders of runs as mmengine leaves them, for tests of the code that reads them."""

import json

from mmengine.config import Config

LOG = """2026/01/01 00:00:00 - mmengine - INFO -
------------------------------------------------------------
System environment:
    sys.platform: linux
    PyTorch: 2.13.0
    PyTorch compiling details: PyTorch built with:
  - GCC 13.3
    numpy_random_seed: 3

Runtime environment:
    seed: 3
"""


def logged_run(folder, name, seed, few, lr=0.1, nbn=False, data=None):
    """Write what mmengine leaves of a two-epoch run, without checkpoints; return the work dir."""
    work_dir = folder / f"{name}_{seed}"
    logs = work_dir / "20260101_000000"
    (logs / "vis_data").mkdir(parents=True)
    (logs / "20260101_000000.log").write_text(LOG)
    backbone = dict(type="LTNormBackbone", backbone=dict(type="ResNetCIFAR", depth=8))
    if nbn:
        backbone |= dict(norm_cfg=dict(type="NBN"))
    cfg = dict(model=dict(type="ImageClassifier", backbone=backbone), note="<script>")
    cfg |= dict(optim_wrapper=dict(optimizer=dict(type="SGD", lr=lr)), randomness=dict(seed=seed))
    cfg |= dict(custom_hooks=[dict(type="A"), dict(type="B", by=name)], work_dir=str(work_dir))
    if data:
        cfg |= {f"{part}_dataloader": dict(dataset=dict(data)) for part in ("train", "val", "test")}
    Config(cfg).dump(work_dir / f"{name}.py")
    Config(cfg).dump(logs / "vis_data" / "config.py")
    magnitude = {"magnitude": 8.0} if nbn else {}
    records = []
    for epoch in (1, 2):
        records.append({"loss": 1 / epoch, "iter": 5 * epoch, "step": 5 * epoch, **magnitude})
        scores = {"accuracy/all": 50.0 + epoch, "accuracy/few": few + epoch}
        records.append({**scores, "time": 0.1, "step": epoch})
    (logs / "vis_data" / "scalars.json").write_text("\n".join(map(json.dumps, records)))
    return work_dir
