"""γ of trained layers as the network uses it, and g over training."""

import json

import numpy as np
import pytest
import torch
from analysis_cases import classifier
from torch import nn

from mmdet_ltnorm.analysis.gamma import draw_gamma, draw_gamma_grid, effective_affine, last_norm
from mmdet_ltnorm.analysis.magnitude import draw_magnitude, magnitude_curves
from mmdet_ltnorm.norms import CBN, NBN

NORMS = {"BN": dict(type="BN"), "NBN": dict(type="NBN"), "CBN": dict(type="CBN", num_components=3)}


@pytest.mark.parametrize("kind", NORMS)
def test_vectors_are_those_that_the_layer_applies(kind):
    layer = {"BN": nn.BatchNorm2d, "NBN": NBN, "CBN": CBN}[kind](5)
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, 0.5, 2)
    (gamma, beta) = effective_affine(nn.Sequential(layer))["0"]
    assert gamma.shape == beta.shape == ((4 if kind == "CBN" else 1), 5)
    if kind == "CBN":
        np.testing.assert_array_equal(gamma, layer.weight.detach().numpy())
        return
    # With running mean 0 and variance 1, inputs 0 and 1 give β and β + γ.
    with torch.no_grad():
        low, high = layer.eval()(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 5, 1, 1))
    np.testing.assert_allclose(beta[0], low.flatten(), rtol=1e-4)
    np.testing.assert_allclose(gamma[0], (high - low).flatten(), rtol=1e-4)


def test_effective_nbn_vectors_have_length_g():
    model = classifier(norm_cfg=dict(type="NBN"))
    layer = model.backbone.layer3[0].bn2
    gamma, beta = effective_affine(model)["backbone.layer3.0.bn2"]
    np.testing.assert_allclose(np.linalg.norm(gamma), layer.magnitude.item(), rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(beta), layer.magnitude.item(), rtol=1e-5)


def test_the_last_norm_is_the_backbones_and_not_a_down_sampling_one():
    model = classifier()
    assert last_norm(model) == "backbone.layer3.0.bn2"
    model.backbone.layer3[0].downsample = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    model.projection = nn.BatchNorm1d(3)
    assert last_norm(model) == "backbone.layer3.0.bn2"


def test_a_network_without_batch_norm_says_so():
    with pytest.raises(ValueError, match="Linear has no batch norm layer"):
        last_norm(nn.Linear(1, 1))


def test_plain_nbn_and_cbn_are_drawn_side_by_side(tmp_path):
    models = {k: effective_affine(classifier(norm_cfg=cfg)) for k, cfg in NORMS.items()}
    draw_gamma(models, dict.fromkeys(models, "backbone.layer3.0.bn2"), tmp_path / "one.png")
    draw_gamma_grid(models, tmp_path / "all.png")
    for name in "one", "all":
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_missing_layer_is_refused_with_the_names_of_the_others(tmp_path):
    models = {"CE": effective_affine(classifier())}
    with pytest.raises(
        ValueError, match=r"CE has no batch norm layer 'bn9'; there are backbone\.bn1,"
    ):
        draw_gamma(models, {"CE": "bn9"}, tmp_path / "gamma.png")


def write_log(work_dir, records):
    folder = work_dir / "20260101_0000" / "vis_data"
    folder.mkdir(parents=True)
    (folder / "scalars.json").write_text("\n".join(map(json.dumps, records)))
    return work_dir


def test_magnitudes_are_read_from_a_runs_logs_and_drawn(tmp_path):
    shared = [{"iter": 50, "loss": 1.0, "magnitude": 8.0}, {"iter": 100, "magnitude": 9.0}]
    single = [{"iter": 50, "a.bn2.magnitude": 4.0, "b.bn2.magnitude": 5.0}]
    noise = [{"feature_bias/b.bn2/magnitude": 7.0, "step": 50}]
    runs = {
        "shared": magnitude_curves(write_log(tmp_path / "shared", shared)),
        "single": magnitude_curves(write_log(tmp_path / "single", single + noise)),
    }
    np.testing.assert_array_equal(runs["shared"]["magnitude"], [[50, 100], [8, 9]])
    assert list(runs["single"]) == ["a.bn2.magnitude", "b.bn2.magnitude"]
    draw_magnitude({label: [run] for label, run in runs.items()}, tmp_path / "magnitude.png")
    assert (tmp_path / "magnitude.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_without_nbn_in_its_logs_says_so(tmp_path):
    work_dir = write_log(tmp_path, [{"iter": 50, "loss": 1.0}])
    with pytest.raises(ValueError, match=r"no NBN in the logs of .*MagnitudeHook"):
        magnitude_curves(work_dir)
