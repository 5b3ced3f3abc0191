"""benchmarks/cifar_lt.py: paired runs of configs, on a tiny set in CIFAR's format."""

import importlib
import itertools
import json
import re
import sys
import warnings
from collections import Counter
from pathlib import Path

import cifar_files
import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmdet_ltnorm.engine.launch import build_runner

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
LR = ["configs/cifar_lt/cifar10_bs.py", "model.head.predictor.type=RectifiedLinear"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """400 noisy training images and 40 test images."""
    root = tmp_path_factory.mktemp("cifar")

    def noise(first, length):
        return np.random.default_rng(first).integers(0, 256, (length, 3072), np.uint8)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cifar_files, "numbered_images", noise)
        cifar_files.write_cifar10(root, np.arange(400) % 10, np.arange(40) % 10)
    return root


@pytest.fixture
def tool(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module("cifar_lt")
    for path in BENCHMARKS.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture
def words(data, tmp_path):
    """Return the command line of a tiny run, without the configs to train."""
    small = ["--batch", "8", "--size", "16", "--depth", "8", "--seeds", "0"]
    options = ["--cfg-options", "train_dataloader.dataset.imbalance_factor=10"]
    return [*small, *options, "--data", str(data), "--out", str(tmp_path / "out")]


def scores_of(folder):
    return json.loads((folder / "sweep_run.json").read_text())["scores"]


def without_times(scores):
    return {name: value for name, value in scores.items() if not name.endswith("seconds")}


def test_a_run_is_that_of_the_training_tool(tool, words, tmp_path, monkeypatch):
    losses = []
    take_step = tool.PairedRun.advance

    def advance(run):
        take_step(run)
        losses.append(run.loss.item())

    monkeypatch.setattr(tool.PairedRun, "advance", advance)
    tool.main([*words, "--epochs", "1", "--run", "BS + LR", *LR])
    assert len(losses) >= 20
    folder = tmp_path / "out/bs_lr/seed_0"
    cfg = Config.fromfile(folder / "config.py")
    cfg.work_dir = str(tmp_path / "train")
    runner = build_runner(cfg)
    runner.train()
    assert runner.message_hub.get_scalar("train/loss").data[0].tolist() == losses
    theirs = {name: None if v != v else v for name, v in runner.val_loop.run().items()}
    assert {name: scores_of(folder)[name] for name in theirs} == theirs


def test_a_stopped_run_goes_on_to_the_undisturbed_result(tool, words, tmp_path):
    words = [*words, "--epochs", "0.8", "--run", "NBN", "configs/cifar_lt/cifar10_bs_nbn.py"]
    tool.main(words)
    folder = tmp_path / "out/nbn/seed_0"
    undisturbed = scores_of(folder)
    weights = torch.load(newest(folder), weights_only=False)["state_dict"]
    args = tool.parsed([*words, "--out", str(tmp_path / "stopped")])
    [item] = tool.plan(args, tool.length(args, 0), args.out)
    tool.train(tool.set_up([item]), 7, tool.print_nothing)
    tool.main([*words, "--out", str(tmp_path / "stopped")])
    folder = tmp_path / "stopped/nbn/seed_0"
    assert without_times(scores_of(folder)) == without_times(undisturbed)
    again = torch.load(newest(folder), weights_only=False)["state_dict"]
    torch.testing.assert_close(again, weights, rtol=0, atol=0)


def test_images_and_weights_are_channels_last_where_asked(tool, words, tmp_path):
    args = tool.parsed([*words, "--channels-last", "--run", "BS", LR[0]])
    [run] = tool.set_up(tool.plan(args, 4, tmp_path))
    seen = []
    run.model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    tool.train([run], 2, tool.print_nothing)
    weight = run.model.backbone.layer2[0].conv1.weight
    assert all(of.is_contiguous(memory_format=torch.channels_last) for of in (*seen, weight))


def newest(folder):
    return (folder / "last_checkpoint").read_text()


def test_runs_of_a_seed_see_the_same_images(tool, words, tmp_path):
    variants = ["--run", "BS", LR[0], "--run", "LR", *LR, "--seeds", "0", "1"]
    planned = tool.plan(tool.parsed([*words, *variants]), 4, tmp_path)[:3]
    seen = []
    for group in tool.groups(planned):  # one after the other, as on a CPU
        [run], images = tool.set_up(group), []
        record = lambda _, inputs, images=images: images.append(inputs[0].clone())  # noqa: E731
        run.model.backbone.register_forward_pre_hook(record)
        tool.train([run], 3, tool.print_nothing)
        seen.append(torch.stack(images))
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])


