"""Imports point one way, and importing the package stays cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mmdet_ltnorm"
SOURCES = sorted(PACKAGE.rglob("*.py"))
MAY_IMPORT = {
    "annotations": {"class_groups"},
    "arguments": set(),
    "class_groups": set(),
    "checkpoints": set(),
    "doctor": set(),
    "moments": set(),
    "norms": set(),
    "predictors": set(),
    "processes": set(),
    "run_logs": set(),
    "lettering": set(),
    "writing": set(),
    "reading": set(),
    "data": {"annotations", "class_groups"},
    "calibration": {"class_groups", "losses", "moments"},
    "evaluation": {"annotations", "class_groups"},
    "losses": {"class_groups"},
    "surgery": {"norms"},
    "engine": {
        "annotations",
        "checkpoints",
        "class_groups",
        "norms",
        "processes",
        "run_logs",
        "surgery",
    },
    "classification": {"checkpoints", "class_groups", "norms"},
    "deployment": {
        *("analysis", "annotations", "class_groups", "classification", "data", "engine"),
        "surgery",
    },
    "analysis": {
        "annotations",
        "checkpoints",
        "class_groups",
        "moments",
        "norms",
        "run_logs",
        "surgery",
    },
    "comparison": {"analysis", "class_groups", "evaluation"},
    "report": {"analysis", "engine", "norms", "sweep"},
    "sweep": {"analysis", "processes", "run_logs"},
    "benchmark": {"analysis", "engine", "norms"},
}
LOWEST = {"arguments", "lettering", "reading", "writing"}  # every room may import these
OUTSIDE = {"benchmarks", "configs", "tests", "tools"}  # these import the package, never the reverse
# Slow to import or not everybody's: the functions that need one import it.
HEAVY = {
    "lvis",
    "matplotlib",
    "mmpretrain",
    "onnx",
    "onnxruntime",
    "sklearn",
    "torchvision",
    "vernier",
}


def room(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(nodes, path):
    """Yield the absolute names that import statements among the nodes reach."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = path.relative_to(PACKAGE.parent).parts[: -node.level] if node.level else ()
            base = ".".join((*parents, *filter(None, [node.module])))
            yield from (f"{base}.{alias.name}" for alias in node.names)


def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_imports_only_the_rooms_below_it(path):
    modules = list(imported_modules(ast.walk(tree(path)), path))
    assert not {module.split(".")[0] for module in modules} & OUTSIDE
    rooms = {module.split(".")[1] for module in modules if module.startswith("mmdet_ltnorm.")}
    if path != PACKAGE / "__init__.py":
        assert rooms - {room(path)} <= MAY_IMPORT[room(path)] | LOWEST


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_imports_a_heavy_package_at_its_top(path):
    tops = {module.split(".")[0] for module in imported_modules(tree(path).body, path)}
    assert not tops & HEAVY


def test_the_import_checks_see_relative_and_nested_imports():
    source = "from ..surgery import fold\ndef f():\n    import tools.train\nfrom . import nbn"
    nodes = ast.walk(ast.parse(source))
    assert set(imported_modules(nodes, PACKAGE / "norms" / "functional.py")) == {
        "mmdet_ltnorm.surgery.fold",
        "mmdet_ltnorm.norms.nbn",
        "tools.train",
    }


def test_importing_the_package_registers_the_layers_and_loads_nothing_heavy():
    code = (
        "import sys, mmdet_ltnorm; from mmengine.registry import MODELS; print('NBN' in MODELS, "
        f"sorted({HEAVY - {'matplotlib'}!r} & sys.modules.keys()))"  # mmengine loads matplotlib
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.stdout == "True []\n", run.stderr


def test_the_package_imports_without_mmcvs_compiled_ops():
    code = "import sys; sys.modules['mmcv._ext'] = None; import mmdet_ltnorm"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr


def test_a_missing_host_is_named_with_the_command_that_explains_it():
    code = "import sys; sys.modules['mmcv'] = None; import mmdet_ltnorm"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert "ImportError: mmdet_ltnorm needs mmcv" in run.stderr
    assert "python tools/doctor.py" in run.stderr
