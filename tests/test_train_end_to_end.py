"""The LVIS configs train, die, resume and evaluate on a miniature that declares 1203 classes."""

import json
import math
import signal
import time

import pytest
import torch
from forked_tools import start_tool
from mmdet.datasets import LVISV1Dataset
from mmengine.runner.checkpoint import CheckpointLoader
from tiny_mask_rcnn import CONFIGS, as_arguments, tiny_data, tiny_model

from mmdet_ltnorm.data.synthetic.mini_lvis import make_mini_lvis

EPOCHS = 3
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


def run(tool, *arguments, output):
    """Run a tool that must succeed, and return what it prints."""
    process = start_tool(output, tool, *arguments)
    process.join(900)
    assert process.exitcode == 0, output.read_text()[-4000:]
    return output.read_text()


def scalars(work_dir):
    """Read what the newest run of a work dir has logged so far, one dict for each line."""
    logs = sorted(work_dir.glob("*/vis_data/scalars.json"))
    lines = logs[-1].read_text().splitlines(keepends=True) if logs else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def train_and_kill_at(iteration, arguments, work_dir, output):
    """Kill -9 a run as soon as it has logged an iteration."""
    process = start_tool(output, "train.py", *arguments)
    deadline = time.monotonic() + 900
    while not any(line.get("step") == iteration for line in scalars(work_dir)):
        assert process.is_alive(), output.read_text()[-4000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def train_kill_resume_and_evaluate(config, options, work_dir):
    options = {
        **options,
        "train_cfg.max_epochs": EPOCHS,
        "train_cfg.val_interval": EPOCHS,
        "default_hooks.logger.interval": 1,
    }
    arguments = [config, "--work-dir", work_dir, "--cfg-options", *as_arguments(options)]
    train_and_kill_at(ITERATIONS + 1, arguments, work_dir, work_dir / "killed.log")
    before = scalars(work_dir)
    assert not (work_dir / "epoch_2.pth").exists()
    cut_short = (work_dir / "epoch_1.pth").read_bytes()[:-1000]
    (work_dir / "epoch_2.pth").write_bytes(cut_short)  # as if it had died while it was saving
    (work_dir / "last_checkpoint").write_text(str(work_dir / "epoch_2.pth"))

    output = run("train.py", *arguments, "--resume", output=work_dir / "resumed.log")
    assert "epoch_2.pth was cut short" in output
    assert f"resumed epoch: 1, iter: {ITERATIONS}" in output
    training = [line for line in scalars(work_dir) if "loss" in line]
    assert [line["step"] for line in training] == list(
        range(ITERATIONS + 1, EPOCHS * ITERATIONS + 1)
    )
    at_death = next(line for line in before if line["step"] == ITERATIONS + 1)
    assert training[0]["lr"] == at_death["lr"], "the schedule started afresh"
    assert training[0]["loss"] == pytest.approx(at_death["loss"], rel=0.3)
    assert all(math.isfinite(line["loss"]) and line["magnitude"] > 0 for line in training)
    end = CheckpointLoader.load_checkpoint(str(work_dir / f"epoch_{EPOCHS}.pth"))
    assert end["meta"]["iter"] == EPOCHS * ITERATIONS
    history, _ = end["message_hub"]["log_scalars"]["train/loss"].data
    assert len(history) == EPOCHS * ITERATIONS
    momenta = [state["momentum_buffer"] for state in end["optimizer"]["state"].values()]
    assert momenta and all(torch.isfinite(momentum).all() for momentum in momenta)

    [validation] = [line for line in scalars(work_dir) if "lvis/bbox_AP" in line]
    tested = work_dir / "tested"
    test = ["--work-dir", tested, "--out", tested / "predictions.json"]
    test += ["--cfg-options", *as_arguments(options)]
    run("test.py", config, work_dir / f"epoch_{EPOCHS}.pth", *test, output=work_dir / "tested.log")
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
