"""Hooks that calibrate a trained model for a test and leave it as it was; nothing is trained."""

import os
from collections.abc import Mapping
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS, MODELS
from mmengine.runner import Runner
from torch import nn

from mmdet_ltnorm.arguments import checked_number
from mmdet_ltnorm.calibration.stand_ins import FrequencyDivided, check_scores
from mmdet_ltnorm.class_groups import image_counts
from mmdet_ltnorm.data.wrapped import dataset_configs

CLASSIFIER, DETECTOR = "predictor", "fc_cls"  # the layer of logits in ClsHead and mmdet's box heads
_MODELS = {CLASSIFIER: "classifiers with a ClsHead", DETECTOR: "two-stage detectors"}


class PostHocHook(Hook):
    """Replaces a part of the head that turns logits into scores during a test.

    ``layers`` holds the attributes by which a method finds the head that it is for: the names of
    the head's layer of logits.
    """

    priority = "HIGH"  # before ClassCountsHook, which tells its counts to what is in the model
    layers: tuple[str, ...] = ()

    def calibrate(self, runner: Runner, head: nn.Module) -> tuple[str, nn.Module]:
        """Return the name of a part of the head, and its replacement."""
        raise NotImplementedError

    def before_test(self, runner: Runner) -> None:
        """Replace the part; the checkpoint is loaded already."""
        self._head, layer = self._one_head(runner.model)
        device = next(self._head.parameters()).device
        check_scores(self._head.loss_cls, layer.out_features, device)
        self._part, new = self.calibrate(runner, self._head)
        self._old = getattr(self._head, self._part)
        setattr(self._head, self._part, new.to(device))

    def after_test(self, runner: Runner) -> None:
        """Restore the part."""
        setattr(self._head, self._part, self._old)

    def _one_head(self, model: nn.Module) -> tuple[nn.Module, nn.Module]:
        heads = [
            (module, getattr(module, name))
            for module in model.modules()
            for name in self.layers
            if hasattr(module, "loss_cls") and hasattr(module, name)
        ]
        if len(heads) != 1:
            raise ValueError(
                f"{type(self).__name__} is for {' and '.join(_MODELS[n] for n in self.layers)}, "
                f"with one such head; this model has {len(heads)}"
            )
        return heads[0]


class _WithStrength(PostHocHook):
    def __init__(self, strength: float) -> None:
        self.strength = checked_number("strength", strength, at_least=0)


@HOOKS.register_module()
class LogitAdjustmentHook(_WithStrength):
    """Post-hoc logit adjustment, z - tau log pi, of a classifier; the strength is tau.

    ``ClassCountsHook`` gives it the counts of the training set.
    """

    layers = (CLASSIFIER,)

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__(strength)

    def calibrate(self, runner: Runner, head: nn.Module) -> tuple[str, nn.Module]:
        """Put division by the class counts between the logits and the scores."""
        return "loss_cls", FrequencyDivided(head.loss_cls, head.num_classes, self.strength)


@HOOKS.register_module()
class NorCalHook(_WithStrength):
    """NorCal of a two-stage detector; the strength is gamma.

    The numbers of images are read from the config's training annotations. The authors' code gives
    no value for gamma: its default is 0, which changes nothing.
    """

    layers = (DETECTOR,)

    def __init__(self, strength: float = 0.6) -> None:
        super().__init__(strength)

    def calibrate(self, runner: Runner, head: nn.Module) -> tuple[str, nn.Module]:
        """Put division by the image counts between the logits and the scores."""
        counts = sum(image_counts(file)[0] for file in _training_annotations(runner.cfg))
        divided = FrequencyDivided(head.loss_cls, head.num_classes, self.strength)
        divided.set_class_counts(counts)
        return "loss_cls", divided


@HOOKS.register_module()
class TauNormHook(_WithStrength):
    """Tau-normalization of a classifier's linear predictor, which keeps its bias."""

    layers = (CLASSIFIER,)

    def __init__(self, strength: float = 1.0) -> None:
        super().__init__(strength)

    def calibrate(self, runner: Runner, head: nn.Module) -> tuple[str, nn.Module]:
        """Put ``TauNormLinear`` in the place of the predictor."""
        old = head.predictor
        if type(old) is not nn.Linear:
            raise ValueError(
                "tau-normalization changes the lengths of a Linear predictor's weights, and this "
                f"model has a {type(old).__name__}"
            )
        new = MODELS.build(
            dict(
                type="TauNormLinear",
                in_features=old.in_features,
                out_features=old.out_features,
                tau=self.strength,
                bias=old.bias is not None,
            )
        )
        new.load_state_dict(old.state_dict())
        return "predictor", new


def _training_annotations(cfg: Mapping[str, Any]) -> list[str]:
    """Return the annotation files of the training set, each once."""
    parts = list(dataset_configs((cfg.get("train_dataloader") or {}).get("dataset")))
    if not parts or not all(part.get("ann_file") for part in parts):
        raise ValueError(
            "NorCal takes the number of images of each class from the training annotations, and "
            "this config has no train_dataloader.dataset.ann_file"
        )
    files = [os.path.join(part.get("data_root") or "", part["ann_file"]) for part in parts]
    return list(dict.fromkeys(files))
