"""Fixtures that any test may ask for."""

from importlib.machinery import EXTENSION_SUFFIXES
from unittest.mock import patch

import pytest
import torch
from mmengine.registry import DefaultScope
from mmengine.runner import set_random_seed
from toy_runner import toy_runner

from mmdet_ltnorm.data import make_mini_lvis
from mmdet_ltnorm.norms import native


@pytest.fixture(autouse=True)
def _seed():
    set_random_seed(0)


@pytest.fixture(autouse=True)
def _scope():
    # A Runner sets it for the whole process, and so for the tests that come after it.
    with DefaultScope.overwrite_default_scope("mmdet"):
        yield


@pytest.fixture(scope="session")
def mini_lvis(tmp_path_factory):
    """A data root in LVIS v1's layout: 24 training, 8 validation images of 96 pixels, 8 classes."""
    root = tmp_path_factory.mktemp("data") / "mini_lvis"
    sizes = {"num_train": 24, "num_val": 8, "num_categories": 8, "image_size": 96}
    make_mini_lvis(root, **sizes, populate_groups=False)
    return root


@pytest.fixture(
    params=native.NAMES[torch.backends.cpu.get_cpu_capability() not in native.WITH_AVX2 :]
)
def library(request):
    """Each of the C++ libraries that run on this machine, in place of the fastest."""
    path = native.FOLDER / (request.param + EXTENSION_SUFFIXES[0])
    if not path.exists():
        pytest.skip(f"needs {path.name}")
    found = native.load(path)
    with patch.object(native, "library", lambda: found):
        yield found


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory):
    """The work directory of a run of two epochs, with a checkpoint of each, for reading."""
    work_dir = tmp_path_factory.mktemp("toy_run")
    toy_runner(work_dir).train()
    return work_dir
