"""The experiments of benchmarks/cifar_lt.py: which configs are compared, with which options."""

from typing import Any

from mmengine.registry import MODELS
from torch import Tensor

from mmdet_ltnorm.predictors import RectifiedLinear


@MODELS.register_module(force=True)  # a test may import this file anew
class ScaledRectifiedLinear(RectifiedLinear):
    """LR with logits multiplied by a constant, to see whether their variance of 1 matters."""

    def __init__(self, *args: Any, scale: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.scale = scale

    def forward(self, input: Tensor) -> Tensor:
        """Return the scaled logits."""
        return self.scale * super().forward(input)


CE, BS = "configs/cifar_lt/cifar10_ce", "configs/cifar_lt/cifar10_bs"
CBN = "configs/cifar_lt/cifar10_cbn"
LR = "model.head.predictor.type=RectifiedLinear"
NORM = "model.backbone.norm_cfg."
DECAY = "optim_wrapper.optimizer.weight_decay=5e-3"
SHAPES = "configs/demo/cls_shapes"
SCALED_LR = [
    "model.head.predictor.type=ScaledRectifiedLinear",
    "model.head.predictor.scale=4.0",
]
NOT_NORMALIZED = [NORM + "normalize=False", NORM + "initial_magnitude=1.0"]  # γ starts as 1
# Label to config and options; the first of an experiment is the others' baseline.
EXPERIMENTS = {
    "remedies": {
        "BS": [BS + ".py"],
        "BS + LR": [BS + "_lr.py"],
        "BS + NBN": [BS + "_nbn.py"],
        "BS + NBN + LR": [BS + "_nbn_lr.py"],
    },
    "lr_ceiling": {
        "BS": [BS + ".py"],
        "BS + LR": [BS + "_lr.py"],
        "BS + LR x 4": [BS + ".py", *SCALED_LR],
    },
    "cross_entropy": {
        "CE": [CE + ".py"],
        "CE + LR": [CE + ".py", LR],
        "CE + NBN": [CE + "_nbn.py"],
        "CE + NBN + LR": [CE + "_nbn_lr.py"],
    },
    "nbn_start": {
        "BS + NBN": [BS + "_nbn.py"],
        "g from 1": [BS + "_nbn.py", NORM + "initial_magnitude=1.0"],
        "β̃ from 0": [
            BS + "_nbn.py", NORM + "official=True", NORM + "initial_magnitude=sqrt_channels",
        ],
        "g from 1, β̃ from 0 (authors)": [BS + "_nbn.py", NORM + "official=True"],
        "β's own g, from 0.1 √C": [BS + "_nbn.py", NORM + "separate_magnitudes=True"],
    },
    "decay_5e-4": {
        "BS": [BS + ".py"],
        "BS + NBN": [BS + "_nbn.py"],
        "shared g, not normalized": [BS + "_nbn.py", *NOT_NORMALIZED],
    },
    "decay_5e-3": {
        "BS, decay 5e-3": [BS + ".py", DECAY],
        "BS + NBN, decay 5e-3": [BS + "_nbn.py", DECAY],
        "shared g, not normalized, decay 5e-3": [BS + "_nbn.py", *NOT_NORMALIZED, DECAY],
    },
    "cbn": {
        "BS, 400e": [BS + "_400e.py"],
        "CBN, last norms": [CBN + ".py"],
        "CBN, all norms": [CBN + "_all.py"],
        "CBN + SBN": [CBN + "_sbn.py"],
        "CBN + SBN + DPL": [CBN + "_dpl.py"],
        "CBN + SBN, all norms": [CBN + "_sbn_all.py"],
        "CBN + SBN + DPL, all norms": [CBN + "_dpl_all.py"],
    },
    "positions": {
        "BS + NBN": [BS + "_nbn.py"],
        "type A": [BS + "_nbn.py", "model.backbone.positions=last_stage"],
        "type B": [BS + "_nbn.py", "model.backbone.positions=complement"],
        "type C": [BS + "_nbn.py", "model.backbone.positions=all"],
        # A block has one NBN layer here, so share=block would be the same.
        "g of a layer": [BS + "_nbn.py", "model.backbone.share=none"],
    },
}  # fmt: skip
SHAPES_LT = {
    "shapes_nbn": {
        "CE": [SHAPES + "_ce.py"],
        "CE + NBN": [SHAPES + "_ce_nbn.py"],
        "CE + NBN, β̃ from 0": [
            SHAPES + "_ce_nbn.py", NORM + "official=True", NORM + "initial_magnitude=sqrt_channels",
        ],
        "CE + NBN, β's own g, from 0.1 √C": [
            SHAPES + "_ce_nbn.py", NORM + "separate_magnitudes=True",
        ],
        "CE + shared g, not normalized": [SHAPES + "_ce_nbn.py", *NOT_NORMALIZED],
        "CE + NBN in all norms": [SHAPES + "_ce_nbn.py", "model.backbone.positions=all"],
        "CE + LR": [SHAPES + "_ce.py", LR],
        "CE + LR x 4": [SHAPES + "_ce.py", *SCALED_LR],
    },
    "shapes_lr": {
        "BS": [SHAPES + "_bs.py"],
        "BS + LR": [SHAPES + "_bs.py", LR],
        "BS + LR x 4": [SHAPES + "_bs.py", *SCALED_LR],
        "BS + NBN": [SHAPES + "_bs_nbn.py"],
        "BS + NBN + LR": [SHAPES + "_bs_nbn_lr.py"],
        "BS + NBN + LR x 4": [SHAPES + "_bs_nbn_lr.py", *SCALED_LR],
    },
    "shapes_cbn": {
        "BS": [SHAPES + "_bs.py"],
        "CBN, last norms": [SHAPES + "_cbn.py"],
        "CBN + SBN": [SHAPES + "_cbn.py", "model.type=CompoundSplitClassifier"],
        "BS, strong views": [SHAPES + "_bs_strong.py"],
        "CBN + SBN + DPL": [SHAPES + "_cbn_dpl.py"],
    },
}  # fmt: skip
# A label names one run, and CIFAR-10-LT has runs of these names, too.
EXPERIMENTS |= {
    name: {f"Shapes-LT: {label}": words for label, words in variants.items()}
    for name, variants in SHAPES_LT.items()
}
PRESETS = {"paper": ["remedies", "nbn_start", "cbn"], **{name: [name] for name in EXPERIMENTS}}
