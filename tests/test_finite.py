"""A run whose loss is no number stops, and keeps its healthy checkpoints."""

import pytest
import torch
from toy_runner import ToyModel, toy_runner

HOOKS = [dict(type="FiniteHook")]


class Failing(ToyModel):
    """Its loss is NaN from one step on, or its step leaves weights that are not finite."""

    def __init__(self, loss_at=None, weights_at=None):
        super().__init__()
        self.loss_at, self.weights_at, self.steps = loss_at, weights_at, 0

    def train_step(self, data, optim_wrapper):
        self.steps += 1
        logged = super().train_step(data, optim_wrapper)
        if self.steps == self.weights_at:
            self.linear.weight.data[0, 0] = float("inf")
        return logged

    def forward(self, inputs, data_samples, mode="tensor"):
        output = super().forward(inputs, data_samples, mode)
        if mode != "loss":
            return output
        bad = self.loss_at is not None and self.steps >= self.loss_at
        factor = float("nan") if bad else 1.0
        return {"loss_cls": factor * output["loss"], "loss_box": output["loss"] * 0 + 0.25}


def test_a_loss_that_is_nan_stops_the_run_with_its_parts_and_the_last_good_checkpoint(tmp_path):
    runner = toy_runner(tmp_path, Failing(loss_at=7), custom_hooks=HOOKS)
    message = r"loss of iteration 7 is not finite \(loss nan, loss_cls nan, loss_box 0.25\).*"
    with pytest.raises(FloatingPointError, match=message + r"good checkpoint is .*epoch_1\.pth"):
        runner.train()
    assert not (tmp_path / "epoch_2.pth").exists()


@pytest.mark.parametrize("save", [dict(interval=1), dict(by_epoch=False, interval=2)])
def test_weights_that_are_not_finite_are_not_saved_in_the_place_of_good_ones(save, tmp_path):
    checkpoint = dict(type="CheckpointHook", max_keep_ckpts=1, **save)
    model = Failing(weights_at=8)  # the last step before a checkpoint
    runner = toy_runner(
        tmp_path, model, custom_hooks=HOOKS, default_hooks=dict(checkpoint=checkpoint)
    )
    with pytest.raises(FloatingPointError, match=r"after iteration 8, 1 weights .*linear\.weight"):
        runner.train()
    (kept,) = tmp_path.glob("*.pth")
    weights = torch.load(kept, weights_only=False)["state_dict"]
    assert all(tensor.isfinite().all() for tensor in weights.values())


def test_weights_that_are_not_finite_are_not_scored(tmp_path):
    loop = dict(type="IterBasedTrainLoop", max_iters=8, val_interval=4)
    runner = toy_runner(
        tmp_path, Failing(weights_at=4), train_cfg=loop, param_scheduler=None, custom_hooks=HOOKS
    )
    with pytest.raises(FloatingPointError, match="after iteration 4, .* No checkpoint is saved"):
        runner.train()


def test_mixed_precision_may_skip_a_step_but_not_all_of_them(tmp_path, monkeypatch):
    from mmengine.optim import OptimWrapper

    monkeypatch.setattr("mmdet_ltnorm.engine.finite.AmpOptimWrapper", OptimWrapper)
    monkeypatch.setattr("mmdet_ltnorm.engine.finite._SKIPPED_STEPS", 3)
    monkeypatch.setattr(OptimWrapper, "step", lambda self: None)
    runner = toy_runner(tmp_path, Failing(loss_at=4), custom_hooks=HOOKS)
    with pytest.raises(FloatingPointError, match="iteration 6 is not finite .* 2 iterations befor"):
        runner.train()
