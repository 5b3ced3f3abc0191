"""The second stage of decoupled training, which trains only a part of a trained classifier."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader

from mmdet_ltnorm.classification.classifier import ImageClassifier
from mmdet_ltnorm.results.checkpoints import check_same_model, class_names, weights_of


@MODELS.register_module()
class SecondStageClassifier(ImageClassifier):
    """A classifier that starts from a first stage's checkpoint and trains only some parameters.

    After Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition". The
    defaults are cRT: the features of the first stage, and a predictor that is initialized afresh
    and learned. LWS is ``predictor=dict(type='LWSLinear')``, which is kept and learns its
    ``head.predictor.scale``.

    Every module is in train mode in training, frozen or not, as in the authors' code: batch norm
    normalizes with the batch's statistics and estimates the running ones anew.

    Args:
        first_stage: checkpoint of the first stage; read when training starts, not for tests.
        kept: glob patterns over the names in the checkpoint that are loaded.
        trainable: glob patterns over the names of parameters that are learned. With
            ``'*.magnitude'`` NBN's g is among them (NBN paper, Table VIII, NBN*).
        backbone_eval: keep the backbone in eval mode, its running statistics as they are (CBN
            paper, Sec. 4.3: the feature extractor is fixed).

    Raises:
        ValueError: a pattern of ``trainable`` matches no parameter, or what is kept differs in the
            checkpoint; its classes are compared when training starts.
    """

    def __init__(
        self,
        *args: Any,
        first_stage: str,
        kept: Sequence[str] = ("backbone.*",),
        trainable: Sequence[str] = ("head.predictor.*",),
        backbone_eval: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.first_stage = first_stage
        self.classes_of_first_stage: list[str] | None = None  # where its classifier is kept
        self.kept = kept
        self.backbone_eval = backbone_eval
        names = [name for name, _ in self.named_parameters()]
        for pattern in trainable:
            if not _matching(names, [pattern]):
                head = [name for name in names if not name.startswith("backbone.")]
                raise ValueError(
                    f"trainable: the pattern {pattern!r} matches no parameter; there are "
                    f"{', '.join(head)} and those of the backbone"
                )
        # Here and not in a hook: DDP looks at requires_grad when it wraps the model.
        learned = _matching(names, trainable)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name in learned)

    def init_weights(self) -> None:
        """Initialize, then load the kept weights of the first stage."""
        super().init_weights()
        checkpoint = CheckpointLoader.load_checkpoint(self.first_stage, map_location="cpu")
        weights = weights_of(checkpoint, self.first_stage)
        own, saved = (
            {name: state[name] for name in _matching(state, self.kept)}
            for state in (self.state_dict(), weights)
        )
        check_same_model(own, saved, self.first_stage)
        self.load_state_dict(saved, strict=False)
        if any(name.startswith("head.") for name in own):
            self.classes_of_first_stage = class_names(checkpoint.get("meta", {}))

    def train(self, mode: bool = True) -> "SecondStageClassifier":
        """Switch to training, except what ``backbone_eval`` keeps in eval mode."""
        super().train(mode)
        if self.backbone_eval:
            self.backbone.eval()
        return self


def _matching(names: Iterable[str], patterns: Sequence[str]) -> set[str]:
    return {name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)}
