"""What a run logs about magnitudes, and training in bfloat16 on a CPU."""

import json
from types import SimpleNamespace

import pytest
import torch
from mmcv.ops import RoIAlign, nms
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from toy_runner import ToyModel, sharing_model, toy_runner

from mmdet_ltnorm.engine.hooks import ClassCountsLineHook
from mmdet_ltnorm.engine.mixed_precision import BFloat16OptimWrapper
from mmdet_ltnorm.norms import NBN

# The curve of g


def logged(work_dir):
    [path] = work_dir.glob("*/vis_data/scalars.json")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if "loss" in line]


def run_with_magnitudes(work_dir, norm):
    runner = toy_runner(
        work_dir,
        ToyModel(norm),
        custom_hooks=[dict(type="CheckNormsHook"), dict(type="MagnitudeHook")],
        visualizer=dict(
            type="Visualizer",
            vis_backends=[dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")],
        ),
    )
    runner.train()
    return runner


def test_the_shared_magnitude_is_logged_as_a_curve(tmp_path):
    model = sharing_model()
    run_with_magnitudes(tmp_path, model)
    curve = [line["magnitude"] for line in logged(tmp_path)]
    assert len(curve) == len(set(curve)) == 8
    assert curve[-1] == pytest.approx(model[1].magnitude.item(), rel=1e-6)
    [log] = tmp_path.glob("*/*.log")
    assert f"magnitude: {curve[0]:.4f}" in log.read_text()
    events = EventAccumulator(str(next(tmp_path.glob("*/vis_data")))).Reload()
    [tag] = [tag for tag in events.Tags()["scalars"] if "magnitude" in tag]
    values = [event.value for event in events.Scalars(tag)]
    assert values == pytest.approx(curve, rel=1e-6)


def test_several_magnitudes_have_a_curve_each(tmp_path):
    run_with_magnitudes(tmp_path, nn.Sequential(NBN(4), NBN(4)))
    assert {"norm.0.magnitude", "norm.1.magnitude"} <= logged(tmp_path)[0].keys()


def test_without_nbn_the_hooks_do_nothing(tmp_path):
    run_with_magnitudes(tmp_path, nn.BatchNorm2d(4))
    assert not any("magnitude" in key for key in logged(tmp_path)[0])


# Mixed precision on the CPU


def test_a_cpu_run_in_bfloat16_keeps_float32_parameters(tmp_path):
    class Probe(nn.Module):
        seen = None

        def forward(self, x):
            Probe.seen = nn.functional.conv2d(x, torch.ones(4, 4, 1, 1)).dtype
            return x

    model = ToyModel(nn.Sequential(NBN(4), Probe()))
    wrapper = dict(type="BFloat16OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9))
    toy_runner(tmp_path, model, optim_wrapper=wrapper, val_cfg=None, val_evaluator=None,
               val_dataloader=None, default_hooks=None).train()  # fmt: skip
    assert Probe.seen == torch.bfloat16
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in model.parameters())


def test_the_hosts_operators_take_bfloat16_as_float32():
    model, before = nn.Linear(1, 1), RoIAlign.forward
    wrapper = BFloat16OptimWrapper(optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    features = torch.randn(1, 2, 8, 8).bfloat16().requires_grad_()
    boxes = torch.tensor([[0.0, 1, 1, 6, 6]])
    scores = torch.ones(2).bfloat16()
    with wrapper.optim_context(model):
        pooled = RoIAlign(2, 1.0)(features, boxes)
        _, indices = nms(torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4]]), scores, 0.5)
    assert indices.tolist() == [0] and RoIAlign.forward is before  # others find mmcv as it was
    with pytest.raises(RuntimeError):
        RoIAlign(2, 1.0)(features, boxes)
    expected = RoIAlign(2, 1.0)(features.detach().float(), boxes)
    assert pooled.dtype == torch.bfloat16
    torch.testing.assert_close(pooled, expected.bfloat16())
    pooled.sum().backward()
    assert features.grad.dtype == torch.bfloat16 and features.grad.abs().sum() > 0


# The counts of the classes


def test_training_tells_the_images_of_each_class_where_the_data_know_them():
    said = []
    dataset = SimpleNamespace(class_counts=[2, 9], metainfo=dict(classes=("eel", "cat")))
    loader = SimpleNamespace(dataset=dataset)
    runner = SimpleNamespace(train_dataloader=loader, logger=SimpleNamespace(info=said.append))
    ClassCountsLineHook().before_train(runner)
    assert said == ["2 classes with their training images: cat 9, eel 2"]
    loader.dataset = [1, 2, 3]
    ClassCountsLineHook().before_train(runner)
    assert len(said) == 1
