"""A run whose loss is no number stops, and keeps its healthy checkpoints."""

import pytest
import torch
from torch import nn
from toy_runner import ToyModel, toy_runner

from mmdet_ltnorm.norms import CBN

HOOKS = [dict(type="FiniteHook")]


class Failing(ToyModel):
    """A model whose loss is NaN from one step on, or whose step makes its weights NaN."""

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


class WithACloud(ToyModel):
    """Its second image of one step is infinite in one pixel, which its loss leaves out or not."""

    def __init__(self, norm, at, counts):
        super().__init__(nn.Sequential(nn.Conv2d(4, 4, 1), norm, nn.BatchNorm2d(4)))
        self.at, self.counts, self.steps = at, counts, 0

    def forward(self, inputs, data_samples, mode="tensor"):
        inputs = torch.stack(list(inputs)) + torch.randn(2, 4, 3, 3)
        self.steps += mode == "loss"
        if mode != "loss" or self.steps != self.at:
            return super().forward(inputs, data_samples, mode)
        inputs[1, 2, 0, 0] = torch.inf
        if self.counts:
            return super().forward(inputs, data_samples, mode)
        with torch.no_grad():
            self.norm[:2](inputs)
        return {"loss": self.linear.weight.square().sum()}


@pytest.mark.parametrize("norm", [lambda: CBN(4), lambda: nn.BatchNorm2d(4)])
def test_the_first_norm_that_got_numbers_that_are_not_finite_is_named(norm, tmp_path):
    runner = toy_runner(tmp_path, WithACloud(norm(), at=6, counts=True), custom_hooks=HOOKS)
    with pytest.raises(
        FloatingPointError, match=r"iteration 6 .*of the norms, norm\.1 was the fir"
    ):
        runner.train()


def test_a_cbn_layer_that_got_them_while_the_loss_was_finite_is_warned_of_once(tmp_path, caplog):
    layer = CBN(4)
    runner = toy_runner(tmp_path, WithACloud(layer, at=3, counts=False), custom_hooks=HOOKS)
    runner.train()
    log = next(tmp_path.glob("*/*.log")).read_text()
    assert log.count("norm.1 got NaN or infinity by iteration 4, the first of 1 CBN layers") == 1
    assert all(buffer.isfinite().all() for buffer in layer.buffers()) and layer.not_finite == 0
