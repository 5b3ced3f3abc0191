"""Nothing that training runs in each step waits for the device: losses, norms, methods, hooks."""

from types import SimpleNamespace

import pytest
import torch
from device_questions import Questions
from mmengine.hooks import LoggerHook
from mmengine.registry import HOOKS, MODELS
from torch.utils import _pytree as pytree

import mmdet_ltnorm  # noqa: F401, registers everything
from mmdet_ltnorm.data import ClsDataSample

CLASSES = 6
COUNTS = [100, 70, 50, 30, 20, 10]
LABELS = torch.tensor([0, 1, 2, 5, 3, 4, 0, 0])
SAMPLES = len(LABELS)


def asked(module, step, *inputs):
    """Return what a step asks of "meta", after one on the host that makes the one-time checks."""
    step(*inputs)
    module.to("meta").zero_grad()
    inputs = pytree.tree_map_only(torch.Tensor, lambda t: t.detach().to("meta"), inputs)
    with Questions() as questions:
        step(*inputs)
    return questions.asked


def with_counts(module):
    for part in module.modules():
        if hasattr(part, "set_class_counts"):
            part.set_class_counts(COUNTS)
    return module


def registered(*rooms):
    """Return the names under which a room's classes are registered."""
    prefixes = tuple(f"mmdet_ltnorm.{room}" for room in rooms)
    return {
        name for name, made in MODELS.module_dict.items() if made.__module__.startswith(prefixes)
    }


# Losses, and how many columns their logits have beyond the classes

LDAM = dict(type="LDAMLoss", num_classes=CLASSES)
LOSSES = {
    "BalancedSoftmaxLoss": (dict(num_classes=CLASSES), 1),
    "ClassBalancedLoss": (dict(num_classes=CLASSES, loss=LDAM), 0),
    "EqualizationLoss": (dict(num_classes=CLASSES, ann_file="none", threshold=0.1), 0),
    "EqualizationLossV2": (dict(num_classes=CLASSES), 1),
    "LDAMLoss": (dict(num_classes=CLASSES), 0),
    "LTSeesawLoss": (dict(num_classes=CLASSES), 2),
    "SoftmaxFocalLoss": ({}, 1),
}


@pytest.mark.parametrize("kind", LOSSES)
def test_a_loss_asks_the_device_for_nothing(kind):
    options, further = LOSSES[kind]
    loss = with_counts(MODELS.build(dict(type=kind, **options)))
    if kind == "EqualizationLoss":
        loss.rare = torch.tensor(COUNTS) < 25  # what its file would tell

    def step(logits, labels):
        losses = loss(logits.requires_grad_(), labels)
        sum(losses.values() if isinstance(losses, dict) else [losses]).backward()
        if hasattr(loss, "get_accuracy"):
            loss.get_accuracy(logits.detach(), labels)

    assert asked(loss, step, torch.rand(SAMPLES, CLASSES + further), LABELS) == []


# Methods: what a classifier is made of, and how many views of each image it takes

COSINE = dict(type="NormedLinear", tempearture=1, bias=False)
RIDE = dict(
    num_experts=2, predictor=COSINE, loss=dict(type="RIDELoss", num_classes=CLASSES, loss=LDAM)
)
EXPERTS = dict(
    type="MultiExpertBackbone",
    num_experts=2,
    backbone=dict(type="ResNetCIFAR", depth=8, channels=(16, 24, 48)),
)
CONTRAST = dict(
    type="PrototypeContrastiveHead",
    hidden_channels=12,
    out_channels=8,
    loss=dict(type="BalancedContrastiveLoss"),
)
SECOND = dict(type="SecondStageClassifier", first_stage="none")
GATE = dict(type="ExpertAssignmentHead", top_k=3, **RIDE)


def normed(kind, **options):
    return dict(type="ResNetCIFAR", depth=8, norm_cfg=dict(type=kind, **options))


def predicted(kind):
    return dict(head=dict(predictor=dict(type=kind)))


METHODS = {
    "linear": (dict(), 1),
    "rectified": (predicted("RectifiedLinear"), 1),
    "tau": (predicted("TauNormLinear"), 1),
    "second stage": (SECOND | predicted("LWSLinear"), 1),
    "contrast": (dict(type="ContrastiveClassifier", contrastive_head=CONTRAST), 3),
    "experts": (dict(backbone=EXPERTS, head=dict(type="MultiExpertHead", **RIDE)), 1),
    "gate": (
        SECOND
        | dict(type="ExpertAssignmentClassifier", backbone=EXPERTS, head=GATE)
        | dict(trainable=["head.gate.*"]),
        1,
    ),
    "split": (dict(type="SplitClassifier", backbone=normed("CBN"), grouping="frequency"), 1),
    "compound and split": (dict(type="CompoundSplitClassifier", backbone=normed("CBN")), 1),
    "dual path": (dict(type="DualPathClassifier", backbone=normed("CBN")), 2),
    "CBN": (dict(backbone=normed("CBN")), 1),
    "NCBN": (dict(backbone=normed("NCBN")), 1),
    "NBN": (
        dict(
            backbone=dict(type="LTNormBackbone", backbone=normed("BN"), norm_cfg=dict(type="NBN"))
        ),
        1,
    ),
    "weight norm": (dict(backbone=dict(type="WeightNormBackbone", backbone=normed("BN"))), 1),
    "narrowed": (
        dict(
            backbone=dict(
                type="NarrowedResNet",
                width=0.75,
                backbone=dict(
                    type="ResNet", depth=18, base_channels=8, norm_eval=False, out_indices=(3,)
                ),
            )
        ),
        1,
    ),
    "NGN": (dict(backbone=normed("NGN", num_groups=4)), 1),
    "instances": (dict(backbone=normed("BNThen", then=dict(type="IN", affine=True))), 1),
    "features": (dict(backbone=normed("FeatureNorm", dims=[1])), 1),
}
TRIED_OTHERWISE = {"NLN"}  # tested below; no convolutional network has it


