"""The LVIS configs train, die, resume and evaluate on a miniature that declares 1203 classes."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmdet.datasets import LVISV1Dataset
from mmengine.runner.checkpoint import CheckpointLoader
from tiny_mask_rcnn import CONFIGS, as_arguments, tiny_data, tiny_model

from mmdet_ltnorm.data.synthetic.mini_lvis import make_mini_lvis

TOOLS = Path(__file__).parents[1] / "tools"
ITERATIONS = 4  # an epoch: 16 images, batch 4


@pytest.fixture(scope="module")
def lvis_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "lvis_v1"
    make_mini_lvis(
        root,
        num_train=4 * ITERATIONS,
        num_val=4,
        num_categories=5,
        category_names=LVISV1Dataset.METAINFO["classes"],
        populate_groups=False,
    )
    return root


def start(tool, *arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, TOOLS / tool, *arguments]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return subprocess.Popen(command, env=environment, **pipes)


def finish(process):
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output[-4000:]
    return output


def scalars(work_dir):
    """Read what the newest run of a work dir has logged so far, one dict for each line."""
    logs = sorted(work_dir.glob("*/vis_data/scalars.json"))
    lines = logs[-1].read_text().splitlines(keepends=True) if logs else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def kill_at(iteration, process, work_dir):
    """Kill -9 a run as soon as it has logged an iteration."""
    deadline = time.monotonic() + 900
    while not any(line.get("step") == iteration for line in scalars(work_dir)):
        assert process.poll() is None, process.communicate()[0][-4000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def train_kill_resume_and_evaluate(config, options, work_dir):
    options = {
        **options,
        "train_cfg.max_epochs": 3,
        "train_cfg.val_interval": 3,
        "default_hooks.logger.interval": 1,
    }
    arguments = [config, "--work-dir", work_dir, "--cfg-options", *as_arguments(options)]
    kill_at(ITERATIONS + 1, start("train.py", *arguments), work_dir)
    before = scalars(work_dir)
    assert not (work_dir / "epoch_2.pth").exists()
    cut_short = (work_dir / "epoch_1.pth").read_bytes()[:-1000]
    (work_dir / "epoch_2.pth").write_bytes(cut_short)  # as if it had died while it was saving
    (work_dir / "last_checkpoint").write_text(str(work_dir / "epoch_2.pth"))

    output = finish(start("train.py", *arguments, "--resume"))
    assert "epoch_2.pth was cut short" in output
    assert f"resumed epoch: 1, iter: {ITERATIONS}" in output
    training = [line for line in scalars(work_dir) if "loss" in line]
    assert [line["step"] for line in training] == list(range(ITERATIONS + 1, 3 * ITERATIONS + 1))
    at_death = next(line for line in before if line["step"] == ITERATIONS + 1)
    assert training[0]["lr"] == at_death["lr"], "the schedule started afresh"
    assert training[0]["loss"] == pytest.approx(at_death["loss"], rel=0.3)
    assert all(math.isfinite(line["loss"]) and line["magnitude"] > 0 for line in training)
    end = CheckpointLoader.load_checkpoint(str(work_dir / "epoch_3.pth"))
    assert end["meta"]["iter"] == 3 * ITERATIONS
    history, _ = end["message_hub"]["log_scalars"]["train/loss"].data
    assert len(history) == 3 * ITERATIONS
    momenta = [state["momentum_buffer"] for state in end["optimizer"]["state"].values()]
    assert momenta and all(torch.isfinite(momentum).all() for momentum in momenta)

    [validation] = [line for line in scalars(work_dir) if "lvis/bbox_AP" in line]
    tested = work_dir / "tested"
    test = ["--work-dir", tested, "--out", tested / "predictions.json"]
    test += ["--cfg-options", *as_arguments(options)]
    finish(start("test.py", config, work_dir / "epoch_3.pth", *test))
    [metrics] = [json.loads(path.read_text()) for path in tested.glob("*/*.json")]
    for metric in ("lvis/bbox_AP", "lvis/segm_AP"):
        assert metrics[metric] == validation[metric]
    found = json.loads((tested / "predictions.json").read_text())
    assert 0 < len({each["image_id"] for each in found}) <= 4
    assert all(each["segmentation"] and 1 <= each["category_id"] <= 1203 for each in found)


def test_a_killed_run_resumes_from_its_last_whole_checkpoint_and_evaluates(lvis_root, tmp_path):
    options = {**tiny_model(), **tiny_data(lvis_root, image_size=64)}
    train_kill_resume_and_evaluate(CONFIGS / "seesaw_nbn_2x.py", options, tmp_path)


@pytest.mark.slow
def test_the_published_model_does_so_too(lvis_root, tmp_path):
    options = tiny_data(lvis_root, image_size=64)
    options["model.backbone.backbone.init_cfg"] = None  # no download
    # From random weights, steps of ordinary size may leave no score above the threshold.
    options["optim_wrapper.optimizer.lr"] = 1e-6
    train_kill_resume_and_evaluate(CONFIGS / "seesaw_nbn_2x.py", options, tmp_path)