def test_runs_together_share_a_loader_unless_their_pipelines_differ(tool, words, tmp_path):
    variants = ["--run", "BS", LR[0], "--run", "LR", *LR]
    variants += ["--run", "dual", "configs/cifar_lt/cifar10_cbn_dpl.py"]
    runs = tool.set_up(tool.plan(tool.parsed([*words, *variants]), 4, tmp_path))
    batches = [run.batches for run in runs]
    assert batches[0] is batches[1] and batches[0] is not batches[2]
    runs[0].runner.train_loop._iter = 2  # as one whose last checkpoint is newer
    taken = Counter()
    for run in runs:
        run.model.head.loss_cls.register_forward_hook(lambda loss, *_: taken.update([loss]))
    tool.train(runs, 3, tool.print_nothing)
    assert [run.steps for run in runs] == [3] * 3 and list(taken.values()) == [3, 3, 1]


def test_the_page_tells_what_was_measured_and_a_folder_keeps_its_settings(
    tool, words, tmp_path, capsys
):
    cbn = ["--run", "CBN", "configs/cifar_lt/cifar10_cbn.py"]
    nbn = ["--run", "NBN", "configs/cifar_lt/cifar10_bs_nbn.py"]
    tool.main([*words, "--epochs", "0.1", *cbn, *nbn, "--rarest", "3"])
    page = (tmp_path / "out/results.md").read_text()
    assert capsys.readouterr().out.endswith(page + "\n")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()]
    header, inside = [row for row in rows if row[0] == "" and len(row) > 2]
    assert header == ["", "n", "all", "many", "medium", "few", "rarest 3"]
    assert inside == ["", "g", "g of β", "‖W‖", "spread of γ", "MI of CBN", "CPU min"]
    by_name = {row[0]: row for row in rows}
    assert {"CBN", "NBN", "NBN − CBN"} <= by_name.keys()
    assert by_name["CBN"][1] == "" and float(by_name["CBN"][5]) > 0
    assert 7 < float(by_name["NBN"][1]) < 9
    assert all((tmp_path / f"out/runs/sweep.{kind}").exists() for kind in ("json", "csv", "png"))
    curve = (tmp_path / "out/nbn/seed_0/curve.jsonl").read_text().splitlines()
    assert json.loads(curve[-1]).keys() == {"step", "loss", "g", "classifier"}
    tool.main([*words, "--epochs", "0.1", *cbn, *nbn, "--rarest", "3"])
    assert "2 of them ended earlier" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="holds a run of another config or other options"):
        tool.main([*words, "--epochs", "0.2", *cbn, *nbn])


def test_the_steps_are_fitted_to_the_seconds_and_kept(tool, words, tmp_path, capsys, monkeypatch):
    words += ["--run", "BS", LR[0]]
    seconds = itertools.count()
    monkeypatch.setattr(tool, "now", lambda: next(seconds))  # each time that it asks, one later
    # It asks six times until it decides: 1 s for setting up, 1/3 s a step, 1 s for scoring.
    tool.main([*words, "--seconds", "10"])
    assert json.loads((tmp_path / "out/fitted.json").read_text()) == {"seconds": 10, "steps": 8}
    assert "1 runs of 8 steps" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="holds runs for --seconds 10, got 5: give that, or"):
        tool.main([*words, "--seconds", "5"])
    with pytest.raises(SystemExit, match="5 seconds are too short for 1 runs: a step of all takes"):
        tool.main([*words, "--seconds", "5", "--out", str(tmp_path / "other")])


