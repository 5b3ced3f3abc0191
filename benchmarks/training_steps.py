"""Training steps of classifiers and detectors with our norms over those with batch norm.

`python benchmarks/norms.py --classifier --detector` runs them.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from mmengine.config import Config
from torch import nn

import mmdet_ltnorm  # noqa: F401, registers the norms
from mmdet_ltnorm.benchmark import Spans, interleaved, module_spans, ratios, timed

CBN_EVERYWHERE = dict(type="CBN", num_components=4, shrinkage=1.0)
# The backbone, the number of images in a batch, and their height and width.
CLASSIFIERS = {
    "ResNet-32, batch 128 of 32x32": (dict(type="ResNetCIFAR", depth=32), 128, 32),
    "ResNet-50, batch 64 of 224x224": (dict(type="ResNet", depth=50, norm_eval=False), 64, 224),
}
ON_A_CPU = ["ResNet-32, batch 128 of 32x32"]
LVIS = Path(__file__).resolve().parents[1] / "configs" / "lvis"
BASELINE, WITH_NBN = LVIS / "seesaw_2x.py", LVIS / "seesaw_nbn_2x.py"
LIVE_NORMS = {"backbone.backbone.norm_eval": False}
MMDETS_LOSS = {"roi_head.bbox_head.loss_cls.type": "mmdet.SeesawLoss"}
# Two configs of a detector, each with changes to its model.
DETECTORS = {
    "NBN": ((BASELINE, {}), (WITH_NBN, {})),
    "NBN, both with mmdet's Seesaw": ((BASELINE, MMDETS_LOSS), (WITH_NBN, MMDETS_LOSS)),
    "NBN and LTSeesawLoss, over mmdet's Seesaw": ((BASELINE, MMDETS_LOSS), (WITH_NBN, {})),
    "CBN in all norms": (
        (BASELINE, LIVE_NORMS),
        (BASELINE, LIVE_NORMS | {"backbone.norm_cfg": CBN_EVERYWHERE, "backbone.positions": "all"}),
    ),
}


def classifier_step(
    backbone: dict,
    images: int,
    size: int,
    norm_cfg: dict,
    device: str,
    narrow: torch.dtype | None = None,
    compiling: Mapping[str, Any] | None = None,
) -> Callable[[], torch.Tensor]:
    """Return a training step of a classifier of 100 classes; the step returns the loss.

    Args:
        narrow: the type for mixed precision, None for float32.
        compiling: options for ``torch.compile`` of the loss, None to run eagerly.
    """
    from mmdet.registry import MODELS

    torch.manual_seed(0)
    layers = MODELS.build(backbone | {"norm_cfg": norm_cfg}), nn.LazyLinear(100)
    model = nn.ModuleList(layers).to(device).train()
    x = torch.randn(images, 3, size, size, device=device)
    labels = torch.randint(100, (images,), device=device)

    def loss() -> torch.Tensor:
        with torch.autocast(device, narrow, enabled=narrow is not None):
            logits = model[1](model[0](x)[-1].mean((2, 3)))
            return nn.functional.cross_entropy(logits, labels)

    loss()  # tells the linear layer its width
    if compiling is not None:
        loss = torch.compile(loss, **compiling)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        found = loss()
        found.backward()
        optimizer.step()
        return found.detach()

    return step


def benchmark_classifiers(rounds: int, device: str) -> None:
    norms = {"NBN": dict(type="NBN"), "CBN": CBN_EVERYWHERE}
    for name, case in CLASSIFIERS.items():
        if device == "cpu" and name not in ON_A_CPU:
            continue
        steps = [classifier_step(*case, cfg, device) for cfg in (dict(type="BN"), *norms.values())]
        theirs, *ours = timed(steps, rounds)
        print(f"\n- Training step of {name}: {median(theirs):.2f} s with BN")
        for norm, seconds in zip(norms, ours, strict=True):
            print(f"  - {norm} in all norms over it {ratios(seconds, theirs)}")


def detector_steps(
    configs: tuple[tuple[Path, dict], ...], size: int, device: str
) -> list[Callable[[], tuple[float, float]]]:
    """Return a training step of each model; all compute the same function, so the work is equal.

    A step returns its seconds, and the seconds of the classification loss in it.
    """
    from mmdet.registry import MODELS
    from mmdet.testing import demo_mm_inputs
    from mmengine.registry import init_default_scope

    init_default_scope("mmdet")
    models = []
    for config, changes in configs:
        cfg = Config.fromfile(config)
        cfg.model.backbone.backbone.init_cfg = None
        cfg.merge_from_dict({f"model.{key}": value for key, value in changes.items()})
        models.append(MODELS.build(cfg.model).to(device))
        models[-1].load_state_dict(models[0].state_dict())
        models[-1].train()
    shapes = [[3, size, size]] * 2
    inputs = demo_mm_inputs(2, shapes, num_items=[5, 5], num_classes=1203, with_mask=True)

    def step_of(model: nn.Module) -> Callable[[], tuple[float, float]]:
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=1e-6)

        def train() -> None:
            torch.manual_seed(0)  # for the samplers
            optimizer.zero_grad()
            data = model.data_preprocessor(inputs, True)
            losses = model.loss(data["inputs"], data["data_samples"])
            model.parse_losses(losses)[0].backward()
            optimizer.step()

        def step() -> tuple[float, float]:
            whole = Spans()
            with module_spans([model.roi_head.bbox_head.loss_cls]) as loss:
                whole.around(train)()
            return whole.take(), loss.take()

        return step

    return [step_of(model) for model in models]


def benchmark_detectors(
    rounds: int, size: int, device: str, names: Sequence[str] = tuple(DETECTORS)
) -> None:
    for name in names:
        times = interleaved(detector_steps(DETECTORS[name], size, device), rounds)
        (theirs, their_loss), (mine, my_loss) = (zip(*each, strict=True) for each in times)
        print(f"\n- Training step of Mask R-CNN R50 at {size}x{size}, batch 2:")
        print(f"  - batch norm {median(theirs):.2f} s, {name} over it {ratios(mine, theirs)}")
        losses = (f"{1e3 * median(seconds):.1f}" for seconds in (their_loss, my_loss))
        print(f"  - in it the classification loss: {' and '.join(losses)} ms")
