"""Configs that runs have dumped, read without running them, because they may be untrusted."""

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from mmengine import registry as host
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry

NUMBERS = {"inf": float("inf"), "nan": float("nan")}  # how Python prints these
# Suffixes of files that mmengine.load runs as code.
CODE = (".pkl", ".pickle", ".yml", ".yaml")
BUILT = ("default_scope", "model", "train_dataloader", "test_dataloader")  # for the pictures


def read_dumped(file: Path) -> Config:
    """Read the config that mmengine dumped; nothing in it is run.

    mmengine dumps plain values, lists and dicts alone, and nothing else is taken.

    Raises:
        ValueError: the file holds something else; the message names the line.
    """
    try:
        content = dict(_assignments(file))
    except (MemoryError, RecursionError, SyntaxError, TypeError) as error:
        raise ValueError(f"{file} is no config that mmengine has dumped: {error}") from error
    return Config(content, filename=str(file))


def _assignments(file: Path) -> Iterator[tuple[str, Any]]:
    text = file.read_bytes().decode("utf-8-sig", errors="replace")
    for line in ast.parse(text.replace("\0", "\\0")).body:
        match line:
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield name, _value(line.value, file)
            case ast.Expr(value=ast.Constant()):  # a docstring
                continue
            case _:
                raise _refusal(line, file)


def _value(node: ast.expr, file: Path) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name() if node.id in NUMBERS:
            return NUMBERS[node.id]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Name(id="inf")):
            return -NUMBERS["inf"]
        case ast.List() | ast.Tuple() | ast.Set():
            kind = {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)]
            return kind(_value(item, file) for item in node.elts)
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(keys, values, strict=True)
            return {_value(key, file): _value(value, file) for key, value in pairs}
        case ast.Call(func=ast.Name(id="dict"), args=[], keywords=[*pairs]) if _are_named(pairs):
            return {pair.arg: _value(pair.value, file) for pair in pairs}
        case ast.Call(func=ast.Name(id="dict"), args=[ast.Dict() as only], keywords=[]):
            return _value(only, file)
    raise _refusal(node, file)


def _are_named(keywords: Sequence[ast.keyword]) -> bool:
    return all(keyword.arg for keyword in keywords)


def _refusal(node: ast.stmt | ast.expr, file: Path) -> ValueError:
    text = ast.unparse(node).partition("\n")[0]
    return ValueError(
        f"{file}, line {node.lineno}: {text[:60]!r} is no plain value, and nothing in the config "
        "of a run is run to write a report: expected what mmengine has dumped there"
    )


def check_harmless(cfg: Config) -> None:
    """Refuse a config whose model or data could not be built without running what it names.

    Raises:
        ValueError: naming the entry.
    """
    scope = cfg.get("default_scope", "mmdet")
    if scope in MODULE2PACKAGE:  # mmengine will import it, too; then its types are known
        with suppress(ImportError):
            import_module(f"{scope}.registry")
    for place, value in _entries({key: cfg.get(key) for key in BUILT}):
        if fault := _fault(place, value):
            raise ValueError(
                f"{place}={value!r} in {cfg.filename} {fault}, and nothing in the config of a run "
                "is run to write a report: give tools/analyze.py a config that you trust"
            )


def _fault(place: str, value: Any) -> str:
    key = place.rpartition(".")[2]
    if key in ("_scope_", "default_scope") and value not in (None, *MODULE2PACKAGE):
        return "is none of OpenMMLab's packages, and would be imported"
    if key == "type" and value is not None and not _is_known(value):
        return "is registered nowhere, and would be imported by its name"
    if isinstance(value, str) and value.lower().endswith(CODE):
        return "is a pickle or YAML file, whose reader runs what it holds"
    if isinstance(value, str) and place.startswith("model.") and "(" in value:
        return "could be run: mmcv evaluates the names of its operators"
    return ""


def _entries(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, list | tuple | set):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        yield place, value
        return
    for key, inner in value.items():
        yield from _entries(inner, f"{place}.{key}" if place else str(key))


def _is_known(name: Any) -> bool:
    """Tell whether a type is registered, by any name that mmengine accepts."""
    if not isinstance(name, str):
        return False
    prefix, _, last = name.rpartition(".")
    if not prefix and last.isidentifier() and last in _operators():
        return True
    found = [registry.module_dict.get(last) for registry in _registries()]
    modules = [f"{each.__module__}." for each in found if each is not None]
    if not prefix or prefix in MODULE2PACKAGE:
        return bool(modules)
    return any(module.startswith(f"{prefix}.") for module in modules)


def _registries() -> Iterator[Registry]:
    for root in vars(host).values():
        if isinstance(root, Registry):
            for registry in (root, *root.children.values()):
                registry.import_from_location()
                yield registry


def _operators() -> Collection[str]:
    """Return the names of mmcv's operators, which its layers look up without a registry."""
    try:
        import mmcv.ops
    except ImportError:  # not compiled: no detector is built either
        return ()
    return vars(mmcv.ops)
