"""What the tools make of a command line."""

import argparse
import json
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from tiny_mask_rcnn import tiny_model

from mmdet_ltnorm.engine import launch
from mmdet_ltnorm.engine.compiling import check_compiler
from mmdet_ltnorm.engine.launch import (
    RUN_HOOKS,
    build_runner,
    config_for_testing,
    config_for_training,
)

TOOLS = Path(__file__).parents[1] / "tools"
SEESAW_NBN = TOOLS.parent / "configs" / "lvis" / "seesaw_nbn_2x.py"


# Command lines


def arguments(config=SEESAW_NBN, **options):
    given = dict(config=str(config), work_dir=None, cfg_options={}, launcher="none", local_rank=0)
    train = dict(resume=None, amp=False, compile=False, auto_scale_lr=False)
    test = dict(out=None, show_dir=None, post=None, post_strength=None)
    return argparse.Namespace(**{**given, **train, **test, **options})


@pytest.fixture
def config(mini_lvis, tmp_path):
    cfg = Config.fromfile(SEESAW_NBN)
    cfg.merge_from_dict(tiny_model(num_classes=8))
    content = json.loads((mini_lvis / "annotations" / "lvis_v1_val.json").read_text())
    classes = [category["name"] for category in content["categories"]]
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        cfg[loader].dataset.update(data_root=f"{mini_lvis}/", metainfo=dict(classes=classes))
    cfg.dump(tmp_path / "seesaw.py")
    return tmp_path / "seesaw.py"


def test_options_of_the_command_line_reach_the_config(config):
    cfg = config_for_training(arguments(config, cfg_options={"train_cfg.max_epochs": 7}))
    assert cfg.train_cfg.max_epochs == 7
    assert cfg.work_dir == "work_dirs/seesaw"
    assert not cfg.resume and cfg.load_from is None
    assert cfg.auto_scale_lr.enable is False
    assert config_for_training(arguments(config, work_dir="there")).work_dir == "there"
    assert config_for_training(arguments(config, auto_scale_lr=True)).auto_scale_lr.enable


def test_scaling_the_lr_needs_to_know_what_it_is_for(config):
    cfg = Config.fromfile(config)
    cfg.pop("auto_scale_lr")
    cfg.dump(config)
    with pytest.raises(ValueError, match="--auto-scale-lr needs auto_scale_lr=dict"):
        config_for_training(arguments(config, auto_scale_lr=True))


@pytest.mark.parametrize(
    ("cuda", "wrapper"), [(True, "AmpOptimWrapper"), (False, "BFloat16OptimWrapper")]
)
def test_mixed_precision_fits_the_device(cuda, wrapper, config, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # mmengine's log looks for the device
    cfg = config_for_training(arguments(config, amp=True))
    assert cfg.optim_wrapper.type == wrapper
    assert cfg.optim_wrapper.optimizer.lr == 0.005
    assert ("loss_scale" in cfg.optim_wrapper) == cuda


def test_compiling_adds_a_hook_and_needs_a_compiler(config, monkeypatch):
    assert config_for_training(arguments(config, compile=True)).custom_hooks[-1] == {
        "type": "CompileHook"
    }
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setenv("CXX", "icpx")
    with pytest.raises(ValueError, match=r"needs a compiler, looked for icpx, g\+\+, clang\+\+: "):
        config_for_training(arguments(config, compile=True))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("torch.utils._triton.has_triton_package", lambda: False)
    with pytest.raises(ValueError, match="needs Triton on a GPU.*pip install triton"):
        check_compiler()


def test_resuming_takes_the_newest_checkpoint_or_the_named_one(config, tmp_path):
    work_dir = tmp_path / "run"
    cfg = config_for_training(arguments(config, resume="auto", work_dir=str(work_dir)))
    assert not cfg.resume and cfg.load_from is None, "nothing to resume from yet"
    first = dict(resume="auto", work_dir=str(work_dir), cfg_options={"load_from": "start.pth"})
    assert config_for_training(arguments(config, **first)).load_from == "start.pth"
    work_dir.mkdir()
    for name in ("epoch_1.pth", "epoch_2.pth"):
        torch.save({}, work_dir / name)
    cfg = config_for_training(arguments(config, resume="auto", work_dir=str(work_dir)))
    assert cfg.resume and cfg.load_from == str(work_dir / "epoch_2.pth")
    named = str(work_dir / "epoch_1.pth")
    cfg = config_for_training(arguments(config, resume=named, work_dir=str(work_dir)))
    assert cfg.resume and cfg.load_from == named
    with pytest.raises(FileNotFoundError, match=r"epoch_7\.pth does not exist"):
        config_for_training(arguments(config, resume=str(work_dir / "epoch_7.pth")))


def test_sync_bn_is_refused_from_the_command_line(config):
    with pytest.raises(ValueError, match="sync_bn='torch'"):
        config_for_training(arguments(config, cfg_options={"sync_bn": "torch"}))


def test_testing_writes_and_draws_what_it_is_asked_for(config, tmp_path):
    torch.save({}, tmp_path / "a.pth")
    given = arguments(config, checkpoint=str(tmp_path / "a.pth"), out="x.json", show_dir="drawn")
    cfg = config_for_testing(given)
    assert cfg.load_from == str(tmp_path / "a.pth")
    assert [metric["results_file"] for metric in cfg.test_evaluator] == ["x.json"]
    assert cfg.default_hooks.visualization.draw
    assert cfg.default_hooks.visualization.test_out_dir == "drawn"
    given.cfg_options = {"test_evaluator.type": "CocoMetric"}
    with pytest.raises(ValueError, match="GroupAccuracy and LTLVISMetric, test_evaluator has Coco"):
        config_for_testing(given)
    given.out = "x.pkl"
    with pytest.raises(ValueError, match=r"writes NAME\.json, got x\.pkl: reading a pickle can"):
        config_for_testing(given)
    given.checkpoint = "nowhere.pth"
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth does not exist"):
        config_for_testing(given)


def test_without_cuda_only_torchs_launcher_works(config):
    cfg = config_for_training(arguments(config, launcher="slurm"))
    with pytest.raises(ValueError, match="only --launcher pytorch works, got slurm"):
        build_runner(cfg)


def test_missing_data_ends_a_tool_with_the_guide_and_without_a_stack_trace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", str(SEESAW_NBN)])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(TOOLS / "train.py"), run_name="__main__")
    assert "data/lvis_v1/annotations/lvis_v1_train.json does not exist" in ended.value.code
    assert "make demo" in ended.value.code


@pytest.mark.parametrize("tool", ["train.py", "test.py"])
def test_a_tool_without_the_package_says_how_to_get_it(tool, monkeypatch):
    monkeypatch.setitem(sys.modules, "mmdet_ltnorm", None)
    monkeypatch.setattr(sys, "argv", [tool, "config.py", *["a.pth"] * (tool == "test.py")])
    with pytest.raises(SystemExit, match=r"`make setup`.*`python -m ltnorm doctor`"):
        runpy.run_path(str(TOOLS / tool), run_name="__main__")


@pytest.mark.parametrize("script", sorted(TOOLS.glob("*_t*.sh")), ids=lambda path: path.name)
def test_a_launch_script_without_arguments_prints_its_usage(script):
    run = subprocess.run([script], capture_output=True, text=True, timeout=20)
    assert run.returncode != 0
    assert f"usage: tools/{script.name}" in run.stderr


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (
            "demo/cls_digits_ce",
            dict(show_dir="d"),
            "--show-dir is for det.*ImageClassifier is",
        ),
        ("demo/cls_digits_ce", dict(post="norcal"), "--post norcal is for detectors, and Image"),
        ("lvis/ce_2x", dict(post="tau_norm"), "--post tau_norm is for classifiers, and MaskRCNN"),
        ("lvis/ce_2x", dict(post="logit_adjustment"), "is for classifiers, .* norcal and logn"),
    ],
)
def test_options_of_the_other_kind_of_model_are_refused_first(
    tmp_path, monkeypatch, config, options, message
):
    for check in ("check_class_config", "check_data_files"):
        monkeypatch.setattr(launch, check, lambda *_: None)
    (tmp_path / "a.pth").touch()
    config = TOOLS.parent / "configs" / f"{config}.py"
    given = arguments(config, checkpoint=str(tmp_path / "a.pth"), **options)
    with pytest.raises(ValueError, match=message):
        config_for_testing(given)


