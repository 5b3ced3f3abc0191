"""Tell what is wrong with this Python environment, and the line that fixes each fault.

ltnorm doctor    # exit code 1 where there is a fault

It uses the standard library only, and imports torch, the hosts and this package late: it has to run
where they are missing or broken.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

# The distributions that provide each module: OpenMMLab's, the maintained fork's, the lite one.
PROVIDERS = {
    "mmengine": ("mmengine", "onedl-mmengine", "mmengine-lite"),
    "mmcv": ("mmcv", "onedl-mmcv", "mmcv-lite"),
    "mmdet": ("mmdet", "onedl-mmdetection"),
}
SHOWN = ("torch", "mmengine", "mmcv", "mmdet", "numpy", "lvis", "vernier", "setuptools")
NATIVE = "mmdet_ltnorm.norms.backends.cpu.native"
# Calls the ops that a detector calls first, on the GPU if there is one.
TRIAL = """
import torch
from mmcv.ops import RoIAlign, nms
device = "cuda" if torch.cuda.is_available() else "cpu"
boxes = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4], [8, 8, 12, 12]], device=device)
kept = nms(boxes, torch.tensor([0.9, 0.8, 0.7], device=device), 0.5)[1]
pooled = RoIAlign(2)(torch.ones(1, 1, 16, 16, device=device), boxes.new_tensor([[0, 0, 0, 8, 8]]))
if kept.tolist() != [0, 2] or pooled.tolist() != torch.ones(1, 1, 2, 2).tolist():
    raise SystemExit(f"nms keeps {kept.tolist()} and RoIAlign gives {pooled.tolist()}")
"""


@dataclass(frozen=True)
class Environment:
    """The facts about a Python environment that the checks look at."""

    python: tuple[int, int]
    versions: dict[str, str]  # of every installed distribution
    errors: dict[str, str] = field(default_factory=dict)  # module -> why it cannot be imported
    gpu: str | None = None  # the GPU that torch sees
    ops_cuda: str | None = None  # the CUDA release that mmcv's ops were compiled with
    trial: str | None = None  # how a separate process that called mmcv's ops failed
    crashed: bool = False  # whether a signal ended it, as importing the ops would end this process

    def distributions(self, module: str) -> list[str]:
        """Return the installed distributions that provide a module."""
        return [name for name in PROVIDERS.get(module, (module,)) if name in self.versions]

    def text(self, module: str) -> str:
        """Return a module's version as text."""
        names = self.distributions(module)
        return self.versions[names[0]] if names else "not installed"

    def release(self, module: str) -> tuple[int, ...]:
        """Return the first three numbers of a module's version, an empty tuple if it is missing."""
        numbers = re.findall(r"\d+", self.text(module).split("+")[0])
        return tuple(int(number) for number in numbers[:3])

    @property
    def onedl(self) -> bool:
        """Whether the stack is the maintained fork's rather than OpenMMLab's."""
        return any(name.startswith("onedl-") for name in self.versions)


@dataclass(frozen=True)
class Finding:
    """A fault and the line that fixes it, or a note and what to use."""

    problem: str
    fix: str
    is_fault: bool = True


def _install(env: Environment, module: str, device: str = "cpu") -> str:
    tested = {"mmengine": "mmengine==0.10.7", "mmcv": "mmcv==2.1.0", "mmdet": "mmdet==3.3.0"}
    name = PROVIDERS[module][1] if env.onedl else tested[module]
    if module != "mmcv":
        return f"pip install {name}"
    lite = "pip uninstall -y mmcv-lite && " if "mmcv-lite" in env.versions else ""
    where = "FORCE_CUDA=1" if device == "cuda" else "CUDA_VISIBLE_DEVICES="
    return (
        f"{lite}pip install 'setuptools<82' wheel ninja psutil && {where} MMCV_WITH_OPS=1 "
        f"pip install --no-build-isolation --no-cache-dir --force-reinstall --no-deps {name}"
    )


def check_python(env: Environment) -> Iterator[Finding]:
    if env.python < (3, 10):
        found = ".".join(map(str, env.python))
        yield Finding(f"Python is {found}, expected 3.10 or newer", "python3.11 -m venv .venv")


def check_torch(env: Environment) -> Iterator[Finding]:
    if not env.release("torch"):
        yield Finding("torch is not installed", "make setup  # or here: pip install 'torch>=2.4'")
    elif env.release("torch") < (2, 4):
        yield Finding(
            f"torch is {env.text('torch')}, expected 2.4 or newer: older ones cannot load training "
            "checkpoints without running code from the file",
            "pip install 'torch>=2.4'  # then compile mmcv's ops for it",
        )