def test_a_config_that_counts_epochs_is_refused_in_words(tool, words):
    words += ["--run", "LDAM", "configs/cifar_lt/cifar10_ldam_drw.py"]
    with pytest.raises(SystemExit, match="follows the epochs, and this run counts iterations"):
        tool.main([*words, "--epochs", "1"])


def test_labels_name_one_run_each(tool, words):
    with pytest.raises(SystemExit):
        tool.parsed([*words, "--run", "a", LR[0], "--run", "a", *LR])
    args = tool.parsed([*words, "--run", "a b", LR[0], "--run", "a-b", *LR])
    with pytest.raises(ValueError, match="different names of folders, got a_b, a_b"):
        tool.plan(args, 4, args.out)
    args.experiments["more"] = {"a b": LR}
    with pytest.raises(ValueError, match="'a b' names two runs"):
        tool.plan(args, 4, args.out)


def test_every_experiment_builds_what_its_labels_say(tool, words, tmp_path):
    args = tool.parsed([*words, "--preset", *tool.EXPERIMENTS])
    configs = {item.label: item.cfg for item in tool.plan(args, 20, tmp_path)}
    assert configs["BS + NBN + LR"].model.head.predictor.type == "RectifiedLinear"
    assert configs["g from 1"].model.backbone.norm_cfg.initial_magnitude == 1
    for cfg in configs.values():
        assert cfg.train_dataloader.batch_size == 8
        sizes = [step["scale"] for step in last_steps(cfg.train_dataloader.dataset.pipeline)]
        assert set(sizes) == {(16, 16)}
    paper = tool.parsed([*words, "--preset", "paper"])
    assert list(paper.experiments) == ["remedies", "nbn_start", "cbn"]


def last_steps(pipeline):
    """Yield the step before the packing, or the last one of each view."""
    views = [view for step in pipeline for view in step.get("views", ())]
    return [view[-1] for view in views] or [pipeline[-2]]


@pytest.mark.slow
def test_the_paper_preset_runs_to_its_tables(tool, words, tmp_path, monkeypatch):
    seconds = itertools.count()
    monkeypatch.setattr(tool, "now", lambda: next(seconds))  # for this clock, four steps fit
    tool.main([*words, "--preset", "paper", "--seconds", "150", "--seeds", "0", "1"])
    page = (tmp_path / "out/results.md").read_text()
    for label in [label for name in tool.PRESETS["paper"] for label in tool.EXPERIMENTS[name]]:
        assert re.search(rf"^\| {re.escape(label)} +\| 2 \|", page, re.MULTILINE)
    assert "BS + NBN + LR − BS" in page


def test_a_fused_optimizer_reads_its_rate_from_a_tensor(tool):
    from paired_training import rates_in_tensors

    models = [nn.Linear(3, 2) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    optimizers = [
        torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9, fused=True) for model in models
    ]
    for rate in (0.3, 0.1):
        for model, optimizer in zip(models, optimizers, strict=True):
            optimizer.zero_grad()
            model(torch.ones(4, 3)).square().sum().backward()
            optimizer.param_groups[0]["lr"] = rate
        optimizers[0].step()
        with rates_in_tensors(optimizers[1], torch.device("cpu")) as [tensor]:
            assert optimizers[1].param_groups[0]["lr"] is tensor
            optimizers[1].step()
        assert optimizers[1].param_groups[0]["lr"] == rate
    torch.testing.assert_close(*(model.weight for model in models), rtol=0, atol=0)


def test_what_cannot_be_captured_is_told_in_words(tool):
    from paired_training import root_cause, waiting_lines

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
        warnings.warn("another", stacklevel=1)
    line = caught[0].lineno
    assert waiting_lines(caught) == f"the host waits for the GPU in {__file__}:{line}"
    assert waiting_lines([]) == "no line of the forward pass waits for the GPU"
    try:
        try:
            raise RuntimeError("first\nmore")
        finally:
            raise RuntimeError("second")
    except RuntimeError as error:
        assert root_cause(error) == "first"