@pytest.mark.parametrize("post", ["logit_adjustment", "tau_norm"])
@pytest.mark.parametrize(
    ("name", "options", "found"),
    [
        ("cls_digits_bs", {}, "loss has BalancedSoftmaxLoss"),
        (
            "cls_digits_ce",
            {"train_dataloader.sampler.type": "ClassPowerSampler"},
            "data loader has ClassPowerSampler",
        ),
    ],
)
def test_what_training_has_corrected_is_not_corrected_again(post, name, options, found, tmp_path):
    checkpoint = tmp_path / "a.pth"
    checkpoint.touch()
    config = TOOLS.parent / "configs" / "demo" / f"{name}.py"
    given = arguments(config, cfg_options=options, post=post, checkpoint=str(checkpoint))
    with pytest.raises(ValueError, match=f"--post {post} is for models trained .* {found}, which"):
        config_for_testing(given)
    given.post_strength = 0  # changes nothing
    assert config_for_testing(given).custom_hooks[-1]["strength"] == 0


@pytest.mark.parametrize("tool", sorted(TOOLS.glob("*.py")), ids=lambda path: path.name)
def test_help_is_all_that_a_tool_does_when_asked_for_it(tool, monkeypatch, capsys):
    def start(*args, **kwargs):
        raise AssertionError("a process was started")

    monkeypatch.chdir(TOOLS.parent)
    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(sys, "argv", [str(tool), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(tool), run_name="__main__")
    assert ended.value.code == 0
    assert f"usage: {tool.name}" in capsys.readouterr().out


def test_a_norm_that_nobody_knows_is_refused_with_the_known_ones(config):
    given = arguments(config, cfg_options={"model.backbone.norm_cfg.type": "NBM"})
    with pytest.raises(ValueError, match=r"no norm_cfg=dict\(type='NBM'\); norms are: .*CBN.*NBN"):
        config_for_training(given)


def test_every_training_has_the_hooks_that_let_it_stop_and_go_on(config):
    cfg = Config.fromfile(config)
    for name in RUN_HOOKS:
        cfg.default_hooks.pop(name)
    cfg.dump(config)
    cfg = config_for_training(arguments(config))
    assert {name: cfg.default_hooks[name].type for name in RUN_HOOKS} == RUN_HOOKS
    iterations = {"train_cfg": dict(type="IterBasedTrainLoop", max_iters=9)}
    cfg = config_for_training(arguments(config, cfg_options=iterations))
    assert cfg.default_hooks.logger.log_metric_by_epoch is False


def test_a_resumed_run_without_a_seed_takes_the_checkpoints(config, tmp_path):
    torch.save({"meta": {"seed": 17}, "state_dict": {}}, tmp_path / "epoch_1.pth")
    resumed = dict(resume="auto", work_dir=str(tmp_path))
    assert config_for_training(arguments(config, **resumed)).randomness.seed == 17
    resumed["cfg_options"] = {"randomness.seed": 3}
    assert config_for_training(arguments(config, **resumed)).randomness.seed == 3
