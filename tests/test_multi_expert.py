"""Experts of one backbone: what they share, what they own, and that each is the host's network."""

import copy

import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement

import mmdet_ltnorm.losses  # noqa: F401
from mmdet_ltnorm.engine.checks import check_magnitudes, check_nbn_layers, magnitudes
from mmdet_ltnorm.norms import NBN
from mmdet_ltnorm.surgery import fold_norms, plain_config

OPTIONS = dict(base_channels=8, norm_eval=False, zero_init_residual=False, out_indices=(3,))
RESNET_50 = dict(type="ResNet", depth=50, **OPTIONS)
RESNEXT_50 = dict(type="ResNeXt", depth=50, groups=4, base_width=4, **OPTIONS)
NORMED = dict(type="NormedLinear", tempearture=30, bias=False)
RESNET_8 = dict(type="ResNetCIFAR", depth=8, channels=(16, 24, 48))


def narrow(backbone):
    return dict(type="NarrowedResNet", width=0.75, backbone=backbone)


def with_nbn(backbone, **options):
    return dict(type="LTNormBackbone", backbone=backbone, norm_cfg=dict(type="NBN"), **options)


HOSTS = {
    "ResNetCIFAR": RESNET_8,
    "ResNet": RESNET_50,
    "narrow ResNeXt": narrow(RESNEXT_50),
    "ResNetCIFAR with NBN": with_nbn(RESNET_8),
    "narrow ResNet with NBN in the last stage": with_nbn(narrow(RESNET_50), positions="last_stage"),
}
by_host = pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS.keys())


def experts(host):
    return dict(type="MultiExpertBackbone", backbone=host, num_experts=3)


def classifier(host, predictor=NORMED, head_experts=3):
    head = dict(
        type="MultiExpertHead",
        num_experts=head_experts,
        num_classes=5,
        predictor=predictor,
        loss=dict(type="RIDELoss", num_classes=5, loss=dict(type="mmdet.CrossEntropyLoss")),
    )
    model = MODELS.build(dict(type="ImageClassifier", backbone=experts(host), head=head))
    model.init_weights()
    model.head.loss_cls.set_class_counts([50, 20, 9, 4, 1])
    return model


def samples(size):
    elements = [BaseDataElement() for _ in range(size)]
    for label, element in enumerate(elements):
        element.gt_label = torch.tensor([label % 5])
    return elements


def trained(model, steps=2):
    wrapper = build_optim_wrapper(model, dict(optimizer=dict(type="SGD", lr=0.05, momentum=0.9)))
    model.train()
    for _ in range(steps):
        model.train_step(dict(inputs=torch.randn(6, 3, 32, 32), data_samples=samples(6)), wrapper)
    return model


@by_host
def test_each_expert_with_the_shared_stages_is_the_hosts_network(host):
    backbone = trained(classifier(host)).backbone.eval()
    images = torch.randn(2, 3, 32, 32)
    (output,) = backbone(images)
    assert output.shape[1] == 3 * backbone.feat_dim
    for expert, part in zip(backbone.experts, output.split(backbone.feat_dim, 1), strict=True):
        alone = MODELS.build(host)
        alone.load_state_dict({**backbone.shared.state_dict(), **expert.state_dict()})
        alone.eval()  # of mmdet's, returns nothing
        torch.testing.assert_close(alone(images)[-1], part)


@by_host
def test_shared_stages_exist_once_and_own_ones_for_each_expert(host):
    alone, model = MODELS.build(host), MODELS.build(experts(host))
    own = {n for n, _ in model.experts[0].named_parameters()}
    shared = {n for n, _ in alone.named_parameters()} - own
    expected = {f"shared.{n}" for n in shared} | {f"experts.{e}.{n}" for e in range(3) for n in own}
    assert {n for n, _ in model.named_parameters()} == expected
    tensors = list(model.state_dict().values())
    assert len({tensor.data_ptr() for tensor in tensors}) == len(tensors)
    first = alone.state_dict().keys() - {n for n, _ in model.experts[0].state_dict().items()}
    assert {n for n in model.state_dict() if n.startswith("shared.")} == {
        f"shared.{n}" for n in first
    }


@by_host
@pytest.mark.parametrize("paramwise", [None, dict(norm_decay_mult=0.0)])
def test_the_optimizer_holds_each_parameter_and_each_magnitude_once(host, paramwise):
    model = classifier(host)
    cfg = dict(optimizer=dict(type="SGD", lr=0.1, weight_decay=0.1))
    if paramwise:
        cfg["paramwise_cfg"] = paramwise
    optimizer = build_optim_wrapper(model, cfg).optimizer
    held = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert len(set(held)) == len(held) == len(list(model.parameters()))
    check_magnitudes(model, optimizer)
    check_nbn_layers(model, None)


def test_each_expert_has_its_own_magnitude():
    model = classifier(with_nbn(RESNET_8))
    names = [name for name, _ in magnitudes(model)]
    assert names == [f"backbone.experts.{e}.layer3.0.bn2.magnitude" for e in range(3)]
    layers = [
        [layer for layer in expert.modules() if isinstance(layer, NBN)]
        for expert in MODELS.build(experts(with_nbn(narrow(RESNET_50)))).experts
    ]
    assert [len(group) for group in layers] == [4, 4, 4]
    for group in layers:
        assert all(layer.sharing == tuple(group) for layer in group)
    values = [g.item() for _, g in magnitudes(trained(model))]
    assert len(set(values)) == 3  # they have learned, each for itself


