"""The fast analysis of masked channels equals masking one channel after the other."""

import numpy as np
import pytest
import torch
from analysis_cases import (
    CHANNELS,
    GROUPS,
    class_accuracy,
    classifier,
    loader,
    reference_features,
)
from mmengine.registry import MODELS

from mmdet_ltnorm.analysis import channels as module
from mmdet_ltnorm.analysis.channels import (
    channel_effects,
    channel_kinds,
    channels_table,
    column_weights,
    masked_accuracy,
)


@torch.no_grad()
def reference(model, masked):
    """Return the accuracy of each class when some channels are zero."""
    features, labels = reference_features(model)
    features[:, masked] = 0
    return class_accuracy(model.head(torch.from_numpy(features)).argmax(1).numpy(), labels)


PREDICTORS = {
    "Linear": True,
    "RectifiedLinear": True,
    "TauNormLinear": True,
    "LWSLinear": True,
    "mmdet.NormedLinear": False,
}


@pytest.mark.parametrize("predictor", ["Linear", "RectifiedLinear", "mmdet.NormedLinear"])
def test_effects_equal_those_of_masking_each_channel_alone(predictor, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 20 * CHANNELS * 3)  # several chunks of channels
    model = classifier(predictor)
    effects = channel_effects(model, loader(20), GROUPS)
    change = np.array([reference(model, [k]) - reference(model, []) for k in range(CHANNELS)])
    np.testing.assert_allclose(effects["tail"], change[:, GROUPS["few"]].mean(1), atol=1e-9)
    np.testing.assert_allclose(effects["head"], change[:, GROUPS["many"]].mean(1), atol=1e-9)
    assert np.abs(change).max() > 0


@pytest.mark.parametrize(("predictor", "affine"), PREDICTORS.items())
def test_layers_that_are_affine_in_their_input_are_known(predictor, affine):
    layer = MODELS.build(dict(type=predictor, in_features=6, out_features=4)).eval()
    if predictor == "RectifiedLinear":
        layer.running_var.uniform_(0.5, 2)
    weight = column_weights(layer)
    assert (weight is not None) == affine
    if affine:
        x = torch.randn(3, 6)
        without = torch.where(torch.arange(6) == 2, 0, x)
        expected = layer(x) - x[:, 2, None] * weight[:, 2]
        torch.testing.assert_close(layer(without), expected)


def test_kinds_are_told_by_the_two_thresholds():
    #                          rare  frequent  common  slight  both a little
    tail = -np.array([2.0, 0.1, 1.5, 0.4, 1.0])
    head = -np.array([0.2, 1.0, 3.0, 0.4, 0.6])
    kinds = channel_kinds({"tail": tail, "head": head}, severe=1.0, negligible=0.5)
    assert {name: np.flatnonzero(mask).tolist() for name, mask in kinds.items()} == {
        "rare-specific": [0],
        "frequent-specific": [1],
        "common": [2],
    }


def test_masked_sets_equal_the_reference_and_the_table_shows_their_cost():
    model = classifier()
    masks = {"common": np.arange(CHANNELS) < 20, "none of them": np.zeros(CHANNELS, bool)}
    found = masked_accuracy(model, loader(20), masks, GROUPS)
    features, labels = reference_features(model)
    for name, masked in {"nothing": [], "common": range(20), "none of them": []}.items():
        of_class = reference(model, list(masked))
        assert found[name]["tail"] == pytest.approx(of_class[GROUPS["few"]].mean())
        assert found[name]["head"] == pytest.approx(of_class[GROUPS["many"]].mean())
        shares = np.bincount(labels) / len(labels)
        assert found[name]["all"] == pytest.approx((of_class * shares).sum())
    table = str(channels_table({"CE": [found]}, {"CE": [{"common": 20}]}))
    change = found["common"]["tail"] - found["nothing"]["tail"]
    assert f"({change:+.1f})" in table and "without common" in table


def test_an_empty_group_is_refused_with_the_groups_there_are():
    groups = {"many": np.array([], np.int64), "medium": np.arange(3), "few": np.arange(3, 5)}
    with pytest.raises(
        ValueError, match=r"no class is in a group 'many'.*: many \(0\), medium \(3"
    ):
        channel_effects(classifier(), loader(20), groups)
    with pytest.raises(ValueError, match=r"no class is in a group 'rare'"):
        channel_effects(classifier(), loader(20), groups, tail="rare")
