"""Post-hoc calibration of heads for the time of a test, and what cannot be calibrated."""

import json
from types import SimpleNamespace

import pytest
import torch
from loss_cases import COUNTS
from mmdet.registry import MODELS
from mmengine.registry import HOOKS
from torch import nn


def run_of(model, **cfg):
    return SimpleNamespace(model=model, cfg=cfg, seed=0)


def classifier(predictor="Linear", loss="CrossEntropyLoss", **options):
    head = dict(
        type="ClsHead",
        num_classes=5,
        predictor=dict(type=predictor),
        loss=dict(type=loss, **options),
    )
    backbone = dict(type="ResNetCIFAR", depth=8)
    model = MODELS.build(dict(type="ImageClassifier", backbone=backbone, head=head))
    nn.init.normal_(model.head.predictor.weight)
    return model.eval()


class Detector(nn.Module):
    """A detector that is only a box head."""

    def __init__(self, **loss):
        super().__init__()
        self.bbox_head = MODELS.build(
            dict(
                type="Shared2FCBBoxHead",
                in_channels=4,
                roi_feat_size=2,
                fc_out_channels=8,
                num_classes=8,
                loss_cls=loss or dict(type="CrossEntropyLoss"),
            )
        )

    def scores(self, logits, boxes):
        rois = torch.tensor([[0.0, 0, 0, 10, 10]]).repeat(len(logits), 1)
        metas = [dict(img_shape=(20, 20), scale_factor=(1, 1))]
        [result] = self.bbox_head.predict_by_feat((rois,), (logits,), (boxes,), metas)
        return result.scores


def predicted(model, features):
    return torch.stack([sample.pred_score for sample in model.head.predict(features)])


def training_set(root):
    dataset = dict(data_root=f"{root}/", ann_file="annotations/lvis_v1_train.json")
    return dict(dataset=dict(type="ClassBalancedDataset", dataset=dataset))


def test_logit_adjustment_of_a_classifier_for_the_time_of_a_test():
    model = classifier()
    before = dict(model.named_modules())
    features = torch.randn(6, 64)
    plain = predicted(model, features)
    hook = HOOKS.build(dict(type="LogitAdjustmentHook", strength=0.5))
    hook.before_test(run_of(model))
    with pytest.raises(RuntimeError, match="does not know the class counts: add .*ClassCountsHook"):
        predicted(model, features)
    model.head.loss_cls.set_class_counts(COUNTS)
    expected = (model.head(features) - 0.5 * (COUNTS / COUNTS.sum()).log()).softmax(1)
    torch.testing.assert_close(predicted(model, features), expected)
    hook.after_test(run_of(model))
    assert dict(model.named_modules()) == before
    assert torch.equal(predicted(model, features), plain)


def test_logit_adjustment_follows_the_probabilities_of_the_loss():
    model = classifier("NormedLinear", "LDAMLoss", num_classes=5)
    cosines = model.head(features := torch.randn(6, 64))
    HOOKS.build(dict(type="LogitAdjustmentHook")).before_test(run_of(model))
    model.head.loss_cls.set_class_counts(COUNTS)
    expected = (30 * cosines - (COUNTS / COUNTS.sum()).log()).softmax(1)
    torch.testing.assert_close(predicted(model, features), expected)


@pytest.mark.parametrize("tau", [0.0, 0.7])
def test_tau_norm_divides_the_weights_by_a_power_of_their_length(tau):
    model = classifier()
    linear, features = model.head.predictor, torch.randn(6, 64)
    plain = model.head(features)
    hook = HOOKS.build(dict(type="TauNormHook", strength=tau))
    hook.before_test(run_of(model))
    length = linear.weight.square().sum(1).sqrt() ** tau
    expected = features @ linear.weight.T / length + linear.bias
    torch.testing.assert_close(model.head(features), expected)
    assert torch.equal(model.head(features), plain) == (tau == 0)
    hook.after_test(run_of(model))
    assert model.head.predictor is linear


@pytest.mark.parametrize("loss", [{}, dict(type="SeesawLoss", num_classes=8)])
@pytest.mark.parametrize("gamma", [0.0, 0.6])
def test_norcal_divides_a_box_heads_scores_by_the_image_counts(loss, gamma, mini_lvis):
    model = Detector(**loss)
    logits, boxes = model.bbox_head(torch.randn(6, 4, 2, 2))
    logits = logits + torch.randn_like(logits)
    plain = model.scores(logits, boxes)
    hook = HOOKS.build(dict(type="NorCalHook", strength=gamma))
    run = run_of(model, train_dataloader=training_set(mini_lvis))
    hook.before_test(run)
    file = mini_lvis / "annotations" / "lvis_v1_train.json"
    counts = [c["image_count"] for c in json.loads(file.read_text())["categories"]]
    assert len(set(counts)) > 1
    divided = plain / (torch.tensor([*counts, 1]) ** gamma)
    found = model.scores(logits, boxes)
    torch.testing.assert_close(found, divided / divided.sum(1, keepdim=True))
    assert torch.equal(found, plain) == (gamma == 0)
    hook.after_test(run)
    assert torch.equal(model.scores(logits, boxes), plain)


REFUSED = {
    "norcal of a classifier": (
        dict(type="NorCalHook"), classifier, "NorCalHook is for two-stage detectors, .* has 0",
    ),
    "logit adjustment of a detector": (
        dict(type="LogitAdjustmentHook"), Detector, "is for classifiers with a ClsHead, .* has 0",
    ),
    "tau-norm of cosines": (
        dict(type="TauNormHook"), lambda: classifier("NormedLinear"), "a Linear .* a NormedLinear",
    ),
    "two heads": (
        dict(type="LogNHook"), lambda: nn.ModuleList([classifier(), Detector()]), "has 2$",
    ),
    "a negative strength": (
        dict(type="TauNormHook", strength=-1), classifier, "strength must be >= 0, got -1",
    ),
    "no training set": (dict(type="NorCalHook"), Detector, r"no train_dataloader\.dataset\.ann"),
    "no training set for LogN": (dict(type="LogNHook"), Detector, "config has no train_dataloader"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_calibrated_is_refused(case):
    hook, build, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        HOOKS.build(hook).before_test(run_of(build()))


def test_scores_that_are_no_distribution_are_refused(mini_lvis):
    model = Detector(type="EqualizationLossV2", num_classes=8)
    run = run_of(model, train_dataloader=training_set(mini_lvis))
    for hook in "NorCalHook", "LogNHook":
        with pytest.raises(ValueError, match=r"sum to 1, .* EqualizationLossV2 gives sums such as"):
            HOOKS.build(dict(type=hook)).before_test(run)


def test_annotations_of_other_classes_are_refused(mini_lvis):
    model = Detector()
    model.bbox_head.num_classes = 9
    run = run_of(model, train_dataloader=training_set(mini_lvis))
    with pytest.raises(ValueError, match="has 8 classes and FrequencyDivided has num_classes=9"):
        HOOKS.build(dict(type="NorCalHook")).before_test(run)
