"""Statistics of CBN's components, against loops over pixels."""

import math

import numpy as np
import pytest
import torch
from analysis_cases import GROUPS, classifier, images_and_labels, loader

from mmdet_ltnorm.analysis.components import component_statistics, draw_components

CBN = dict(type="CBN", num_components=3)


def test_statistics_equal_those_of_all_pixels_at_once(tmp_path):
    model = classifier(norm_cfg=CBN)
    found = component_statistics(model, loader(13), GROUPS, "backbone.layer2.0.bn1")
    layer = model.backbone.layer2[0].bn1
    seen = []
    layer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    images, labels = images_and_labels()
    with torch.no_grad():
        model.backbone(images)
    x = seen[0].double()
    log = torch.stack(
        [
            tau.log()
            - 0.5
            * (
                ((x - mu[:, None, None]) ** 2) / (v + layer.eps)[:, None, None]
                + (v + layer.eps).log()[:, None, None]
            ).sum(1)
            for tau, mu, v in zip(
                layer.prior.double(),
                layer.running_mean.double(),
                layer.running_var.double(),
                strict=True,
            )
        ],
        1,
    )
    weights = log.softmax(1).numpy()  # (B, M, H, W)
    for row, classes in zip(found["responsibilities"], GROUPS.values(), strict=True):
        means = [weights[labels.numpy() == c].mean((0, 2, 3)) for c in classes]
        np.testing.assert_allclose(row, np.mean(means, 0), rtol=1e-3, atol=1e-5)
    entropy = -(weights * np.log(weights.clip(1e-300))).sum(1).mean() / math.log(3)
    assert found["entropy"] == pytest.approx(entropy, rel=1e-3, abs=1e-5)
    overall = weights.mean((0, 2, 3))
    information = -(overall * np.log(overall)).sum() / math.log(3) - entropy
    assert found["mutual_information"] == pytest.approx(information, rel=1e-3, abs=1e-5)
    assert found["distances"].shape == (3, 3) and np.diag(found["distances"]).max() == 0
    np.testing.assert_allclose(found["prior"].sum(), 1, rtol=1e-5)
    draw_components({"CBN": found}, tmp_path / "components.png")
    assert (tmp_path / "components.png").read_bytes().startswith(b"\x89PNG")


def test_the_last_layer_is_the_default():
    found = component_statistics(classifier(norm_cfg=CBN), loader(30), GROUPS)
    assert found["layer"] == "backbone.layer3.0.bn2"


def test_a_model_without_cbn_and_a_wrong_name_are_refused():
    with pytest.raises(ValueError, match="ImageClassifier has no CBN layer"):
        component_statistics(classifier(), loader(30), GROUPS)
    with pytest.raises(ValueError, match=r"no CBN layer 'bn9'; there are backbone\.bn1, backbone"):
        component_statistics(classifier(norm_cfg=CBN), loader(30), GROUPS, "bn9")


def test_a_detector_is_refused_for_its_images_have_no_class():
    model = classifier(norm_cfg=CBN)

    class BaseDetector(type(model)):  # told by this name
        pass

    model.__class__ = BaseDetector
    with pytest.raises(TypeError, match="expected an image classifier, got a BaseDetector"):
        component_statistics(model, loader(30), GROUPS)