@pytest.mark.parametrize("method", METHODS)
def test_a_training_step_asks_the_device_for_nothing(method):
    options, views = METHODS[method]
    head = dict(type="ClsHead", num_classes=CLASSES) | options.get("head", {})
    defaults = dict(type="ImageClassifier", backbone=normed("BN"))
    model = with_counts(MODELS.build(defaults | options | dict(head=head))).train()

    def step(images, labels):
        samples = [ClsDataSample(gt_label=label) for label in labels.split(1)]
        losses = model(images if views > 1 else images[0], samples, mode="loss")
        model.parse_losses(losses)[0].backward()

    images = list(torch.randn(views, SAMPLES, 3, 16, 16))
    assert asked(model, step, images, LABELS) == []


def test_layer_norm_asks_the_device_for_nothing():
    layer = MODELS.get("NLN")(4)
    assert asked(layer, lambda x: layer(x).sum().backward(), torch.randn(2, 4)) == []


def test_every_loss_norm_and_method_is_tried():
    named = set(LOSSES) | {"NLN", "ClsDataPreprocessor"}  # the preprocessor copies, see below
    configs = [
        {"type": "ImageClassifier"},
        {"type": "ClsHead"},
        *(cfg for cfg, _ in METHODS.values()),
    ]
    for cfg in configs:
        named |= {leaf for leaf in pytree.tree_leaves(cfg) if isinstance(leaf, str)}
    rooms = ("losses", "norms", "predictors", "classification", "surgery")
    assert registered(*rooms) <= named


# The batch, and hooks


def test_a_batchs_labels_are_copied_to_the_device_at_once():
    preprocessor = MODELS.build(dict(type="ClsDataPreprocessor", mean=[0] * 3, std=[1] * 3))
    samples = [ClsDataSample(gt_label=label) for label in LABELS.split(1)]
    preprocessor.to("meta")
    with Questions() as questions:
        batch = preprocessor({"inputs": list(torch.ones(8, 3, 4, 4)), "data_samples": samples})
    assert all(sample.gt_label.is_meta for sample in batch["data_samples"])
    assert len(questions.asked) == 2, questions.asked  # the images and the labels


STEPPING = {"before_train_iter", "after_train_iter", "_before_iter", "_after_iter"}
HOOKS_OF_STEPS = ("FiniteHook", "MagnitudeHook", "RandomnessHook", "FeatureBiasHook")
# These look at nothing in a step, at images that are not moved yet, and at labels: in its own test.
OTHER_HOOKS = {"CompileHook", "CheckClassesHook", "SplitSeedingHook"}


def test_hooks_ask_the_device_once_for_each_logged_step():
    backbone = normed("NCBN", num_components=2)
    head = dict(type="ClsHead", num_classes=CLASSES)
    model = MODELS.build(dict(type="ImageClassifier", backbone=backbone, head=head))
    model.train()(torch.randn(SAMPLES, 3, 16, 16))  # the first batch places CBN's components
    written = {}
    runner = SimpleNamespace(
        model=model.to("meta"),
        hooks=[LoggerHook(interval=5)],
        message_hub=SimpleNamespace(
            log_scalars={"train/loss": SimpleNamespace(current=lambda: 1.0)},
            update_scalar=written.__setitem__,
        ),
        train_dataloader=Batches(range(10)),
        seed=0,
    )
    hooks = [HOOKS.build(dict(type=kind)) for kind in HOOKS_OF_STEPS]
    hooks.append(HOOKS.build(dict(type="VarianceRegularizationHook", alpha=0.1)))
    for hook in hooks:
        hook.before_train(runner)
    images = torch.randn(SAMPLES, 3, 16, 16, device="meta")
    samples = [ClsDataSample(gt_label=label) for label in LABELS.to("meta").split(1)]
    with Questions() as questions:
        for runner.iter in range(10):
            for hook in hooks:
                hook.before_train_iter(runner, runner.iter)
            loss, parts = model.parse_losses(model(images, samples, mode="loss"))
            loss.backward()
            for hook in hooks:
                hook.after_train_iter(runner, runner.iter, outputs={"loss": loss})
    assert "loss_variance" in parts and len(written) == 7  # layers, each with its own g
    assert len(questions.asked) == 2, questions.asked


class Batches(list):
    dataset = SimpleNamespace()


def test_every_hook_of_a_step_is_tried():
    found = {
        name
        for name, kind in HOOKS.module_dict.items()
        if kind.__module__.startswith("mmdet_ltnorm") and STEPPING & vars(kind).keys()
    }
    assert found <= {*HOOKS_OF_STEPS} | OTHER_HOOKS
