"""Imports point one way, and importing the package stays cheap.

``python tests/test_layout.py`` prints the rooms of the package: what they hold, and the arrows.
"""

import ast
import functools
import subprocess
import sys
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from itertools import product
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mmdet_ltnorm"
SOURCES = sorted(PACKAGE.rglob("*.py"))
# Every arrow that is drawn, and no other.
IMPORTS = {
    "analysis": {"class_groups", "data", "moments", "norms", "results"},
    "benchmark": {"engine", "results"},
    "calibration": {"class_groups", "data", "losses", "moments"},
    "classification": {"class_groups", "data", "norms", "results"},
    "comparison": {"class_groups", "evaluation", "results"},
    "data": {"class_groups"},
    "data_check": {"data", "engine", "results"},
    "deployment": {"class_groups", "classification", "data", "engine", "results", "surgery"},
    "engine": {"class_groups", "data", "last_line", "norms", "processes", "results", "surgery"},
    "evaluation": {"class_groups", "data"},
    "losses": {"class_groups"},
    "norms": {"split"},
    "report": {"analysis", "class_groups", "engine", "norms", "results"},
    "results": {"class_groups", "data"},
    "split": {"class_groups"},
    "surgery": {"norms"},
    "sweep": {"last_line", "processes", "results"},
}
LOWEST = {"arguments", "lettering", "reading", "writing"}  # every room may import these
OUTSIDE = {
    "benchmarks",
    "configs",
    "ltnorm",
    "tests",
    "tools",
}  # these import the package, never the reverse
# Slow to import, or not installed everywhere: the functions that need one import it.
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


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def room(module):
    return module.split(".")[1] if "." in module else ""


def imported_modules(nodes, path):
    """Yield the absolute names that import statements among the nodes reach."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = path.relative_to(PACKAGE.parent).parts[: -node.level] if node.level else ()
            base = ".".join((*parents, *filter(None, [node.module])))
            yield from (f"{base}.{alias.name}" for alias in node.names)


@functools.cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def definitions(node):
    """Return the functions and classes that a module or a class defines, by name."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {each.name: each for each in node.body if isinstance(each, kinds)}


@functools.cache
def links():
    """Return the package's files that each of its files imports, by module name."""
    names = {module_name(path) for path in SOURCES}
    found = {}
    for path in SOURCES:
        reached = {_file_of(name, names) for name in imported_modules(ast.walk(tree(path)), path)}
        found[module_name(path)] = reached - {None, module_name(path)}
    return found


def _file_of(name, names):
    while name and name not in names:
        name = name.rpartition(".")[0]
    return name or None


def arrows(links):
    """Return the imports that lead from room to room, and from which files."""
    found = defaultdict(set)
    for name, reached in links.items():
        for other in map(room, reached):
            if room(name) and other and other != room(name):
                found[room(name), other].add(name)
    return found


def test_rooms_import_the_rooms_below_them_as_listed_and_no_others():
    drawn = {arrow: files for arrow, files in arrows(links()).items() if arrow[1] not in LOWEST}
    listed = {(name, other) for name, others in IMPORTS.items() for other in others}
    assert {arrow: files for arrow, files in drawn.items() if arrow not in listed} == {}
    assert listed - drawn.keys() == set()  # an arrow that nobody draws any more


@pytest.mark.parametrize("graph", [links, lambda: IMPORTS], ids=["file", "room"])
def test_no_file_and_no_room_reaches_itself_by_its_imports(graph):
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_backends_of_norms_know_no_layer_and_plain_code_no_accelerator():
    norms = "mmdet_ltnorm.norms."
    backends, plain = norms + "backends.", norms + "backends.plain."
    for name, reached in links().items():
        own = {other for other in reached if other.startswith(norms)}
        if name.startswith(backends):
            assert all(other.startswith(backends) for other in own), name
        if name.startswith(plain):
            assert not any(other.startswith((backends + "cpu", backends + "gpu")) for other in own)


@pytest.mark.parametrize(
    "protocol, file",
    [
        *product(["PixelPasses"], ["plain/pixels.py", "cpu/pixels.py"]),
        *product(["ComponentArithmetic"], ["plain/components.py", "cpu/components.py"]),
        *product(["Mixture"], ["composed.py", "gpu/mixture.py"]),
        *product(["NormalizedBatchNorm"], ["plain/nbn.py", "cpu/nbn.py", "gpu/nbn.py"]),
    ],
)
def test_a_backend_has_the_functions_of_its_interface_with_their_arguments(protocol, file):
    folder = PACKAGE / "norms" / "backends"
    path = folder / file
    own, interface = definitions(tree(path)), definitions(tree(folder / "interface.py"))
    own |= definitions(own["Composed"]) if "Composed" in own else {}
    borrowed = {name.rpartition(".")[2] for name in imported_modules(tree(path).body, path)}
    wanted = definitions(interface[protocol])
    assert wanted.keys() - own.keys() <= borrowed
    for name in wanted.keys() & own.keys():
        arguments = ast.unparse(wanted[name].args).removeprefix("self, ")
        assert ast.unparse(own[name].args).removeprefix("self, ") == arguments, name
        assert ast.unparse(own[name].returns) == ast.unparse(wanted[name].returns), name


def test_no_two_classes_of_the_package_have_one_name():
    names = [
        node.name for path in SOURCES for node in tree(path).body if isinstance(node, ast.ClassDef)
    ]
    assert sorted(names) == sorted(set(names))


def test_the_package_imports_nothing_that_is_made_of_it():
    for path in SOURCES:
        modules = imported_modules(ast.walk(tree(path)), path)
        assert not {module.split(".")[0] for module in modules} & OUTSIDE, path


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_no_module_imports_a_heavy_package_at_its_top(path):
    tops = {module.split(".")[0] for module in imported_modules(tree(path).body, path)}
    assert not tops & HEAVY


def test_the_import_checks_see_relative_and_nested_imports():
    source = "from ..surgery import fold\ndef f():\n    import tools.train\nfrom . import nbn"
    nodes = ast.walk(ast.parse(source))
    assert set(imported_modules(nodes, PACKAGE / "norms" / "affine.py")) == {
        "mmdet_ltnorm.surgery.fold",
        "mmdet_ltnorm.norms.nbn",
        "tools.train",
    }


def test_importing_the_package_registers_the_layers_without_compiled_ops_or_anything_heavy():
    code = (
        "import sys; sys.modules['mmcv._ext'] = None; import mmdet_ltnorm; "
        "from mmengine.registry import MODELS; print('NBN' in MODELS, "
        f"sorted({HEAVY - {'matplotlib'}!r} & sys.modules.keys()))"  # mmengine loads matplotlib
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.stdout == "True []\n", run.stderr


# Without torch the import ends at once; the others need torch first.
@pytest.mark.parametrize("host", ["torch", pytest.param("mmcv", marks=pytest.mark.slow)])
def test_a_missing_host_is_named_with_the_command_that_explains_it(host):
    code = f"import sys; sys.modules[{host!r}] = None; import mmdet_ltnorm"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 1
    assert f"ImportError: mmdet_ltnorm needs {host}" in run.stderr
    assert "python -m ltnorm doctor" in run.stderr


if __name__ == "__main__":
    between = arrows(links())
    for name in sorted(set(map(room, links()))):
        files = [path for path in SOURCES if room(module_name(path)) == name]
        lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
        others = ", ".join(sorted(other for own, other in between if own == name)) or "-"
        print(f"{name or '(package)':16} {len(files):3} files {lines:5} lines -> {others}")
    print(f"{len(SOURCES)} files, {len(between)} arrows")
