"""The gate of RIDE's expert assignment: what it learns, and which experts run for an image."""

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import METRICS, MODELS
from mmengine.structures import BaseDataElement

import mmdet_ltnorm.evaluation
import mmdet_ltnorm.losses  # noqa: F401
from mmdet_ltnorm.classification.expert_assignment import HIDDEN_CHANNELS

BACKBONE = dict(
    type="MultiExpertBackbone",
    num_experts=3,
    backbone=dict(type="ResNetCIFAR", depth=8, channels=(16, 24, 48)),
)
HEAD = dict(
    type="MultiExpertHead",
    num_experts=3,
    num_classes=5,
    predictor=dict(type="NormedLinear", tempearture=30, bias=False),
    loss=dict(type="RIDELoss", num_classes=5, loss=dict(type="mmdet.CrossEntropyLoss")),
)
ASSIGNMENT = dict(HEAD, type="ExpertAssignmentHead", top_k=4)


def build(first_stage):
    model = dict(
        type="ExpertAssignmentClassifier",
        backbone=BACKBONE,
        head=ASSIGNMENT,
        first_stage=str(first_stage),
        kept=["backbone.*", "head.predictor.*"],
        trainable=["head.gate.*"],
        backbone_eval=True,
    )
    model = MODELS.build(model)
    model.init_weights()
    return model


@pytest.fixture
def first():
    model = MODELS.build(dict(type="ImageClassifier", backbone=BACKBONE, head=HEAD))
    model.init_weights()
    model.train()
    with torch.no_grad():  # statistics that no initialization has
        model.backbone(torch.randn(32, 3, 32, 32))
    return model.eval()


@pytest.fixture
def model(first, tmp_path):
    torch.save({"state_dict": first.state_dict()}, tmp_path / "epoch_1.pth")
    return build(tmp_path / "epoch_1.pth")


def samples(labels):
    elements = [BaseDataElement() for _ in labels]
    for element, label in zip(elements, labels, strict=True):
        element.gt_label = torch.tensor([label])
    return elements


@torch.no_grad()
def undecided(model, features):
    """Set the gate so that about half of these features go on to the next expert."""
    gate = model.eval().head.gate
    for layer in gate.hidden:  # one of its channels is a constant for each expert
        layer.weight[0], layer.bias[0] = 0, 0
    gate.answer.weight[0, -HIDDEN_CHANNELS], gate.answer.bias[0] = 1, 0
    logits = model.head.predictor(features).cumsum(1)
    parts = model.head.predictor.of_experts(features)
    medians = [gate(e, parts[e], logits[:, e] / (e + 1)).median() for e in range(2)]
    for layer, median in zip(gate.hidden, medians, strict=True):
        layer.bias[0] = max(medians) - median
    gate.answer.bias[0] = -max(medians)


def test_the_gates_loss_equals_a_reference(model):
    features, labels = torch.rand(40, 3 * 48), torch.arange(40) % 5
    for parameter in model.head.gate.parameters():
        torch.nn.init.normal_(parameter)
    loss = model.head.loss(features, samples(labels.tolist()))["loss"]
    parts = [features[:, 48 * e : 48 * e + 48] for e in range(3)]
    with torch.no_grad():
        logits = np.stack([p(x) for p, x in zip(model.head.predictor, parts, strict=True)], 1)
        hidden = [
            layer(x / x.norm(dim=1, keepdim=True))
            for layer, x in zip(model.head.gate.hidden, parts, strict=False)
        ]
    weight = model.head.gate.answer.weight[0].detach().numpy()
    bias = model.head.gate.answer.bias.item()
    total, helped = 0.0, 0
    for e in range(2):
        for i in range(40):
            means = [logits[i, : k + 1].mean(0) for k in range(3)]
            right = [mean.argmax() == labels[i].item() for mean in means]
            seen = np.concatenate([np.sort(means[e])[::-1][:4], np.maximum(hidden[e][i], 0)])
            answer = seen @ weight + bias
            needs = not right[e] and any(right[e + 1 :])
            helped += needs
            total += 100 * np.log1p(np.exp(-answer)) if needs else np.log1p(np.exp(answer))
    assert 0 < helped < 80
    assert loss.item() == pytest.approx(total / 80, rel=1e-4)


def test_only_the_gate_learns_and_the_experts_stay_in_eval_mode(model, first):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    wrapper = OptimWrapper(torch.optim.SGD(model.parameters(), 0.1, 0.9, weight_decay=0.1))
    model.train()
    data = dict(inputs=torch.randn(20, 3, 32, 32), data_samples=samples([i % 5 for i in range(20)]))
    for _ in range(2):
        model.train_step(dict(data), wrapper)
    changed = {n for n, tensor in model.state_dict().items() if not torch.equal(tensor, before[n])}
    assert changed == {f"head.gate.{n}" for n in model.head.gate.state_dict()}
    for name, tensor in first.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], tensor)


@torch.no_grad()
def test_experts_run_one_after_the_other_until_the_gate_stops(model, first):
    images = torch.randn(24, 3, 32, 32)
    undecided(model, first.extract_feat(images))
    rows = []
    for expert in model.backbone.experts:
        expert.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    predicted = model(images, samples([0] * 24), mode="predict")
    used = [sample.num_experts.item() for sample in predicted]
    assert rows == [sum(number > e for number in used) for e in range(3)]
    assert set(used) == {1, 2, 3}

    features = first.extract_feat(images).split(48, 1)
    logits = [p(x) for p, x in zip(first.head.predictor, features, strict=True)]
    for i, sample in enumerate(predicted):
        number = 1
        while number < 3:
            mean = sum(part[i] for part in logits[:number]) / number
            if model.head.gate(number - 1, features[number - 1][i : i + 1], mean[None]) <= 0:
                break
            number += 1
        mean = sum(part[i] for part in logits[:number]) / number
        assert sample.num_experts == number
        torch.testing.assert_close(sample.pred_score, mean.softmax(0), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(model(images)[i], mean, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_gate_that_never_or_always_goes_on_runs_the_first_expert_or_all(model, first):
    images = torch.randn(5, 3, 32, 32)
    model.eval().head.gate.answer.bias.fill_(-1e4)
    logits, used = model.assign(images)
    part = first.extract_feat(images)[:, :48]
    torch.testing.assert_close(logits, first.head.predictor[0](part))
    assert used.tolist() == [1] * 5
    model.head.gate.answer.bias.fill_(1e4)
    logits, used = model.assign(images)
    torch.testing.assert_close(logits, first(images))
    assert used.tolist() == [3] * 5


def test_the_metric_is_the_mean_number_of_experts():
    metric = METRICS.build(dict(type="ExpertsUsed"))
    for batch in ([1, 3], [2, 1]):
        metric.process({}, [dict(num_experts=torch.tensor([number])) for number in batch])
    assert metric.evaluate(size=4) == {"experts/used": 7 / 4}


@pytest.mark.parametrize("wrong", [dict(top_k=6), dict(top_k=0), dict(num_experts=1)])
def test_a_gate_without_a_choice_or_with_too_many_logits_is_refused(wrong):
    with pytest.raises(ValueError, match="num_experts >= 2 and top_k from 1 to num_classes=5, got"):
        MODELS.build(dict(ASSIGNMENT, in_channels=48) | wrong)


def test_an_unknown_mode_is_refused(model):
    with pytest.raises(ValueError, match="mode must be .*, got 'train'"):
        model(torch.randn(1, 3, 32, 32), mode="train")
