"""What is released: an sdist, and the wheel of it at work where there is no clone."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[1]
SOURCES = (".ci", "benchmarks", "configs", "docs", "ltnorm", "mmdet_ltnorm", "tests", "tools")
USER = """
import torch
from mmdet_ltnorm import load
from mmdet_ltnorm.losses import BalancedSoftmaxLoss
from mmdet_ltnorm.norms import NBN
from mmdet_ltnorm.surgery import fold_norms

images: torch.Tensor = NBN(16)(torch.randn(2, 16, 4, 4))
plain: torch.nn.Module = fold_norms(torch.nn.Sequential(NBN(16)))
names: list[str] = load("config.py", "model.pth").class_names
loss = BalancedSoftmaxLoss(num_classes=10)
NBN("sixteen")
load("config.py", "model.pth").classes_names
"""


def run(*command, **options):
    command = [str(word) for word in command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The sdist of a copy of this clone, as `python -m build` asks setuptools for it."""
    folder = tmp_path_factory.mktemp("sdist")
    unmade = shutil.ignore_patterns("*.so", "__pycache__")
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / "clone" / name, symlinks=True, ignore=unmade)
    for file in filter(Path.is_file, ROOT.iterdir()):
        shutil.copy(file, folder / "clone")
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(folder)!r})"
    run(sys.executable, "-c", code, cwd=folder / "clone")
    return next(folder.glob("*.tar.gz"))


def built(sdist, folder, **environment):
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    run(*command, "--wheel-dir", folder, sdist, env=os.environ | environment)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory):
    return built(sdist, tmp_path_factory.mktemp("wheel"))


def installed(wheel, folder):
    """Install a wheel into an environment that has the packages of this one, but not this one."""
    venv.create(folder)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install"]
    run(*pip, "--no-deps", "--no-index", wheel)
    # Of a folder that a .pth file names, no .pth files are read: none of an editable install.
    hosts = [path for path in sys.path if path.endswith("site-packages")]
    next(folder.glob("lib/*/site-packages")).joinpath("hosts.pth").write_text("\n".join(hosts))
    return folder / "bin"


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    return installed(wheel, tmp_path_factory.mktemp("environment"))


@pytest.fixture
def anywhere(tmp_path, monkeypatch):
    """A folder that is no clone, in a process that does not point to one."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_sdist_has_every_source_and_no_build(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    folders = (path for name in SOURCES for path in (ROOT / name).rglob("*"))
    files = [path for path in (*ROOT.iterdir(), *folders) if path.is_file()]
    kept = [path for path in files if path.suffix not in (".so", ".pyc") and path.name[0] != "."]
    assert {str(path.relative_to(ROOT)) for path in kept} <= names
    assert {"LICENSE", "mmdet_ltnorm/norms/backends/cpu/csrc/tiles.h"} <= names
    assert not [name for name in names if name.endswith((".so", ".pyc"))]


def test_the_wheel_has_both_packages_their_types_configs_licence_and_compiled_code(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {"ltnorm/train.py", "mmdet_ltnorm/py.typed"} <= set(names)
    configs = {str(path.relative_to(ROOT)) for path in ROOT.glob("configs/**/*.py")}
    mim = "mmdet_ltnorm/.mim/"
    assert configs == {name.removeprefix(mim) for name in names if name.startswith(mim)}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(re.search(r"cpu/norms_cpu\.\S+\.so$", name) for name in names)


def test_the_installed_command_trains_tests_predicts_and_exports(environment, anywhere):
    pytest.importorskip("sklearn")
    cv2 = pytest.importorskip("cv2")
    ltnorm = environment / "ltnorm"
    assert "0 faults" in run(ltnorm, "doctor")
    config = "demo/cls_digits_bs_nbn_lr"
    short = ["train_cfg.max_epochs=1", "train_cfg.val_interval=1"]
    run(ltnorm, "train", config, "--cfg-options", *short)
    checkpoint = "work_dirs/cls_digits_bs_nbn_lr/epoch_1.pth"
    assert "accuracy" in run(ltnorm, "test", config, checkpoint)
    cv2.imwrite("one.png", np.zeros((32, 32, 3), np.uint8))
    assert "wrote 1 picture " in run(ltnorm, "predict", config, checkpoint, "one.png", "--out", "p")
    pytest.importorskip("onnxruntime")
    run(ltnorm, "export", config, checkpoint, "digits.onnx")
    native = "from mmdet_ltnorm.norms.backends.cpu.native import library; print(library())"
    assert str(environment.parent) in run(environment / "python", "-c", native)


def test_copied_configs_are_trained_and_inherited_as_in_a_clone(environment, anywhere):
    """The line of docs/install.md."""
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^cp -rL .*", page, re.MULTILINE)
    run("bash", "-c", line, env=os.environ | {"PATH": f"{environment}:{os.environ['PATH']}"})
    (anywhere / "configs" / "own.py").write_text('_base_ = "./demo/cls_digits_ce.py"')
    assert "no problem found" in run(environment / "ltnorm", "check", "configs/own.py")


def test_a_wheel_that_was_built_without_a_compiler_works(sdist, anywhere):
    wheel = built(sdist, anywhere / "wheel", CC="false", CXX="false")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]
    python = installed(wheel, anywhere / "environment") / "python"
    code = (
        "import torch; from mmdet_ltnorm.norms import CBN, NBN; "
        "from mmdet_ltnorm.norms.backends.cpu.native import library; x = torch.randn(4, 8, 5, 5); "
        "print(library(), NBN(8)(x).shape == CBN(8, num_components=2)(x).shape == x.shape)"
    )
    assert run(python, "-c", code) == "None True\n"


def test_a_type_checker_reads_the_installed_annotations(environment, anywhere):
    pytest.importorskip("mypy")
    (anywhere / "own.py").write_text(USER)
    command = [sys.executable, "-m", "mypy", "--python-executable", environment / "python"]
    words = map(str, [*command, "--follow-untyped-imports", "own.py"])
    told = subprocess.run(words, capture_output=True, text=True, timeout=600).stdout
    assert 'Argument 1 to "NBN" has incompatible type "str"; expected "int"' in told
    assert '"Predictor" has no attribute "classes_names"' in told
    assert "Found 2 errors in 1 file" in told
