"""Two processes over gloo: one model, one g, one update a step."""

import json
import math
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from forked_tools import run_tool
from mmengine.config import Config
from ranks import on_two_ranks
from tiny_mask_rcnn import CONFIGS, tiny_data, tiny_model

from mmdet_ltnorm.data.synthetic.mini_lvis import make_mini_lvis
from mmdet_ltnorm.engine.hooks import BroadcastBuffersHook
from mmdet_ltnorm.norms import NBN

TESTS = Path(__file__).parent
STEPS = 6


@pytest.fixture(scope="module")
def miniature(tmp_path_factory):
    root = tmp_path_factory.mktemp("mini") / "lvis"
    make_mini_lvis(root, num_train=40, num_val=6, num_categories=5, populate_groups=False)
    return root


def write_config(root, path):
    """Write the LVIS config, tiny, without validation and with a recorder on each rank."""
    categories = json.loads((root / "annotations" / "lvis_v1_train.json").read_text())["categories"]
    cfg = Config.fromfile(CONFIGS / "seesaw_nbn_2x.py")
    cfg.merge_from_dict(tiny_model(len(categories)))
    cfg.merge_from_dict(tiny_data(root, image_size=64))
    for key in ("val_dataloader", "val_cfg", "val_evaluator"):
        cfg[key] = None
    cfg.train_dataloader.batch_size = 2
    cfg.train_dataloader.dataset.metainfo = dict(classes=[c["name"] for c in categories])
    cfg.train_dataloader.dataset.filter_cfg.min_size = 1
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=STEPS, val_interval=STEPS)
    cfg.param_scheduler = [dict(type="ConstantLR", factor=1.0)]
    cfg.custom_imports.imports.append("rank_recorder")
    cfg.custom_hooks.append(dict(type="RankRecorder"))
    cfg.dump(path)


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def train_on_a_rank(rank, port, arguments):
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2")
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, CUDA_VISIBLE_DEVICES="")
    run_tool("train.py", *arguments, "--launcher", "pytorch")


def launch_script(config, *arguments):
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": f"{TESTS}:{TESTS.parent}",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "PORT": free_port(),
    }
    command = [TESTS.parent / "tools" / "dist_train.sh", config, "2", *arguments]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]


def assert_one_model_and_one_update_a_step(first, second):
    assert len(first["steps"]) == len(second["steps"]) == STEPS
    assert all(math.isfinite(step["loss"]) for rank in (first, second) for step in rank["steps"])
    losses = [[step["loss"] for step in rank["steps"]] for rank in (first, second)]
    assert losses[0] != losses[1], "both ranks saw the same images"

    assert first["parameters"].keys() == second["parameters"].keys()
    for name, parameter in first["parameters"].items():
        assert torch.equal(parameter, second["parameters"][name]), name

    for rank in (first, second):
        assert rank["entries"] == 1
        before = rank["start"]
        for step in rank["steps"]:  # SGD's one step from there, and g did move
            assert step["magnitude"] != before
            expected = before - step["lr"] * step["momentum"]
            assert step["magnitude"] == pytest.approx(expected, rel=1e-6)
            before = step["magnitude"]
    assert [s["magnitude"] for s in first["steps"]] == [s["magnitude"] for s in second["steps"]]


@pytest.fixture
def config(miniature, tmp_path):
    write_config(miniature, tmp_path / "config.py")
    return tmp_path / "config.py"


def results_of(config):
    return [torch.load(config.parent / f"rank_{rank}.pt") for rank in (0, 1)]


def test_two_ranks_train_one_model_and_update_its_magnitude_once_a_step(config):
    on_two_ranks(train_on_a_rank, free_port(), [config, "--work-dir", config.parent])
    assert_one_model_and_one_update_a_step(*results_of(config))


@pytest.mark.slow
def test_two_processes_of_the_launch_script_train_one_model_in_bfloat16(config):
    launch_script(config, "--work-dir", config.parent, "--amp")
    assert_one_model_and_one_update_a_step(*results_of(config))


def train_and_start_validation(rank, folder):
    torch.distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    model = NBN(3)
    model(torch.full((2, 3, 1, 1), float(rank)))
    BroadcastBuffersHook().before_val_epoch(SimpleNamespace(model=model))
    torch.save(dict(model.named_buffers()), folder / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_both_ranks_validate_with_the_statistics_that_are_saved(tmp_path):
    on_two_ranks(train_and_start_validation, tmp_path)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert torch.equal(first["running_mean"], torch.zeros(3))  # rank 0 saw zeros, rank 1 ones
    assert all(torch.equal(first[name], second[name]) for name in first)
