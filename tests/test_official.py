"""``official=True`` is the NBN authors' network, step for step."""

import pytest
import torch
from authors_network import AuthorsResNet
from mmengine.registry import MODELS, DefaultScope
from torch.nn import functional as F

CLASSES, WIDTH = 7, 4
HOST = dict(
    type="ResNet",
    depth=50,
    base_channels=WIDTH,
    stem_channels=WIDTH,
    norm_eval=False,
    zero_init_residual=False,
)


def our_network(predictor):
    backbone = dict(type="LTNormBackbone", backbone=HOST, norm_cfg=dict(type="NBN", official=True))
    head = dict(type="ClsHead", num_classes=CLASSES, predictor=dict(type=predictor, bias=True))
    model = MODELS.build(dict(type="ImageClassifier", backbone=backbone, head=head))
    model.init_weights()
    return model.double()


def losses(model, steps=20):
    """Train by the authors' optimizer and return the loss of every step."""
    generator = torch.Generator().manual_seed(5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=5e-4)
    found = []
    for _ in range(steps):
        images = torch.randn(8, 3, 32, 32, generator=generator, dtype=torch.float64)
        labels = torch.randint(CLASSES, (8,), generator=generator)
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("predictor", ["Linear", "RectifiedLinear"])
def test_twenty_steps_have_the_losses_of_the_authors_network(predictor):
    DefaultScope.get_instance("official", scope_name="mmdet")
    ours = our_network(predictor).train()
    theirs = AuthorsResNet(WIDTH, CLASSES, predictor == "RectifiedLinear").double().train()
    renamed = {"backbone.": "", "head.predictor.": "fc."}
    state = {}
    for key, value in ours.state_dict().items():
        for prefix, new in renamed.items():
            if key.startswith(prefix):
                state[new + key.removeprefix(prefix)] = value
    left = {key for key in theirs.state_dict() if key not in state}
    assert {key for key in left if not key.startswith("logit_norm")} == {"g"}  # it starts at 1
    theirs.load_state_dict(state, strict=False)
    found, expected = losses(ours), losses(theirs)
    assert expected[0] > 1 and expected.std() > 1e-3
    assert (found - expected).abs().max() < 1e-12
    (g,) = [p for name, p in ours.named_parameters() if name.endswith("magnitude")]
    torch.testing.assert_close(g, theirs.g, rtol=1e-12, atol=1e-12)
    assert g != 1
