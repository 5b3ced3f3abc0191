"""CBN layers load batch norm's checkpoints and their own, and keep their state through copies."""

import copy
import io
import pickle

import pytest
import torch
from cbn_layers import statistics, trained, two_clouds
from mmengine.model import ExponentialMovingAverage
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from mmdet_ltnorm.norms import CBN


def trained_batch_norm(channels=6):
    norm = nn.BatchNorm2d(channels)
    nn.init.uniform_(norm.weight, 0.2, 2), nn.init.normal_(norm.bias)
    for _ in range(5):
        norm(3 * torch.randn(4, channels, 5, 5) + 7)
    return norm


@pytest.mark.parametrize("components", [1, 4])
@pytest.mark.parametrize("load", [nn.Module.load_state_dict, load_state_dict])
def test_a_batch_norm_checkpoint_keeps_its_function_in_evaluation(components, load):
    norm, layer = trained_batch_norm(), CBN(6, num_components=components)
    model, host = nn.ModuleDict({"a": layer}), nn.ModuleDict({"a": norm})
    state = host.state_dict()
    before = {name: tensor.clone() for name, tensor in state.items()}
    load(model, state)
    assert all(torch.equal(state[name], before[name]) for name in before)
    x = 3 * torch.randn(4, 6, 5, 5) + 7
    torch.testing.assert_close(layer.eval()(x), norm.eval()(x), rtol=1e-5, atol=1e-5)
    assert layer.num_batches_tracked == 5
    layer.train()(x), norm.train()(x)
    torch.testing.assert_close(layer.running_mean.mean(0), norm.running_mean, rtol=0, atol=0.3)


def test_a_checkpoint_without_a_batch_count_is_not_taken_for_a_fresh_layer():
    norm, layer = trained_batch_norm(), CBN(6)
    state = {k: v for k, v in norm.state_dict().items() if k != "num_batches_tracked"}
    layer.load_state_dict(state)
    layer(torch.randn(4, 6, 5, 5))
    assert (layer.running_mean.mean(0) - norm.running_mean).abs().max() < 1


def test_an_untrained_batch_norm_checkpoint_leaves_the_layer_fresh():
    layer = CBN(6)
    layer.load_state_dict(nn.BatchNorm2d(6).state_dict())
    x = 3 * torch.randn(8, 6, 5, 5) + 70
    layer(x)
    torch.testing.assert_close(layer.running_mean.mean(0), x.mean((0, 2, 3)), rtol=0, atol=0.5)


def test_the_state_survives_checkpoints_copies_pickles_and_averages():
    layer = trained()
    buffer = io.BytesIO()
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    loaded = CBN(6)
    loaded.load_state_dict(torch.load(buffer, weights_only=True))
    average = ExponentialMovingAverage(layer, momentum=0.5, update_buffers=True)
    average.update_parameters(layer)
    copies = [loaded, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)), average.module]
    x = two_clouds()
    expected = [layer(x), *statistics(layer), layer.eval()(x)]
    for each in copies:
        each.train()
        for ours, theirs in zip(
            [each(x), *statistics(each), each.eval()(x)], expected, strict=True
        ):
            assert torch.equal(ours, theirs)
