"""The command ``ltnorm``, and the tools, which are the same commands by the paths of files."""

import inspect
import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import ltnorm
from ltnorm import analyze, coco_to_lvis, test
from ltnorm.sweep import TRAIN
from mmdet_ltnorm.analysis import commands
from mmdet_ltnorm.data.coco_to_lvis import LVIS_LIMITS
from mmdet_ltnorm.data.image_files import ImageError
from mmdet_ltnorm.engine import launch
from mmdet_ltnorm.engine.launch import POST_HOC
from mmdet_ltnorm.engine.options import read_options
from mmdet_ltnorm.engine.terminal import RefusedRun

ROOT = Path(__file__).parents[1]


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["ltnorm", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        ltnorm.main()
    return ended.value.code


def test_arguments_are_parsed_before_anything_of_weight_is_imported():
    code = (
        "import ltnorm, sys; [ltnorm.parser_of(name) for name in (None, *ltnorm.COMMANDS)]; "
        "print({'mmdet_ltnorm', 'torch', 'mmengine', 'numpy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.parametrize("tool", sorted(path.name for path in ROOT.glob("tools/*.py")))
def test_help_of_a_tool_loads_no_torch(tool, monkeypatch, capsys):
    class Refusing:
        def find_spec(self, name, *_):
            if name.partition(".")[0] in ("mmdet_ltnorm", "torch", "mmengine"):
                raise AssertionError(f"{tool} imports {name} before it reads its arguments")

    for name in [name for name in sys.modules if name.partition(".")[0] == "mmdet_ltnorm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Refusing(), *sys.meta_path])
    monkeypatch.setattr(sys, "argv", [tool, "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(ROOT / "tools" / tool), run_name="__main__")
    assert capsys.readouterr().out.startswith("usage: ")


@pytest.mark.parametrize("start", [["-m", "mmdet_ltnorm"], ["-m", "ltnorm"], TRAIN[1:2]])
def test_help_loads_no_torch_however_it_is_started(start):
    command = [sys.executable, "-X", "importtime", *start, "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert all(f"    {name} " in done.stdout for name in ltnorm.COMMANDS if len(name) < 10)
    assert "argparse" in done.stderr and "torch" not in done.stderr


def test_a_shell_completes_commands_and_options_where_argcomplete_is_installed(monkeypatch):
    def asked(parser):
        raise SystemExit(parser.format_help())

    monkeypatch.setitem(sys.modules, "argcomplete", SimpleNamespace(autocomplete=asked))
    assert all(name in run(monkeypatch) for name in ltnorm.COMMANDS)


def test_configs_of_the_package_are_found_by_name_from_any_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    own = ROOT / "mmdet_ltnorm" / ".mim" / "configs" / "demo" / "cls_digits_ce.py"
    for name in "demo/cls_digits_ce", "demo/cls_digits_ce.py", "configs/demo/cls_digits_ce.py":
        args = ltnorm.parser_of().parse_args(["train", name])
        assert Path(args.config) == own and own.samefile(ROOT / "configs/demo/cls_digits_ce.py")
    assert ltnorm.parser_of("train").parse_args(["demo/no"]).config == "demo/no"
    Path("demo").mkdir()
    Path("demo/cls_digits_ce.py").touch()  # a file that is there is the one that is meant
    args = ltnorm.parser_of("sweep").parse_args(["demo/cls_digits_ce.py", "demo/cls_digits_bs"])
    assert args.configs == ["demo/cls_digits_ce.py", str(own.with_name("cls_digits_bs.py"))]


def test_a_tool_is_the_command_of_its_name(monkeypatch):
    seen = []
    monkeypatch.setattr(ltnorm, "main", seen.append)
    for tool in ROOT.glob("tools/*.py"):
        if "from ltnorm" in tool.read_text():
            runpy.run_path(str(tool))
    assert sorted(seen) == sorted(ltnorm.COMMANDS)


def test_the_parsers_know_what_the_functions_take():
    for name, (_, options) in {**analyze.OF_MODELS, **analyze.OF_FILES}.items():
        parameters = dict(list(inspect.signature(getattr(commands, name)).parameters.items())[2:])
        assert list(parameters) == options
        for option in options:
            assert analyze.OPTIONS[option].get("default") == parameters[option].default
    assert set(test.POST_HOC) == set(POST_HOC)
    parser = ltnorm.parser_of("coco-to-lvis")
    assert parser.get_default("limits") == LVIS_LIMITS and parser.get_default("run") is (
        coco_to_lvis.run
    )


def test_a_command_tells_its_errors_in_a_line_under_its_name(monkeypatch, tmp_path):
    told = run(monkeypatch, "train", tmp_path / "no.py")
    assert told == f"ltnorm train: {tmp_path}/no.py does not exist, or is no file"
    (tmp_path / "c.py").write_text("model = dict()")
    told = run(monkeypatch, "check", tmp_path / "c.py", "--cfg-options", "seed")
    assert told == "ltnorm check: --cfg-options takes KEY=VALUE, got 'seed'"


@pytest.mark.parametrize(("command", "words"), [("train", []), ("test", ["c.pth"])])
@pytest.mark.parametrize("kind", [ImageError, RefusedRun])
def test_a_damaged_image_or_a_check_ends_a_run_in_a_line(command, words, kind, monkeypatch):
    def damaged(_):
        raise kind("a.png is damaged")

    monkeypatch.setattr(launch, f"config_for_{command}ing", lambda _: None)
    monkeypatch.setattr(launch, command, damaged)
    assert run(monkeypatch, command, "c.py", *words) == f"ltnorm {command}: a.png is damaged"


def test_without_a_command_the_help_names_them(monkeypatch, capsys):
    assert run(monkeypatch) == 2
    told = capsys.readouterr().err
    assert all(f"    {name} " in told for name in ("check", "train"))
    assert run(monkeypatch, "--version") == 0
    assert re.fullmatch(r"mmdet_ltnorm .+\n", capsys.readouterr().out)


def test_options_are_read_as_mmengine_reads_them():
    words = ["a.b=1", "c=[1,(2,x)]", "d=1e-3", "e=k=v", "f=None"]
    found = read_options(words)
    assert found == {"a.b": 1, "c": [1, (2, "x")], "d": 0.001, "e": "k=v", "f": None}
    assert read_options([]) == {}
    with pytest.raises(ValueError, match=r"no dict\(\.\.\.\): name each of its entries"):
        read_options(["a=dict(b=1, c=2)"])


@pytest.mark.slow
def test_python_dash_m_trains_with_everything_registered(tmp_path):
    command = [sys.executable, "-m", "mmdet_ltnorm", "check"]
    config = ROOT / "configs" / "demo" / "cls_digits_ce.py"
    done = subprocess.run([*command, config], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "train: DigitsLT" in done.stdout and "no problem found" in done.stdout
