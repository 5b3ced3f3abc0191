"""Variance regularization joins the losses of any model, however it is trained."""

from types import SimpleNamespace

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.structures import BaseDataElement
from torch import distributed, nn

from mmdet_ltnorm.engine.variance import VarianceRegularizationHook, affine_variance

NAMES = ["layer3.0.bn2"]  # NBN's positions in ResNet-8


@pytest.fixture
def model():
    backbone, head = dict(type="ResNetCIFAR", depth=8), dict(type="ClsHead", num_classes=3)
    model = MODELS.build(dict(type="ImageClassifier", backbone=backbone, head=head))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.2, 1.5)
            nn.init.normal_(module.bias)
    return model


def batch():
    samples = [BaseDataElement() for _ in range(3)]
    for label, sample in enumerate(samples):
        sample.gt_label = torch.tensor([label])
    images = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return dict(inputs=images, data_samples=samples)


def joined(model, **options):
    hook = VarianceRegularizationHook(**options)
    hook.before_train(SimpleNamespace(model=model))
    return hook


def penalty(vector):
    """Return the variance with 1 / (C - 1), and its gradient."""
    centred = vector.detach() - vector.detach().mean()
    return centred.square().sum() / (len(centred) - 1), 2 * centred / (len(centred) - 1)


def gradients(model, count=1):
    """Return the gradients of a training step that accumulates one batch ``count`` times."""
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.0), accumulative_counts=count)
    found = {}
    wrapper.optimizer.register_step_pre_hook(
        lambda *_: found.update((n, p.grad.clone()) for n, p in model.named_parameters())
    )
    wrapper.initialize_count_status(model, 0, count)
    for _ in range(count):
        model.train_step(batch(), wrapper)
    return {name.removeprefix("module."): gradient for name, gradient in found.items()}


def test_the_variance_is_that_of_weight_and_bias_summed_over_layers():
    norms = [nn.BatchNorm2d(5), nn.BatchNorm2d(7)]
    for norm in norms:
        nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    expected = sum(penalty(norm.weight)[0] + penalty(norm.bias)[0] for norm in norms)
    torch.testing.assert_close(affine_variance(norms), expected)


@pytest.mark.parametrize("count", [1, 2], ids=["one step", "accumulated"])
def test_only_the_chosen_vectors_get_another_gradient_and_it_is_that_of_the_penalty(model, count):
    before = gradients(model, count)
    hook = joined(model, alpha=10.0)
    after = gradients(model, count)
    for name, gradient in after.items():
        extra = torch.zeros_like(gradient)
        if name.rpartition(".")[0].removeprefix("backbone.") in NAMES:
            extra = 10 * penalty(model.get_parameter(name))[1]
        torch.testing.assert_close(gradient, before[name] + extra, rtol=1e-4, atol=1e-5)
    hook.after_train(None)
    assert "loss_variance" not in model(**batch(), mode="loss")


def test_the_term_is_among_the_losses_and_in_no_other_mode(model):
    joined(model, alpha=0.1, positions=["bn1"])
    losses = model(**batch(), mode="loss")
    norm = model.backbone.bn1
    expected = 0.1 * (penalty(norm.weight)[0] + penalty(norm.bias)[0])
    torch.testing.assert_close(losses["loss_variance"], expected)
    total, logged = model.parse_losses(losses)
    torch.testing.assert_close(total, losses["loss"] + expected)
    assert logged["loss_variance"] == losses["loss_variance"]
    assert len(model(**batch(), mode="predict")) == 3
    assert model(batch()["inputs"]).shape == (3, 3)


def test_it_is_float32_in_mixed_precision(model):
    joined(model, alpha=1.0)
    with torch.autocast("cpu", torch.bfloat16):
        assert model(**batch(), mode="loss")["loss_variance"].dtype == torch.float32


def test_a_distributed_model_has_it_too(model):
    before = gradients(model)
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        wrapped = MMDistributedDataParallel(model)
        joined(wrapped, alpha=10.0)
        after = gradients(wrapped)
    finally:
        distributed.destroy_process_group()
    name = f"backbone.{NAMES[0]}.weight"
    expected = before[name] + 10 * penalty(model.get_parameter(name))[1]
    torch.testing.assert_close(after[name], expected, rtol=1e-4, atol=1e-5)
