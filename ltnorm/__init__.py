"""The command line: a file for each command, parsed before heavy packages are imported.

The file of a command has its help as docstring. ``add_arguments(parser)`` adds its arguments.
``run(args)`` imports what the command needs, runs it, and returns an exit status or None.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType

COMMANDS = ("check", "train", "test", "sweep", "compare", "report", "analyze", "predict", "export")
COMMANDS += ("benchmark", "coco-to-lvis", "doctor")


def main(command: str | None = None) -> None:
    """Run one command, or the command that the first argument names."""
    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun may die while this process still imports
        os.environ.setdefault("MMDET_LTNORM_PARENT", str(os.getppid()))
    parser = parser_of(command)
    with suppress(ImportError):  # where it is installed, a shell asks this program what fits
        importlib.import_module("argcomplete").autocomplete(parser)
    args = parser.parse_args()
    if "run" not in args:  # no command was named
        parser.print_help(sys.stderr)
        sys.exit(2)
    if args.run.__module__ != "ltnorm.doctor":  # it has to run where others cannot be imported
        _import_package()
    with _only_warnings(args):
        status = args.run(args)
    if status is not None:
        sys.exit(status)


def parser_of(command: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of one command, or of all commands."""
    if command:
        module = _module(command)
        parser = argparse.ArgumentParser(**_described(module))
        _complete(parser, module)
        return parser
    parser = argparse.ArgumentParser(
        prog="ltnorm", description="Long-tailed recognition with mmdet_ltnorm."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    subparsers = parser.add_subparsers(metavar="COMMAND")
    for name in COMMANDS:
        module = _module(name)
        _complete(
            subparsers.add_parser(name, help=_first_sentence(module), **_described(module)), module
        )
    return parser


class _Version(argparse.Action):
    """Print the version of the installed package; importing the package would take seconds."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata

        try:
            told = metadata.version("mmdet_ltnorm")
        except metadata.PackageNotFoundError:
            told = "of a clone that is not installed"
        print(f"mmdet_ltnorm {told}")
        parser.exit()


@contextmanager
def refused_in_a_line(args: argparse.Namespace, *errors: type[Exception]) -> Iterator[None]:
    """End with the message of one of the errors, without a stack trace."""
    try:
        yield
    except errors as error:
        sys.exit(f"{args.prog}: {error}")


@contextmanager
def _only_warnings(args: argparse.Namespace) -> Iterator[None]:
    """Leave out what the host notes while a command loads models; a run's own log stays."""
    if args.run.__module__ in ("ltnorm.doctor", "ltnorm.train", "ltnorm.test"):
        yield
        return
    import logging

    from mmengine.logging import MMLogger

    logger = MMLogger.get_current_instance()
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"ltnorm.{name.replace('-', '_')}")


def _described(module: ModuleType) -> dict:
    return dict(description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)


def _first_sentence(module: ModuleType) -> str:
    return (module.__doc__ or "").splitlines()[0].partition(":")[0].rstrip(".")


def _complete(parser: argparse.ArgumentParser, module: ModuleType) -> None:
    module.add_arguments(parser)
    parser.set_defaults(run=module.run, prog=parser.prog, error=parser.error)


def _import_package() -> None:
    try:
        importlib.import_module("mmdet_ltnorm").register()
    except ImportError as error:
        sys.exit(
            f"{error}\n`make setup` makes an environment in a clone; `python -m ltnorm doctor` "
            "tells what is missing in yours"
        )
