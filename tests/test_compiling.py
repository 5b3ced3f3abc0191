"""Training with torch.compile: what is compiled, and that it equals eager training."""

import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import nn

import mmdet_ltnorm  # noqa: F401, registers everything
from mmdet_ltnorm.data import ClsDataSample, make_shapes_lt
from mmdet_ltnorm.engine import compiling
from mmdet_ltnorm.engine.compiling import CompileHook

DEMO = Path(__file__).parents[1] / "configs" / "demo"
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])
NORMS = {
    "BN": dict(type="BN"),
    "NBN": dict(type="NBN"),
    "CBN": dict(type="CBN"),
    "NCBN": dict(type="NCBN"),
    "NGN": dict(type="NGN", num_groups=4),
    "BNThen": dict(type="BNThen", then=dict(type="GN", num_groups=1)),
    "FeatureNorm": dict(type="FeatureNorm", dims=[1]),
}


def classifier(norm_cfg, kind="ImageClassifier"):
    head = dict(
        type="ClsHead",
        num_classes=5,
        predictor=dict(type="RectifiedLinear"),
        loss=dict(type="BalancedSoftmaxLoss", num_classes=5),
    )
    backbone = dict(type="ResNetCIFAR", depth=8, norm_cfg=norm_cfg)
    model = MODELS.build(dict(type=kind, backbone=backbone, head=head))
    model.head.loss_cls.set_class_counts([50, 20, 9, 4, 1])
    return model.train()


def batch(number, views=1):
    """Return the batch of a step; its samples hold a field that differs from step to step."""
    generator = torch.Generator().manual_seed(number)
    images = list(torch.randn(views, len(LABELS), 3, 16, 16, generator=generator))
    samples = [ClsDataSample(gt_label=label) for label in LABELS.split(1)]
    for index, sample in enumerate(samples):
        sample.set_metainfo({"sample_idx": 100 * number + index})
    return {"inputs": images if views > 1 else images[0], "data_samples": samples}


class Times(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


def run_of(model):
    return SimpleNamespace(model=model, hooks=[])


def train_alike(model, views=1, steps=3, tolerance=1e-4):
    """Train a model compiled and a copy eagerly; compare losses and states after each step."""
    twin = copy.deepcopy(model)
    wrapper, plain = (
        build_optim_wrapper(each, dict(optimizer=dict(type="SGD", lr=0.05, momentum=0.9)))
        for each in (model, twin)
    )
    hook = CompileHook()
    hook.before_train(run_of(model))
    for step in range(steps):
        for group in (*wrapper.param_groups, *plain.param_groups):
            group["lr"] = 0.05 / (step + 1)
        hook.before_train_iter(run_of(model), step)
        ours = model.train_step(batch(step, views), wrapper)
        theirs = twin.train_step(batch(step, views), plain)
        torch.testing.assert_close(ours["loss"], theirs["loss"], rtol=1e-3, atol=1e-4)
    for name, value in model.state_dict().items():
        expected = twin.state_dict()[name]
        torch.testing.assert_close(value, expected, rtol=tolerance, atol=tolerance)
    hook.after_train(run_of(model))


@pytest.fixture
def graphs(monkeypatch):
    """The list of the graphs that Dynamo finds; they run as they are, without inductor."""
    found = []

    def backend(graph, inputs):
        found.append(graph)
        return graph.forward

    torch._dynamo.reset()
    monkeypatch.setattr(compiling, "FIXED_SHAPES", dict(backend=backend, dynamic=False))
    monkeypatch.setattr(compiling, "ANY_SHAPES", dict(backend=backend))
    return found


def test_a_step_from_images_to_the_loss_is_one_graph_whatever_the_rate_and_the_samples(graphs):
    model = classifier(NORMS["NBN"])
    train_alike(model)
    assert len(graphs) == 1
    assert "loss" not in vars(model)  # as before


def test_a_method_of_two_passes_with_breaks_in_the_graph_trains_alike(graphs):
    train_alike(classifier(NORMS["CBN"], "DualPathClassifier"), views=2, steps=2)
    assert graphs


def test_of_a_detector_the_backbone_and_the_neck_are_compiled(graphs):
    detector = SimpleNamespace(with_neck=True, backbone=Times(2), neck=Times(3))
    hook = CompileHook()
    hook.before_train(run_of(detector))
    assert detector.neck(detector.backbone(torch.ones(2))).tolist() == [6, 6]
    assert len(graphs) == 2
    hook.after_train(run_of(detector))
    assert detector.neck._compiled_call_impl is detector.backbone._compiled_call_impl is None


def test_a_deferred_loss_compiles_twice_and_not_for_each_epoch(graphs):
    loss = MODELS.build(
        dict(type="ClassBalancedLoss", num_classes=5, loss=dict(type="LDAMLoss", num_classes=5))
        | dict(defer_until=3)
    )
    for part in (loss, loss.loss):
        part.set_class_counts([50, 20, 9, 4, 1])
    compiled = torch.compile(loss, **compiling.FIXED_SHAPES)
    cosines = torch.rand(len(LABELS), 5)
    loss.set_epoch(0, 6)
    loss(cosines, LABELS)  # looks once whether they are cosines
    for epoch in range(6):
        loss.set_epoch(epoch, 6)
        torch.testing.assert_close(compiled(cosines, LABELS), loss(cosines, LABELS))
    assert len(graphs) == 2


def test_a_run_compiles_for_its_two_sizes_of_batches_and_validates_as_before(graphs, tmp_path):
    make_shapes_lt(tmp_path / "data", train_per_class=60, test_per_class=1)
    cfg = Config.fromfile(DEMO / "cls_shapes_bs_nbn_lr.py")
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_root = str(tmp_path / "data")
    cfg.train_cfg.max_epochs = cfg.train_cfg.val_interval = 2
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type="CompileHook")]
    cfg.update(work_dir=str(tmp_path / "run"), experiment_name="compiled")
    runner = Runner.from_cfg(cfg)
    runner.train()
    images = len(runner.train_dataloader.dataset)
    assert images > 32 and images % 32 and runner.iter == 2 * (images // 32 + 1)
    assert len(graphs) == 2
    assert 0 <= runner.message_hub.get_scalar("val/accuracy/all").current() <= 100


@pytest.mark.slow
@pytest.mark.parametrize("norm", NORMS)
def test_inductor_trains_a_classifier_with_each_norm_as_eager_does(norm):
    torch._dynamo.reset()
    train_alike(classifier(NORMS[norm]), tolerance=5e-3)  # inductor rounds otherwise
