"""What pip is told, and how `make` sets an environment up."""

import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
import setuptools
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mmdet_ltnorm

ROOT = Path(__file__).parents[1]
HOSTS = {"torch", "mmengine", "mmcv", "mmdet", "opencv-python"}

needs_make = pytest.mark.skipif(not shutil.which("make"), reason="needs make")


@pytest.fixture
def metadata(monkeypatch):
    captured = {}
    monkeypatch.setattr(setuptools, "setup", lambda **arguments: captured.update(arguments))
    runpy.run_path(str(ROOT / "setup.py"))
    return captured


def pins(python_version):
    """Return what constraints.txt pins for a Python, by canonical name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith("#")]
    environment = default_environment() | {"python_version": python_version}
    held = [r for r in requirements if not r.marker or r.marker.evaluate(environment)]
    names = [canonicalize_name(requirement.name) for requirement in held]
    assert len(set(names)) == len(names), "a package is pinned twice"
    return {
        n: re.fullmatch(r"==(.+)", str(r.specifier)).group(1)
        for n, r in zip(names, held, strict=True)
    }


def test_the_version_is_the_packages_own(metadata):
    assert metadata["version"] == mmdet_ltnorm.__version__


def test_a_wheel_has_the_command_and_all_rooms(metadata):
    assert metadata["entry_points"] == {"console_scripts": ["ltnorm = ltnorm:main"]}
    rooms = {path.parent.relative_to(ROOT) for path in ROOT.glob("mmdet_ltnorm/**/*.py")}
    found = {Path(*name.split(".")) for name in setuptools.find_packages(str(ROOT))}
    assert {Path("ltnorm"), *rooms} <= found & {Path(*n.split(".")) for n in metadata["packages"]}


def test_installing_the_package_asks_for_nothing_that_a_host_environment_brings(metadata):
    names = {Requirement(line).name for line in metadata["install_requires"]}
    assert not names & HOSTS
    assert not any(name.startswith("onedl-") for name in names)


@pytest.mark.parametrize("python_version", ["3.10", "3.11", "3.13"])
def test_every_direct_dependency_is_pinned_within_its_bounds(metadata, python_version):
    pinned = pins(python_version)
    lines = [*metadata["install_requires"], *sum(metadata["extras_require"].values(), [])]
    for requirement in map(Requirement, lines):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)])


def test_ci_runs_what_the_makefile_offers():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)$", ci, re.MULTILINE)
    assert targets[-1] == "test"  # its closing line is what tells how many tests ran
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def recipe(*arguments):
    """Return what `make` would run from a fresh clone."""
    command = ["make", "--dry-run", "--always-make", *arguments]
    # Without what the `make test` above this process hands down.
    outer = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "PYTHON", "CUDA", "STACK"}
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout


@needs_make
@pytest.mark.parametrize("target", ["demo", "test", "lint"])
def test_a_target_sets_its_environment_up_first(target):
    setting_up, command = recipe(target).splitlines()[:2]
    assert setting_up == "tools/setup_env.sh .venv openmmlab cpu"
    assert ".venv/bin/python" in command


@needs_make
@pytest.mark.parametrize("target", ["demo", "test", "lint"])
def test_a_given_python_is_used_as_it_is(target):
    commands = recipe(target, "PYTHON=their-python")
    assert "their-python" in commands
    assert "setup_env" not in commands


@needs_make
def test_a_cuda_user_changes_one_word():
    assert recipe("setup", "CUDA=1") == "tools/setup_env.sh .venv openmmlab cuda\n"
    onedl = "tools/setup_env.sh .venv-onedl onedl cuda\n"
    assert recipe("setup", "CUDA=1", "STACK=onedl") == onedl
    assert ".venv-onedl/bin/python" in recipe("demo", "CUDA=1", "STACK=onedl")


@needs_make
def test_the_fork_of_the_stack_is_tested_in_an_environment_of_its_own():
    setting_up, command = recipe("test-onedl").splitlines()
    assert setting_up == "tools/setup_env.sh .venv-onedl onedl cpu"
    assert ".venv-onedl/bin/python -m pytest" in command
    assert "tests/test_nbn.py" in command


STUB = """#!/bin/bash
echo "gpus=${CUDA_VISIBLE_DEVICES-all} force=${FORCE_CUDA-0} $*" >> "$(dirname "$0")/log"
if [ "$1" = - ]; then cat > /dev/null; fi
[[ ! "$*" =~ $FAILING ]]
"""


def set_up(tmp_path, failing="nothing", hosts="openmmlab", device="cpu"):
    """Set up with a Python that only writes down what it is asked; return that and the run."""
    python = tmp_path / "bin" / "python"
    python.parent.mkdir(exist_ok=True)
    python.write_text(STUB)
    python.chmod(0o755)
    command = [ROOT / "tools" / "setup_env.sh", tmp_path, hosts, device]
    environment = os.environ | {"FAILING": failing, "FORCE_CUDA": "0"}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    return (python.parent / "log").read_text().splitlines(), run


def test_setting_up_is_done_only_once_everything_is_installed_and_checked(tmp_path):
    log, run = set_up(tmp_path)
    assert run.returncode == 0, run.stderr
    assert log[-1].endswith("tools/doctor.py")
    assert (tmp_path / ".ready").exists()


@pytest.mark.parametrize("failing", ["install .*torch", "--editable", "tools/doctor.py"])
def test_a_setup_that_failed_is_not_taken_as_done(tmp_path, failing):
    set_up(tmp_path)
    _, run = set_up(tmp_path, failing)
    assert run.returncode != 0
    assert not list(tmp_path.glob(".ready*"))


def test_the_cpu_build_hides_the_gpu_that_mmcv_would_compile_for(tmp_path):
    log, _ = set_up(tmp_path)
    (install,) = [line for line in log if "--editable" in line]
    assert install.startswith("gpus= force=0")
    assert install.endswith(".[openmmlab,lvis,demo,export,test]")


def test_the_cuda_build_is_forced_and_leaves_its_own_stamp(tmp_path):
    log, _ = set_up(tmp_path, device="cuda")
    (install,) = [line for line in log if "--editable" in line]
    assert install.startswith("gpus=all force=1")
    assert (tmp_path / ".ready-cuda").exists()


def test_a_cached_mmcv_that_does_not_fit_is_compiled_again(tmp_path):
    log, run = set_up(tmp_path, failing=r"^- cpu$", hosts="onedl")
    assert "compiling mmcv again" in run.stdout
    (rebuild,) = [line for line in log if "--no-cache-dir" in line]
    assert rebuild.endswith("--force-reinstall --no-deps onedl-mmcv")


def test_opencv_without_its_system_library_gives_way_to_the_headless_build(tmp_path):
    log, _ = set_up(tmp_path, failing="import cv2")
    assert any(line.endswith("uninstall --yes opencv-python") for line in log)
    assert any(line.endswith("--no-deps opencv-python-headless") for line in log)


def test_an_unknown_kind_of_stack_is_refused(tmp_path):
    run = subprocess.run(
        [ROOT / "tools" / "setup_env.sh", tmp_path, "mmlab", "cpu"], capture_output=True, text=True
    )
    assert run.returncode == 2
    assert "expected openmmlab or onedl, got 'mmlab'" in run.stderr
