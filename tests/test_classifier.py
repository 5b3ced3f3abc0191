"""The image classifier: its features, width, losses and predictions, and its preprocessor."""

import copy

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import MODELS, DefaultScope
from small_classifiers import RESNET_8, RESNET_50, build, samples, with_nbn
from torch.nn import functional as F


def test_features_are_the_pooled_last_output():
    model = build(RESNET_8).eval()
    images = torch.randn(3, 3, 32, 32)
    pooled = model.backbone(images)[-1].mean((2, 3))
    torch.testing.assert_close(model.extract_feat(images), pooled)
    logits = pooled @ model.head.predictor.weight.T + model.head.predictor.bias
    torch.testing.assert_close(model(images), logits)


@pytest.mark.parametrize(
    ("backbone", "channels"),
    [
        (dict(type="ResNetCIFAR", depth=8, width=4), 256),
        (with_nbn(RESNET_50), 8 * 32),
        (dict(type="ResNeXt", depth=50, base_channels=8, groups=4, base_width=4), 8 * 32),
        (dict(type="RegNet", arch="regnetx_400mf"), 384),
    ],
)
def test_the_heads_width_follows_the_backbone(backbone, channels):
    assert build(backbone).head.predictor.in_features == channels


def test_a_backbone_that_does_not_tell_its_width_needs_the_heads():
    with pytest.raises(ValueError, match="MobileNetV2 does not tell its feat_dim: give the head"):
        build(dict(type="MobileNetV2"))


def test_runs_of_one_seed_start_from_the_same_weights_whatever_their_norms_and_head():
    weights = []
    for backbone, predictor in (RESNET_8, "Linear"), (with_nbn(RESNET_8), "RectifiedLinear"):
        torch.manual_seed(3)
        model = build(backbone, predictor)
        weights.append([model.backbone.layer2[0].conv1.weight, model.head.predictor.weight])
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))
    torch.manual_seed(4)
    assert not torch.equal(build(RESNET_8).head.predictor.weight, weights[0][1])


def test_the_loss_is_cross_entropy_and_the_log_shows_the_accuracy():
    model = build(RESNET_8)
    images, labels = torch.randn(4, 3, 32, 32), [0, 1, 2, 4]
    losses = model(images, samples(labels), mode="loss")
    logits = model.eval()(images)
    model.train()
    logits = model(images)
    torch.testing.assert_close(losses["loss"], F.cross_entropy(logits, torch.tensor(labels)))
    right = (logits.argmax(1) == torch.tensor(labels)).sum()
    assert losses["accuracy"] == 25 * right
    total, log = model.parse_losses(losses)
    assert total == losses["loss"]
    assert set(log) == {"loss", "accuracy"}


def test_predictions_are_probabilities_and_the_largest_ones_label():
    model = build(RESNET_8).eval()
    images = torch.randn(2, 3, 32, 32)
    predicted = model(images, samples([0, 1]), mode="predict")
    expected = model(images).softmax(1)
    torch.testing.assert_close(torch.stack([s.pred_score for s in predicted]), expected)
    assert [s.pred_label.tolist() for s in predicted] == expected.argmax(1)[:, None].tolist()
    assert [s.gt_label.item() for s in predicted] == [0, 1]
    assert len(model(images, mode="predict")) == 2


def test_probabilities_of_ldam_are_those_of_its_scaled_cosines():
    DefaultScope.get_instance("test", scope_name="mmdet")
    predictor = dict(type="NormedLinear", tempearture=1, bias=False)
    head = dict(
        type="ClsHead",
        num_classes=5,
        in_channels=4,
        predictor=predictor,
        loss=dict(type="LDAMLoss"),
    )
    head = MODELS.build(head)
    features = torch.randn(3, 4)
    scores = torch.stack([sample.pred_score for sample in head.predict(features)])
    torch.testing.assert_close(scores, (30 * head(features)).softmax(1))


@pytest.mark.parametrize(
    ("loss", "counts"),
    [
        (dict(type="CrossEntropyLoss"), []),
        (dict(type="BalancedSoftmaxLoss"), [5]),
        (dict(type="ClassBalancedLoss", loss=dict(type="CrossEntropyLoss")), [5]),
        (dict(type="ClassBalancedLoss", loss=dict(type="LDAMLoss")), [5, 5]),
        (dict(type="ClassBalancedLoss", loss=dict(type="LDAMLoss", num_classes=7)), [5, 7]),
    ],
)
def test_losses_that_need_the_number_of_classes_take_the_heads_or_keep_their_own(loss, counts):
    DefaultScope.get_instance("test", scope_name="mmdet")
    given = copy.deepcopy(loss)
    head = MODELS.build(dict(type="ClsHead", num_classes=5, in_channels=4, loss=loss))
    assert loss == given
    modules = head.loss_cls.modules()
    assert [len(m.class_counts) for m in modules if hasattr(m, "class_counts")] == counts


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="mode must be .*, got 'train'"):
        build(RESNET_8)(torch.randn(1, 3, 32, 32), mode="train")


# --- the preprocessor


NORMALIZE = dict(type="ClsDataPreprocessor", mean=[1.0, 2, 3], std=[1.0, 2, 4], bgr_to_rgb=True)


def packed(image):
    return dict(inputs=torch.as_tensor(image), data_samples=samples([0])[0])


def test_images_are_stacked_turned_to_rgb_and_normalized():
    bgr = np.random.default_rng(0).integers(0, 255, (2, 3, 4, 5)).astype(np.uint8)
    data = MODELS.build(NORMALIZE)(pseudo_collate([packed(image) for image in bgr]))
    expected = (bgr[:, ::-1] - np.reshape([1, 2, 3], (3, 1, 1))) / np.reshape([1, 2, 4], (3, 1, 1))
    np.testing.assert_allclose(data["inputs"].numpy(), expected, rtol=1e-6)
    assert [sample.gt_label.item() for sample in data["data_samples"]] == [0, 0]


def test_each_view_becomes_a_batch():
    views = torch.randn(3, 2, 3, 4, 4)  # samples, views
    batch = [dict(inputs=list(pair), data_samples=samples([0])[0]) for pair in views]
    data = MODELS.build(dict(type="ClsDataPreprocessor"))(pseudo_collate(batch))
    assert [tuple(view.shape) for view in data["inputs"]] == [(3, 3, 4, 4)] * 2
    torch.testing.assert_close(data["inputs"][1], views[:, 1])


def test_a_tensor_of_images_is_taken_as_it_is():
    images = torch.randn(2, 3, 4, 4)
    data = MODELS.build(dict(type="ClsDataPreprocessor"))({"inputs": images})
    assert torch.equal(data["inputs"], images)
    assert data["data_samples"] is None


def test_images_of_different_sizes_are_refused():
    batch = pseudo_collate([packed(torch.zeros(3, 4, 4)), packed(torch.zeros(3, 4, 5))])
    with pytest.raises(ValueError, match=r"one size, got .*\(3, 4, 4\), \(3, 4, 5\)"):
        MODELS.build(dict(type="ClsDataPreprocessor"))(batch)
