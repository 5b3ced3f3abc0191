"""Fixtures for all tests; their imports are late because xdist's controller needs none of them."""

import copy
import functools
import gc
import os
import tempfile
from pathlib import Path
from unittest.mock import patch

import pytest

# What is imported stays. The collector would look through it now and then, mmengine calls it even
# for each data set.
gc.disable()


def pytest_collection_finish():
    gc.freeze()
    gc.enable()


def pytest_unconfigure():
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _temporary_folder(tmp_path_factory):
    # Processes that are killed, or end at once, leave folders behind. pytest removes its own.
    folder = str(tmp_path_factory.mktemp("tmp"))
    with patch.dict(os.environ, TMPDIR=folder), patch.object(tempfile, "tempdir", folder):
        yield


@pytest.fixture(scope="session", autouse=True)
def _short_starts():
    # A runner has its config formatted five times and asks compilers for their versions. The
    # maintained fork of mmengine has no FormatCode there.
    from mmengine.config import Config, config
    from mmengine.runner import runner

    with (
        patch.object(config, "FormatCode", lambda text, **_: (text, True), create=True),
        patch.object(runner, "collect_env", functools.cache(runner.collect_env)),
        patch.object(Config, "_file2dict", staticmethod(_reading_ours_once(Config._file2dict))),
    ):
        yield


def _reading_ours_once(read):
    """Let a reader of configs remember those of this project, which share bases."""
    configs = Path(__file__).parents[1] / "configs"
    remembered = functools.cache(read)

    def read_once(filename, *options, **named):
        if Path(filename).is_relative_to(configs):
            return copy.deepcopy(remembered(filename, *options, **named))
        return read(filename, *options, **named)

    return read_once


@pytest.fixture(autouse=True)
def _seed():
    from mmengine.runner import set_random_seed

    set_random_seed(0)


@pytest.fixture(autouse=True)
def _scope():
    # A Runner sets it for the whole process, and so for the tests that come after it.
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope("mmdet"):
        yield


@pytest.fixture(scope="session")
def mini_lvis(tmp_path_factory):
    """A data root in LVIS v1's layout: 24 training, 8 validation images of 96 pixels, 8 classes."""
    from mmdet_ltnorm.data import make_mini_lvis

    root = tmp_path_factory.mktemp("data") / "mini_lvis"
    sizes = {"num_train": 24, "num_val": 8, "num_categories": 8, "image_size": 96}
    make_mini_lvis(root, **sizes, populate_groups=False)
    return root


def pytest_generate_tests(metafunc):
    if "library" in metafunc.fixturenames:
        import torch

        from mmdet_ltnorm.norms.backends.cpu import native

        capable = torch.backends.cpu.get_cpu_capability() in native.WITH_AVX2
        metafunc.parametrize("library", native.NAMES[not capable :], indirect=True)


@pytest.fixture
def library(request):
    """Each of the C++ libraries that run on this machine, in place of the fastest."""
    from importlib.machinery import EXTENSION_SUFFIXES

    from mmdet_ltnorm.norms.backends.cpu import native

    path = native.FOLDER / (request.param + EXTENSION_SUFFIXES[0])
    if not path.exists():
        pytest.skip(f"needs {path.name}")
    found = native.load(path)
    with patch.object(native, "library", lambda: found):
        yield found


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory):
    """The work directory of a run of two epochs, with a checkpoint of each, for reading."""
    from toy_runner import toy_runner

    work_dir = tmp_path_factory.mktemp("toy_run")
    toy_runner(work_dir).train()
    return work_dir
