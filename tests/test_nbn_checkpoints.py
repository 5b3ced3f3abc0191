"""NBN layers load plain and own checkpoints, share one magnitude, and keep it through copies."""

import copy
import io
import pickle

import pytest
import torch
from nbn_layers import randomized
from torch import nn

from mmdet_ltnorm.norms import NBN, share_magnitude


@pytest.mark.parametrize("pretrained", ["preserve", "mean", "one"])
def test_plain_batch_norm_checkpoint_loads_as_asked(pretrained):
    plain = [nn.BatchNorm2d(channels) for channels in (8, 8, 12)]
    for norm in plain:
        nn.init.uniform_(norm.weight, 0.2, 2)
        nn.init.normal_(norm.bias)
        norm.running_mean.normal_()
    layers = [NBN(norm.num_features, pretrained=pretrained) for norm in plain]
    share_magnitude(layers)
    for layer, norm in zip(layers, plain, strict=True):
        layer.load_state_dict(norm.state_dict(), strict=True)
    mean_norm = torch.stack([norm.weight.norm() for norm in plain]).mean()
    g = layers[0].magnitude
    torch.testing.assert_close(
        g, torch.ones(()) if pretrained == "one" else mean_norm, check_dtype=False
    )
    for layer, norm in zip(layers, plain, strict=True):
        if pretrained == "preserve":
            x = torch.randn(3, norm.num_features, 4, 4)
            torch.testing.assert_close(layer(x), norm(x), rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(layer.eval()(x), norm.eval()(x), rtol=1e-5, atol=1e-5)
        else:
            assert layer.weight_gain == layer.bias_gain == 1
            torch.testing.assert_close(layer.weight, g * norm.weight / norm.weight.norm())


def test_untrained_batch_norm_checkpoint_keeps_its_function_too():
    norm, layer = nn.BatchNorm2d(8), NBN(8)
    layer.load_state_dict(norm.state_dict())
    x = torch.randn(3, 8, 4, 4)
    torch.testing.assert_close(layer(x), norm(x))
    layer(x).sin().sum().backward()
    torch.testing.assert_close(layer._parameters["bias"].grad.norm() > 1e-3, torch.tensor(True))


def test_own_checkpoint_is_restored_exactly():
    layers = [randomized(8), randomized(8)]
    share_magnitude(layers)
    saved = [copy.deepcopy(layer.state_dict()) for layer in layers]
    fresh = [NBN(8, dtype=torch.float64) for _ in layers]
    share_magnitude(fresh)
    for layer, state in zip(fresh, saved, strict=True):
        layer.load_state_dict(state)
    for layer, other in zip(layers, fresh, strict=True):
        assert torch.equal(layer.weight, other.weight) and torch.equal(layer.bias, other.bias)
    assert [name for state in saved for name in state if name == "magnitude"] == ["magnitude"]


def test_checkpoint_with_another_sharing_is_refused_by_name():
    alone, shared = nn.Sequential(NBN(4), NBN(4)), nn.Sequential(NBN(4), NBN(4))
    share_magnitude(list(shared))
    with pytest.raises(
        ValueError, match=r"0: .*stores \['magnitude'\] here, this model none.*share"
    ):
        shared.load_state_dict(alone.state_dict())
    with pytest.raises(ValueError, match=r"0: .*stores no magnitude here"):
        alone.load_state_dict(shared.state_dict())


def test_shared_magnitude_is_one_parameter_with_one_owner_through_every_copy():
    model = nn.Sequential(NBN(4), nn.ReLU(), NBN(4))
    share_magnitude([model[0], model[2]])
    copies = [model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    copies.append(torch.load(buffer, weights_only=False))
    copies.append(copy.deepcopy(model).to(torch.float64))
    owners = {id(each[2]._parameters["magnitude"]) for each in copies}
    assert len(owners) == len(copies)
    for each in copies:
        assert each[0].magnitude is each[2]._parameters["magnitude"]
        names = [name for name, _ in each.named_parameters()]
        assert [name for name in names if "magnitude" in name] == ["2.magnitude"]
        assert len(list(each.modules())) == 4
    bumped = {"2.magnitude": torch.zeros(())}
    out = torch.func.functional_call(model, bumped, torch.randn(2, 4, 3, 3))
    assert not out.any()


def test_sharing_needs_layers_with_equal_options():
    with pytest.raises(ValueError, match="at least one NBN layer"):
        share_magnitude([])
    with pytest.raises(ValueError, match="equal options"):
        share_magnitude([NBN(4), NBN(4, official=True)])
