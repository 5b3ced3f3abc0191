"""One magnitude for all norms of a residual stream: what it does to features and heads (Eq. 2)."""

import pytest
import torch
from small_classifiers import RESNET_50, build, samples, with_nbn


def magnitude_of(model):
    (magnitude,) = [p for name, p in model.named_parameters() if name.endswith("magnitude")]
    return magnitude


def trained_like(model):
    """Give norms and statistics values that no initialization has."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() == 1 and "predictor" not in name:
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return model


def without_eps(model):
    for module in model.modules():
        if hasattr(module, "eps"):
            module.eps = 1e-30


def features_at(model, magnitude, images):
    magnitude_of(model).data.fill_(magnitude)
    with torch.no_grad():
        return model.extract_feat(images)


def relative_difference(a, b):
    return ((a - b).norm() / b.norm()).item()


def test_pooled_features_of_resnet_50_are_proportional_to_the_shared_magnitude():
    model = trained_like(build(with_nbn(RESNET_50))).train()
    images = torch.randn(8, 3, 64, 64)
    one = features_at(model, 1.0, images)
    # Exact but for the eps of norms in the blocks, which weighs the more the smaller g is.
    assert relative_difference(features_at(model, 4.0, images), 4 * one) < 1e-3
    assert relative_difference(features_at(model, 0.1, images), 0.1 * one) < 2e-2
    without_eps(model)
    one = features_at(model.double(), 1.0, images.double())
    assert relative_difference(features_at(model, 4.0, images.double()), 4 * one) < 1e-9


def test_in_option_a_resnet_32_the_identity_shortcut_breaks_the_proportion():
    model = trained_like(build(with_nbn(dict(type="ResNetCIFAR", depth=32)))).train()
    images = torch.randn(8, 3, 32, 32)
    one = features_at(model, 1.0, images)
    assert relative_difference(features_at(model, 4.0, images), 4 * one) > 0.1


def magnitude_gradient(backbone, predictor):
    """Return the gradient of g, relative to the gradient it has with a linear head."""
    images, labels = torch.randn(8, 3, 32, 32), samples([0, 1, 2, 3, 4, 0, 1, 2])
    gradients = []
    for kind in (predictor, "Linear"):
        torch.manual_seed(0)
        model = trained_like(build(with_nbn(backbone), kind)).double().train()
        with torch.no_grad():  # a cosine head of tiny random weights has hardly any gradient
            model.head.predictor.weight.normal_()
            magnitude_of(model).fill_(1)
        without_eps(model)
        losses = model(images.double(), labels, mode="loss")
        losses["loss"].backward()
        gradients.append(magnitude_of(model).grad.abs().item())
    return gradients[0] / gradients[1]


@pytest.mark.parametrize("predictor", ["RectifiedLinear", "NormedLinear"])
def test_rectified_and_cosine_heads_leave_the_shared_magnitude_without_gradient(predictor):
    assert magnitude_gradient(RESNET_50, predictor) < 1e-9


@pytest.mark.parametrize("predictor", ["RectifiedLinear", "NormedLinear"])
def test_in_option_a_resnet_32_the_magnitude_keeps_its_gradient_under_these_heads(predictor):
    assert magnitude_gradient(dict(type="ResNetCIFAR", depth=32), predictor) > 1e-2
