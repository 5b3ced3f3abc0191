"""An mmengine hook that logs the feature bias during training."""

from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from mmdet_ltnorm.analysis.capture import classifier_layer
from mmdet_ltnorm.analysis.feature_statistics import FeatureStatistics, variances
from mmdet_ltnorm.analysis.gamma import last_norm, norm_layers
from mmdet_ltnorm.arguments import checked_integer
from mmdet_ltnorm.moments import Moments
from mmdet_ltnorm.norms import CBN, NormalizedAffine
from mmdet_ltnorm.norms.affine import stored


@HOOKS.register_module()
class FeatureBiasHook(Hook):
    r"""Log how uneven the channels of the classifier's input are, and those of the norms before it.

    Every ``interval`` iterations the visualizer, and so each of its backends, gets

    - ``feature_bias/var_mu``, ``var_sigma``, ``var_sigma2``, ``cv_mu`` and ``cv_sigma`` of the
      classifier's input over the training batches since the last time, of all ranks (NBN paper,
      Eq. 5-6; see :func:`~mmdet_ltnorm.analysis.feature_statistics.variances`);
    - for each NBN layer, and for the backbone's last norm of any kind, ``gamma_sd``, the standard
      deviation of its effective :math:`\gamma`, and ``raw_gamma_norm``,
      :math:`\|\tilde\gamma\|`; for an owner of a magnitude ``magnitude``, g;
    - for each CBN layer ``prior_entropy`` in units of log M and what ``CBN.diagnostics`` returns,
      all under ``feature_bias/LAYER/``.

    Args:
        interval: iterations.
    """

    def __init__(self, interval: int = 50) -> None:
        self.interval = checked_integer("interval", interval, at_least=1)

    def before_train(self, runner: Runner) -> None:
        """Register a hook on the classifier."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        norms, last = norm_layers(model), last_norm(model)
        kept = (NormalizedAffine, CBN)
        self._norms = {
            n: layer for n, layer in norms.items() if isinstance(layer, kept) or n == last
        }
        classifier = classifier_layer(model)
        self._moments = self._fresh = Moments.empty(
            1, *classifier.weight.shape[1:], classifier.weight.device
        )
        self._handle = classifier.register_forward_pre_hook(self._observe)

    def _observe(self, classifier: nn.Module, args: tuple[Tensor, ...]) -> None:
        if classifier.training:
            self._moments += Moments.of(args[0].detach())

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Log the statistics since the last time, and reset them."""
        if not self.every_n_train_iters(runner, self.interval):
            return
        moments, self._moments = self._moments.over_ranks(), self._fresh
        seen = FeatureStatistics(
            int(moments.count), *(t[0].cpu().numpy() for t in (moments.mean, moments.std))
        )
        scalars = variances(seen)
        for name, layer in self._norms.items():
            scalars |= {f"{name}/{key}": value for key, value in norm_report(layer).items()}
        named = {f"feature_bias/{name}": float(value) for name, value in scalars.items()}
        runner.visualizer.add_scalars(named, step=runner.iter + 1)

    def after_train(self, runner: Runner) -> None:
        """Remove the hook from the classifier."""
        self._handle.remove()


@torch.no_grad()
def norm_report(layer: nn.Module) -> dict[str, Tensor]:
    """Return the scalars that the hook logs for a batch norm layer."""
    report = {
        "gamma_sd": layer.weight.std(-1).mean(),  # of CBN the mean over the components
        "raw_gamma_norm": torch.linalg.vector_norm(stored(layer, "weight")),
    }
    if isinstance(layer, NormalizedAffine) and layer.sharing[-1] is layer:
        report["magnitude"] = layer.magnitude.detach()
    if isinstance(layer, CBN):
        found = layer.diagnostics()
        prior = found.pop("prior")
        unit = torch.tensor(float(max(len(prior), 2))).log()
        report |= {"prior_entropy": torch.special.entr(prior).sum() / unit, **found}
    return report
