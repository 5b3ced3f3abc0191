"""Each fault of an environment is simulated, found, and given the line that fixes it."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ltnorm.doctor import CHECKS, NATIVE, Environment, diagnose, gather, try_ops

DOCTOR = Path(__file__).parents[1] / "tools" / "doctor.py"

OPENMMLAB = {"mmengine": "0.10.7", "mmcv": "2.1.0", "mmdet": "3.3.0", "setuptools": "80.10.2"}
ONEDL = {"onedl-mmengine": "0.10.12", "onedl-mmcv": "2.3.6", "onedl-mmdetection": "3.5.1"}
# The last torch and NumPy that need no note.
COMMON = {"torch": "2.5.1", "numpy": "1.23.5", "lvis": "0.5.3", "vernier": "0.5.4"}
HEALTHY = Environment((3, 11), OPENMMLAB | COMMON | {"opencv-python": "5.0.0"})
HEALTHY_ONEDL = Environment((3, 11), ONEDL | COMMON)


def with_versions(env, **versions):
    versions = {name.replace("_", "-"): version for name, version in versions.items()}
    return replace(env, versions={k: v for k, v in (env.versions | versions).items() if v})


@pytest.mark.parametrize("env", [HEALTHY, HEALTHY_ONEDL], ids=["openmmlab", "onedl"])
def test_nothing_is_found_in_a_healthy_environment(env):
    assert diagnose(env) == []


NO_OPS = {"mmcv._ext": "No module named 'mmcv._ext'"}
FAULTS = {
    "old Python": (replace(HEALTHY, python=(3, 9)), "Python is 3.9", "python3.11 -m venv"),
    "no torch": (with_versions(HEALTHY, torch=None), "torch is not installed", "make setup"),
    "old torch": (with_versions(HEALTHY, torch="2.3.1"), "torch is 2.3.1", "'torch>=2.4'"),
    "both kinds of mmdet": (
        with_versions(HEALTHY, onedl_mmdetection="3.5.1"),
        "mmdet and onedl-mmdetection both install `mmdet`",
        "pip uninstall -y mmengine onedl-mmengine mmengine-lite mmcv onedl-mmcv mmcv-lite mmdet",
    ),
    "both kinds of mmcv": (
        with_versions(HEALTHY, mmcv_lite="2.1.0"),
        "mmcv and mmcv-lite both install `mmcv`",
        "pip uninstall -y",
    ),
    "no mmengine": (
        with_versions(HEALTHY, mmengine=None),
        "mmengine is not installed",
        "pip install mmengine==0.10.7",
    ),
    "no mmcv": (
        with_versions(HEALTHY, mmcv=None),
        "mmcv is not installed",
        "MMCV_WITH_OPS=1 pip install --no-build-isolation",
    ),
    "no mmdet of the fork": (
        with_versions(HEALTHY_ONEDL, onedl_mmdetection=None),
        "mmdet is not installed",
        "pip install onedl-mmdetection",
    ),
    "mmcv too new": (
        with_versions(HEALTHY, mmcv="2.2.0"),
        "mmcv is 2.2.0, expected 2 or newer, below 2.2",
        "mmcv==2.1.0",
    ),
    "mmdet too old": (
        with_versions(HEALTHY, mmdet="2.28.2"),
        "mmdet is 2.28.2, expected 3.3 or newer",
        "pip install mmdet==3.3.0",
    ),
    "mmengine too old": (
        with_versions(HEALTHY, mmengine="0.9.1"),
        "mmengine is 0.9.1, expected 0.10 or newer",
        "pip install mmengine==0.10.7",
    ),
    "OpenCV without its system library": (
        replace(HEALTHY, errors={"cv2": "libGL.so.1: cannot open"} | NO_OPS),
        "OpenCV does not import (libGL.so.1: cannot open)",
        "opencv-python-headless",
    ),
    "ops not compiled": (
        replace(HEALTHY, errors=NO_OPS),
        "mmcv's compiled ops do not import",
        "CUDA_VISIBLE_DEVICES= MMCV_WITH_OPS=1 pip install --no-build-isolation --no-cache-dir",
    ),
    "ops not compiled, with a GPU": (
        replace(HEALTHY_ONEDL, errors=NO_OPS, gpu="A100"),
        "mmcv's compiled ops do not import",
        "FORCE_CUDA=1 MMCV_WITH_OPS=1 pip install",
    ),
    "mmcv-lite has no ops": (
        replace(with_versions(HEALTHY, mmcv=None, mmcv_lite="2.1.0"), errors=NO_OPS),
        "mmcv's compiled ops do not import",
        "pip uninstall -y mmcv-lite && ",
    ),
    "ops for the CPU beside a GPU": (
        replace(HEALTHY, gpu="A100", ops_cuda="not available"),
        "torch sees A100, but mmcv's ops were compiled without CUDA",
        "FORCE_CUDA=1",
    ),
    "ops that end the process": (
        replace(HEALTHY, gpu="H200", trial="SIGSEGV", crashed=True),
        "mmcv's compiled ops end the process that calls them (SIGSEGV): mmcv 2.1.0 does not suit "
        "torch 2.5.1 here",
        "make setup CUDA=1 STACK=onedl",
    ),
    "ops of the fork that end the process": (
        replace(HEALTHY_ONEDL, gpu="H200", trial="SIGSEGV", crashed=True),
        "onedl-mmcv 2.3.6 does not suit",
        "FORCE_CUDA=1 MMCV_WITH_OPS=1 pip install",
    ),
    "ops that fail on the GPU": (
        replace(HEALTHY, gpu="H200", ops_cuda="12.8", trial="no kernel image is available"),
        "mmcv's compiled ops import, and fail when they are called (no kernel image",
        "FORCE_CUDA=1 MMCV_WITH_OPS=1 pip install",
    ),
    "setuptools without pkg_resources": (
        replace(
            with_versions(HEALTHY, setuptools="82.0.0"),
            errors={"pkg_resources": "No module named 'pkg_resources'", "mmdet::": "the same"},
        ),
        "setuptools is 82.0.0",
        "'setuptools<82'",
    ),
    "no lvis": (
        with_versions(HEALTHY, lvis=None),
        "lvis is not installed",
        "pip install --no-deps lvis",
    ),
    "another vernier": (
        with_versions(HEALTHY, vernier="0.6.0"),
        "vernier is 0.6.0, expected exactly 0.5.4",
        "pip install vernier==0.5.4",
    ),
    "no vernier": (
        with_versions(HEALTHY, vernier=None),
        "vernier is not installed",
        "pip install vernier==0.5.4",
    ),
    "mmdet's configs are missing": (
        replace(HEALTHY, errors={"mmdet::": "no such file"}),
        "mmdet's own configs cannot be inherited (no such file)",
        "pip install mmdet==3.3.0 --force-reinstall --no-deps",
    ),
    "this package is not installed": (
        replace(HEALTHY, errors={"mmdet_ltnorm": "No module named 'mmdet_ltnorm'"}),
        "mmdet_ltnorm does not import",
        "pip install -e .",
    ),
}


@pytest.mark.parametrize(("env", "problem", "fix"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_once_with_the_line_that_fixes_it(env, problem, fix):
    findings = diagnose(env)
    assert [finding.is_fault for finding in findings] == [True]
    assert problem in findings[0].problem
    assert fix in findings[0].fix
    assert "\n" not in findings[0].fix


def test_a_numpy_without_np_float_is_a_note_about_the_metric_to_use():
    (note,) = diagnose(with_versions(HEALTHY, numpy="1.26.4"))
    assert not note.is_fault
    assert "lvis 0.5.3 uses: mmdet's own LVISMetric stops" in note.problem
    assert "LTLVISMetric" in note.fix


def test_a_torch_that_refuses_training_checkpoints_is_a_note_about_custom_imports():
    (note,) = diagnose(with_versions(HEALTHY, torch="2.6.0"))
    assert not note.is_fault
    assert "custom_imports" in note.fix


def test_norms_without_their_compiled_code_are_a_note():
    (note,) = diagnose(replace(HEALTHY, errors={NATIVE: "not built"}))
    assert not note.is_fault
    assert "the norms' C++ code is not built" in note.problem
    assert "pip install -e ." in note.fix


def test_every_check_finds_something_in_some_simulated_environment():
    simulated = [env for env, _, _ in FAULTS.values()]
    simulated += [with_versions(HEALTHY, numpy="2.0.0"), with_versions(HEALTHY, torch="2.6.0")]
    silent = [check.__name__ for check in CHECKS if not any(list(check(env)) for env in simulated)]
    assert silent == []


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", ("SIGSEGV", True)),
        ("raise SystemExit('nms keeps nothing')", ("nms keeps nothing", False)),
        ("pass", (None, False)),
    ],
)
def test_ops_are_called_in_a_process_of_their_own_whose_end_is_told(code, expected):
    assert try_ops(code) == expected


def test_the_environment_of_this_test_run_has_no_fault():
    env = gather()
    assert env.python == sys.version_info[:2]
    assert env.release("torch") >= (2, 4)
    assert [finding.problem for finding in diagnose(env) if finding.is_fault] == []


def test_the_tool_runs_where_nothing_is_installed_and_exits_with_1():
    # -S leaves site-packages out: neither torch nor any host can be imported.
    run = subprocess.run([sys.executable, "-S", DOCTOR], capture_output=True, text=True, timeout=60)
    assert run.returncode == 1, run.stderr
    assert "fault: torch is not installed\nfix:   make setup" in run.stdout
    assert "Traceback" not in run.stderr