def check_two_kinds(env: Environment) -> Iterator[Finding]:
    for module in PROVIDERS:
        found = env.distributions(module)
        if len(found) > 1:
            every = " ".join(name for names in PROVIDERS.values() for name in names)
            yield Finding(
                f"{' and '.join(found)} both install `{module}`: its files are a mixture",
                f"pip uninstall -y {every}  # then install one kind",
            )


def check_hosts(env: Environment) -> Iterator[Finding]:
    bounds = {"mmengine": ((0, 10), (1,)), "mmcv": ((2,), (2, 2)), "mmdet": ((3, 3), (4,))}
    for module, (lowest, limit) in bounds.items():
        release = env.release(module)
        if not release:
            yield Finding(f"{module} is not installed", _install(env, module))
        elif not env.onedl and not lowest <= release < limit:
            lowest_text, limit_text = (".".join(map(str, bound)) for bound in (lowest, limit))
            yield Finding(
                f"{module} is {env.text(module)}, expected {lowest_text} or newer, below "
                f"{limit_text}, as mmdet 3.3 and this package ask",
                _install(env, module),
            )


def check_opencv(env: Environment) -> Iterator[Finding]:
    if "cv2" in env.errors and "opencv-python" in env.versions:
        yield Finding(
            f"OpenCV does not import ({env.errors['cv2']})",
            "pip uninstall -y opencv-python && "
            "pip install --force-reinstall --no-deps opencv-python-headless",
        )


def check_ops(env: Environment) -> Iterator[Finding]:
    if not env.release("mmcv") or env.errors.keys() & {"torch", "cv2"}:
        return  # another check tells that fault, and nothing is known about the ops
    if env.crashed:
        other = "make setup CUDA=1 STACK=onedl  # the maintained stack, made for today's torch"
        yield Finding(
            f"mmcv's compiled ops end the process that calls them ({env.trial}): "
            f"{env.distributions('mmcv')[0]} {env.text('mmcv')} does not suit torch "
            f"{env.text('torch')} here",
            _install(env, "mmcv", "cuda" if env.gpu else "cpu") if env.onedl else other,
        )
    elif "mmcv._ext" in env.errors:
        yield Finding(
            f"mmcv's compiled ops do not import ({env.errors['mmcv._ext']}): they were never "
            "compiled, or for another torch",
            _install(env, "mmcv", "cuda" if env.gpu else "cpu"),
        )
    elif env.gpu and env.ops_cuda == "not available":
        yield Finding(
            f"torch sees {env.gpu}, but mmcv's ops were compiled without CUDA and stop there",
            _install(env, "mmcv", "cuda"),
        )
    elif env.trial:
        yield Finding(
            f"mmcv's compiled ops import, and fail when they are called ({env.trial})",
            _install(env, "mmcv", "cuda" if env.gpu else "cpu"),
        )


def check_setuptools(env: Environment) -> Iterator[Finding]:
    if "pkg_resources" in env.errors and not env.onedl:
        yield Finding(
            f"setuptools is {env.text('setuptools')}: mmengine finds `mmdet::` configs through its "
            "pkg_resources, which setuptools 82 dropped",
            "pip install 'setuptools<82'",
        )


def check_numpy(env: Environment) -> Iterator[Finding]:
    if not env.release("lvis"):
        fix = "pip install --no-deps lvis  # the rest of what it needs came with mmdet"
        yield Finding("lvis is not installed: mmdet cannot read LVIS", fix)
    elif env.release("numpy") >= (1, 24) and env.release("lvis") <= (0, 5, 3):
        yield Finding(
            f"NumPy {env.text('numpy')} has no np.float, which lvis {env.text('lvis')} uses: "
            "mmdet's own LVISMetric stops with an AttributeError",
            "val_evaluator = dict(type='LTLVISMetric', ...)  # as configs/lvis do",
            is_fault=False,
        )


def check_vernier(env: Environment) -> Iterator[Finding]:
    if env.text("vernier") != "0.5.4":
        yield Finding(
            f"vernier is {env.text('vernier')}, expected exactly 0.5.4: LTLVISMetric calls its "
            "private core",
            "pip install vernier==0.5.4",
        )