def test_experts_start_apart_and_as_the_host_starts():
    model = classifier(RESNET_8).backbone
    weights = [expert.layer3[0].conv2.weight for expert in model.experts]
    assert not torch.equal(weights[0], weights[1])
    for weight in weights:  # Kaiming by the 48 * 9 inputs
        assert weight.std().item() == pytest.approx((2 / (48 * 9)) ** 0.5, rel=0.05)


def test_runs_of_one_seed_start_from_the_same_weights_with_and_without_nbn():
    weights = []
    for host in RESNET_8, with_nbn(RESNET_8):
        torch.manual_seed(3)
        model = classifier(host)
        weights.append([model.backbone.experts[2].layer3[0].conv1.weight, model.head.predictor[1]])
    assert torch.equal(weights[0][0], weights[1][0])
    assert torch.equal(weights[0][1].weight, weights[1][1].weight)


@by_host
def test_saved_loaded_copied_and_averaged_models_predict_the_same(host):
    model = trained(classifier(host)).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = model(images)
    loaded = classifier(host).eval()
    loaded.load_state_dict(model.state_dict())
    average = ExponentialMovingAverage(model).module.eval()
    for other in loaded, copy.deepcopy(model), average:
        with torch.no_grad():
            assert torch.equal(other(images), expected)


def test_a_folded_model_has_plain_norms_and_the_same_outputs():
    cfg = experts(with_nbn(RESNET_8))
    model = MODELS.build(cfg).eval()
    folded = MODELS.build(plain_config(cfg)).eval()
    folded.load_state_dict(fold_norms(model).state_dict())
    assert not any(isinstance(module, NBN) for module in folded.modules())
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(folded(images)[0], model(images)[0])


# --- the narrow stages


def test_narrow_stages_have_the_widths_of_rides_code():
    with torch.device("meta"):
        for kind, inner in ("ResNet", 192), ("ResNeXt", 384):
            host = dict(type=kind, depth=50, norm_eval=False)
            if kind == "ResNeXt":
                host.update(groups=32, base_width=4)
            model = MODELS.build(narrow(host))
            assert type(model).__name__ == kind and model.feat_dim == 1536
            assert [m.conv3.out_channels for m in (model.layer2[3], model.layer3[5])] == [512, 768]
            assert model.layer3[0].conv1.in_channels == 512
            assert model.layer3[0].conv2.out_channels == inner
            assert model.layer4[2].conv2.out_channels == 2 * inner
            assert set(model.state_dict()) == set(MODELS.build(host).state_dict())


def test_only_mmdets_resnets_and_whole_channels_can_be_narrowed():
    with pytest.raises(ValueError, match="takes mmdet's ResNet, .*, got ResNetCIFAR"):
        MODELS.build(narrow(RESNET_8))
    with pytest.raises(ValueError, match=r"width=0.7 of 32 channels is no whole number"):
        MODELS.build(dict(type="NarrowedResNet", width=0.7, backbone=RESNET_50))


# --- the head


@pytest.mark.parametrize("predictor", [NORMED, dict(type="Linear"), dict(type="RectifiedLinear")])
def test_logits_are_the_mean_of_the_experts_and_the_loss_sees_all(predictor):
    model = trained(classifier(RESNET_8, predictor)).eval()
    features = model.extract_feat(torch.randn(4, 3, 32, 32))
    each = [p(x) for p, x in zip(model.head.predictor, features.split(48, 1), strict=True)]
    torch.testing.assert_close(model.head(features), sum(each) / 3)
    labels = torch.arange(4)
    losses = model.head.loss(features, samples(4))
    expected = model.head.loss_cls(torch.stack(each, 1), labels)
    torch.testing.assert_close(losses["loss"], expected)
    right = (sum(each).argmax(1) == labels).sum()
    assert losses["accuracy"] == 25 * right
    scores = torch.stack([sample.pred_score for sample in model.head.predict(features)])
    torch.testing.assert_close(scores, (sum(each) / 3).softmax(1))


def test_a_head_for_other_experts_than_the_backbones_is_refused():
    model = classifier(RESNET_8, head_experts=2)
    with pytest.raises(ValueError, match="have 144 channels, expected 48 of each of 2 experts"):
        model(torch.randn(1, 3, 32, 32))


@pytest.mark.parametrize(
    ("host", "message"),
    [
        (dict(type="ResNet", depth=18), "norm_eval=True would fix the norms of the shared"),
        (
            dict(RESNET_50, num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,)),
            r"got ResNet with \['layer1', 'layer2'\]",
        ),
        (
            with_nbn(RESNET_8, positions="all"),
            "share their magnitude with .*: choose positions in layer2, layer3",
        ),
    ],
)
def test_a_backbone_whose_stages_cannot_be_owned_is_refused(host, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(experts(host))
