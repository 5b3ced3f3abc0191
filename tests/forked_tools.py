"""Tools that run in a fork of the tests' process, which has all imports."""

import os
import runpy
import sys
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import get_context
from pathlib import Path

import mmdet.datasets
import mmdet.engine
import mmdet.evaluation
import mmdet.models
import mmdet.visualization  # noqa: F401, else each run's registries import these
import torch
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from ranks import METHOD

import mmdet_ltnorm.engine.launch  # noqa: F401

TOOLS = Path(__file__).parents[1] / "tools"


def start_tool(output, tool, *arguments):
    """Start a tool in a fork; it appends what it prints to the file ``output``."""
    process = get_context(METHOD).Process(target=_run, args=(output, tool, arguments))
    process.start()
    return process


def _run(output, tool, arguments):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    for kind in (DefaultScope, MMLogger, MessageHub, Visualizer):
        _forget_instances(kind)
    torch.set_num_threads(1)  # OpenMP's threads of the tests' process are not in its fork
    with output.open("a") as file, redirect_stdout(file), redirect_stderr(file):
        run_tool(tool, *arguments)


def _forget_instances(kind):
    """Drop mmengine's global instances: an earlier test's visualizer writes to its own folder."""
    kind._instance_dict.clear()
    for subclass in kind.__subclasses__():
        _forget_instances(subclass)


def run_tool(tool, *arguments):
    """Run a tool in this process, and restore ``sys.argv``."""
    sys.argv = [tool, *map(str, arguments)]
    runpy.run_path(str(TOOLS / tool), run_name="__main__")