def check_torch_load(env: Environment) -> Iterator[Finding]:
    if env.release("torch") >= (2, 6) and env.release("mmengine") and not env.onedl:
        yield Finding(
            f"torch.load of torch {env.text('torch')} refuses mmengine's training checkpoints: a "
            "run resumes only with this package imported",
            "custom_imports = dict(imports=['mmdet_ltnorm'])  # in the config, as configs/ do",
            is_fault=False,
        )


def check_package(env: Environment) -> Iterator[Finding]:
    if "mmdet::" in env.errors:
        fix = f"{_install(env, 'mmdet')} --force-reinstall --no-deps"
        yield Finding(f"mmdet's own configs cannot be inherited ({env.errors['mmdet::']})", fix)
    again = "pip install -e .  # at the root of a clone; or the sdist"
    if "mmdet_ltnorm" in env.errors:
        yield Finding(f"mmdet_ltnorm does not import ({env.errors['mmdet_ltnorm']})", again)
    elif NATIVE in env.errors:
        problem = f"the norms' C++ code is {env.errors[NATIVE]}: on a CPU they take twice as long"
        yield Finding(problem, f"{again}, with g++ there", is_fault=False)


CHECKS: tuple[Callable[[Environment], Iterator[Finding]], ...] = (
    check_python,
    check_torch,
    check_two_kinds,
    check_hosts,
    check_opencv,
    check_ops,
    check_setuptools,
    check_numpy,
    check_vernier,
    check_torch_load,
)


def diagnose(env: Environment) -> list[Finding]:
    """Return the faults and notes of all checks."""
    findings = [finding for check in CHECKS for finding in check(env)]
    if not any(finding.is_fault for finding in findings):
        findings += check_package(env)  # which nearly every fault above would make fail, too
    return findings


def _import_error(module: str) -> str | None:
    try:
        if module == "mmdet::":
            config = importlib.import_module("mmengine.config").Config
            config.fromstring("_base_ = 'mmdet::_base_/default_runtime.py'", ".py")
        else:
            imported = importlib.import_module(module)
            if module == NATIVE and not imported.library():
                return "not built, or from other sources"
    except Exception as error:  # a broken package raises anything
        return (str(error).splitlines() or [type(error).__name__])[0]
    return None


def try_ops(code: str = TRIAL) -> tuple[str | None, bool]:
    """Return how a process that calls mmcv's ops fails, and whether a signal ended it (a crash)."""
    if importlib.util.find_spec("mmcv") is None:
        return None, False
    command = [sys.executable, "-W", "ignore", "-c", code]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return "no answer within five minutes", False
    if run.returncode < 0:
        return signal.Signals(-run.returncode).name, True
    lines = run.stderr.strip().splitlines() or ["no message"]
    return (lines[-1], False) if run.returncode else (None, False)


def gather() -> Environment:
    """Describe the running environment by importing the packages that it has."""
    installed = importlib.metadata.distributions()
    versions = {str(d.metadata["Name"]).lower().replace("_", "-"): d.version for d in installed}
    modules = ("torch", "cv2", "pkg_resources", "mmcv._ext", "mmdet", "mmdet::")
    modules += ("mmdet_ltnorm", NATIVE)
    trial, crashed = try_ops()
    if crashed:  # importing them would crash this process, too
        modules = tuple(name for name in modules if name not in ("mmcv._ext", "mmdet"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        errors = {module: error for module in modules if (error := _import_error(module))}
    gpu = ops_cuda = None
    if "torch" not in errors and sys.modules["torch"].cuda.is_available():
        gpu = sys.modules["torch"].cuda.get_device_name()
    if "mmcv._ext" not in errors and not crashed:
        ops_cuda = sys.modules["mmcv._ext"].get_compiling_cuda_version()
    return Environment(sys.version_info[:2], versions, errors, gpu, ops_cuda, trial, crashed)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no arguments: the command looks at the Python that runs it."""


def run(_: argparse.Namespace) -> int:
    """Look at the environment and print the findings."""
    env = gather()
    print(f"Python {sys.version.split()[0]} at {sys.executable}")
    print(", ".join(f"{module} {env.text(module)}" for module in SHOWN))
    print(f"GPU: {env.gpu or 'none seen'}; mmcv's ops for CUDA: {env.ops_cuda or 'unknown'}")
    findings = diagnose(env)
    for finding in findings:
        print(f"\n{'fault:' if finding.is_fault else 'note: '} {finding.problem}")
        print(f"{'fix:  ' if finding.is_fault else 'use:  '} {finding.fix}")
    faults = sum(finding.is_fault for finding in findings)
    print(f"\n{faults} faults, {len(findings) - faults} notes")
    return int(faults > 0)
