"""The classifier, its preprocessor and hooks, and what sharing one magnitude means (NBN Eq. 2)."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import BaseDataElement
from torch import nn
from torch.nn import functional as F

import mmdet_ltnorm.classification  # noqa: F401
import mmdet_ltnorm.data  # noqa: F401
import mmdet_ltnorm.losses  # noqa: F401
import mmdet_ltnorm.predictors  # noqa: F401
from mmdet_ltnorm.class_groups import class_counts
from mmdet_ltnorm.classification import ClassCountsHook, LossEpochHook

RESNET_8 = dict(type="ResNetCIFAR", depth=8)
RESNET_50 = dict(
    type="ResNet", depth=50, base_channels=8, norm_eval=False, zero_init_residual=False
)


def build(backbone, predictor="Linear", num_classes=5, **kwargs):
    DefaultScope.get_instance("test", scope_name="mmdet")
    head = dict(type="ClsHead", num_classes=num_classes, predictor=dict(type=predictor))
    model = MODELS.build(dict(type="ImageClassifier", backbone=backbone, head=head, **kwargs))
    model.init_weights()
    return model


def with_nbn(backbone):
    return dict(type="LTNormBackbone", backbone=backbone, norm_cfg=dict(type="NBN"))


def samples(labels):
    elements = [BaseDataElement() for _ in labels]
    for element, label in zip(elements, labels, strict=True):
        element.gt_label = torch.tensor([label])
    return elements


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
        loss=dict(type="LDAMLoss", num_classes=5),
    )
    head = MODELS.build(head)
    features = torch.randn(3, 4)
    scores = torch.stack([sample.pred_score for sample in head.predict(features)])
    torch.testing.assert_close(scores, (30 * head(features)).softmax(1))


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


# --- the hooks


class Counted:
    class_counts = np.array([6, 3, 1])


def runner(model, dataset=Counted, loop=None):
    loader = SimpleNamespace(dataset=dataset)
    return SimpleNamespace(model=model, train_dataloader=loader, train_loop=loop, val_loop=None)


class TellMe(nn.Module):
    def set_class_counts(self, counts):
        self.counts = counts

    def set_epoch(self, epoch, max_epochs):
        self.epoch = (epoch, max_epochs)


def test_losses_are_told_the_class_counts_of_the_training_set():
    loss = TellMe()
    ClassCountsHook().before_train(runner(nn.Sequential(loss)))
    assert loss.counts == [6, 3, 1]


def test_a_head_for_another_number_of_classes_is_refused():
    model = build(RESNET_8, num_classes=5)
    with pytest.raises(ValueError, match="has 3 classes and the model's head has num_classes=5"):
        ClassCountsHook().before_train(runner(model))


def test_counts_pass_through_wrapped_and_joined_data_sets():
    repeated = SimpleNamespace(dataset=Counted)
    assert class_counts(SimpleNamespace(datasets=[repeated, Counted])) == [12, 6, 2]


def test_joined_data_sets_with_different_classes_are_refused():
    other = SimpleNamespace(class_counts=[1, 2])
    with pytest.raises(ValueError, match=r"have \[3, 2\] classes"):
        class_counts(SimpleNamespace(datasets=[Counted, other]))


def test_a_data_set_without_counts_is_refused():
    with pytest.raises(ValueError, match="list has no class_counts"):
        class_counts([])


def test_a_test_run_counts_the_training_set_without_reading_an_image():
    loss, metric = TellMe(), TellMe()
    dataset = dict(type="DigitsLT", imbalance_factor=50, pipeline=[dict(type="NoTransform")])
    wrapped = dict(type="RepeatDataset", times=2, dataset=dataset)
    loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=[metric, object()]))
    loop.dataloader = SimpleNamespace(dataset=Counted)
    run = SimpleNamespace(model=nn.Sequential(loss), test_loop=loop)
    run.cfg = dict(train_dataloader=dict(dataset=wrapped))
    ClassCountsHook().before_test(run)
    assert loss.counts == metric.counts
    assert (len(loss.counts), loss.counts[0], loss.counts[-1]) == (10, 100, 2)


@pytest.mark.parametrize(
    ("tested", "message"),
    [
        ("ab", r"2 classes are not the training set's 3: only one of them has \['c'\]\. Give both"),
        ("abcd", r"4 classes .* only one of them has \['d'\]"),
        ("bac", "the order differs. Give both metainfo"),
    ],
)
def test_a_test_set_with_other_classes_is_refused_before_training(tested, message):
    def counted(names):
        return SimpleNamespace(class_counts=[6, 3, 1], metainfo={"classes": tuple(names)})

    run = runner(nn.Identity(), counted("abc"))
    run.val_loop, run.val_dataloader = object(), SimpleNamespace(dataset=counted(tested))
    with pytest.raises(ValueError, match=message):
        ClassCountsHook().before_train(run)
    for same in "abc", "012", "":  # a list's classes are numbers
        run.val_dataloader.dataset = counted(same)
        ClassCountsHook().before_train(run)


def test_a_test_run_without_a_training_set_says_so():
    hook, run = ClassCountsHook(), runner(nn.Identity())
    run.cfg, run.test_loop = {}, None
    with pytest.raises(ValueError, match="has no train_dataloader.dataset: keep it"):
        hook.before_test(run)


def test_losses_are_told_the_epoch():
    loss = TellMe()
    run = runner(nn.Sequential(loss))
    run.epoch, run.max_epochs = 3, 8
    LossEpochHook().before_train_epoch(run)
    assert loss.epoch == (3, 8)


def test_a_scheduled_loss_in_a_run_by_iterations_is_refused():
    with pytest.raises(ValueError, match=r"TellMe follows the epochs, .*\(by_epoch=True"):
        LossEpochHook().before_train(runner(nn.Sequential(TellMe()), loop=object()))
    LossEpochHook().before_train(runner(nn.Identity(), loop=object()))


# --- one magnitude for all norms of a residual stream


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
    """Gradient of g, relative to the gradient it has with a linear head."""
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
