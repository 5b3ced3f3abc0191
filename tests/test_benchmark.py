"""What tools/benchmark.py measures: steps in turns, their parts, and the norm layers in them."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmdet_ltnorm.benchmark import benchmark_table, spread
from mmdet_ltnorm.benchmark.spans import module_spans
from mmdet_ltnorm.benchmark.timing import interleaved, ratios, timed
from mmdet_ltnorm.benchmark.training import TrainingStep, training_config
from mmdet_ltnorm.data import make_mini_lvis, make_shapes_lt
from mmdet_ltnorm.losses.seesaw import LTSeesawLoss
from mmdet_ltnorm.norms import CBN, NBN

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "configs" / "demo"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Options that point the demo's classifiers at a small data set."""
    root = tmp_path_factory.mktemp("data") / "shapes"
    make_shapes_lt(root, train_per_class=60, test_per_class=1)
    return {"train_dataloader.dataset.data_root": f"{root}/", "train_dataloader.batch_size": 8}


def test_steps_run_in_turns_and_the_first_turn_does_not_count():
    calls = []
    results = interleaved([lambda: calls.append("a") or 1, lambda: calls.append("b") or 2], 3)
    assert results == [[1, 1, 1], [2, 2, 2]]
    assert [sorted(calls[i : i + 2]) for i in range(0, 8, 2)] == [["a", "b"]] * 4
    slow, quick = timed([lambda: torch.randn(10**6), lambda: None], 3)
    assert min(slow) > max(quick)


def test_medians_come_with_their_quartiles_and_ratios_are_paired():
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == "3.00 [1.50, 4.50]"
    assert ratios([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]) == "2.00 [2.00, 2.00]"


def test_a_steps_parts_are_those_of_the_run_and_leave_the_model_as_it_is(shapes, tmp_path):
    cfg = training_config(DEMO / "cls_shapes_ce_nbn.py", shapes, str(tmp_path))
    step = TrainingStep(cfg)
    before = {name: p.detach().clone() for name, p in step.model.named_parameters()}
    assert all(part > 0 for part in step())
    assert 0 < step.norm_share() < 1
    for name, parameter in step.model.named_parameters():
        assert torch.equal(parameter, before[name]), name
    assert not list(tmp_path.glob("**/*.pth"))


def test_a_table_compares_with_the_first_config(shapes):
    configs = [DEMO / f"cls_shapes_{name}.py" for name in ("ce", "bs_nbn_lr")]
    header, (first, second) = benchmark_table(configs, 2, shapes)
    assert {"data", "backward", "images/s", "norms, %"} <= set(header)
    assert first[0] == "cls_shapes_ce" and "1.00 [1.00, 1.00]" in first
    assert second[0] == "cls_shapes_bs_nbn_lr"
    assert len(first) == len(header) == 10


@pytest.mark.slow
def test_a_table_has_the_demos_detectors(tmp_path):
    make_mini_lvis(tmp_path / "lvis", num_train=24, num_val=9, populate_groups=False)
    options = {"train_dataloader.dataset.data_root": f"{tmp_path}/lvis/"}
    table = benchmark_table([DEMO / "seesaw.py", DEMO / "seesaw_nbn.py"], 2, options)
    assert [name for name, *_ in table.rows] == ["seesaw", "seesaw_nbn"]


def test_a_missing_config_is_named(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "configs/nowhere.py"])
    with pytest.raises(SystemExit, match="configs/nowhere.py does not exist"):
        runpy.run_path(str(ROOT / "tools" / "benchmark.py"), run_name="__main__")


@pytest.mark.parametrize("build", [nn.BatchNorm2d, NBN, CBN, lambda c: nn.GroupNorm(2, c)])
def test_norms_are_timed_forward_and_backward_and_keep_no_hook(build):
    model = nn.Sequential(nn.Conv2d(3, 4, 1), build(4), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1))
    x = torch.randn(2, 3, 5, 5)
    with module_spans([model[1]]) as spans:
        y = model(x)
        assert len(spans._spans) == 1
        y.sum().backward()
        assert len(spans._spans) > 1 and not spans._started
        assert spans.take() > 0 and spans.take() == 0
    model(x).sum().backward()
    assert spans.take() == 0


def test_a_loss_that_returns_a_dictionary_is_timed_forward_and_backward_too():
    loss = LTSeesawLoss(num_classes=3)
    scores = torch.randn(6, 5, requires_grad=True)
    with module_spans([loss]) as spans:
        losses = loss(scores * 2, torch.tensor([0, 1, 2, 3, 3, 3]))
        forward = len(spans._spans)
        sum(losses.values()).backward()
    assert forward == 1 and len(spans._spans) > 10 and not spans._started


def test_evaluation_and_writing_are_left_out(shapes, tmp_path):
    cfg = training_config(DEMO / "cls_shapes_ce.py", shapes, str(tmp_path))
    assert isinstance(cfg, Config) and cfg.val_dataloader is None and cfg.test_evaluator is None
    assert cfg.default_hooks.checkpoint is None and cfg.train_dataloader.num_workers == 0
