"""benchmarks/gpu_check.py at tiny sizes on a CPU, and what becomes of parts that fail."""

import contextlib
import importlib
import sys
import time
from pathlib import Path

import pytest
import torch
from markdown_tables import tables

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def check(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield importlib.import_module("gpu_check")
    for name in [path.stem for path in BENCHMARKS.glob("*.py")]:
        sys.modules.pop(name, None)


def part(check, code, **options):
    return check.Part("A part", [sys.executable, "-c", code], 60, **options)


def page(check, tmp_path, *parts, seconds=100.0):
    return "\n\n".join(check.page(parts, tmp_path, seconds))


def test_the_page_has_what_parts_print_and_says_how_others_failed(check, tmp_path):
    text = page(
        check,
        tmp_path,
        part(check, "print('| a |\\n|---|\\n| 1 |')", wanted="more"),
        part(check, "print('one\\ntwo\\nthree')", lines=2),
        part(check, "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", lines=2),
        part(check, "raise ValueError('no such thing')"),
        part(check, "pass", needs=["sys", "no_such_module"]),
    )
    assert text.startswith("# Checked on a GPU\n\ntorch ")
    assert tables(text) == [[["a"], ["1"]]] and " s; wanted: more\n" in text
    assert "```\ntwo\nthree\n```" in text and "one" not in text
    assert "**Failed with SIGSEGV:** no message\n\nIt printed nothing.\n" in text
    assert "**Failed with status 1:** " in text and "ValueError: no such thing" in text
    assert "Left out: it needs no_such_module." in text
    assert text.rstrip().endswith("s in all, of at most 100.")


def test_a_part_that_takes_too_long_is_ended_with_what_it_started(check, tmp_path):
    code = (
        "import subprocess, sys, time; print('begun', flush=True)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open('child', 'w').write(str(child.pid)); time.sleep(60)"
    )
    status, printed = check.run([sys.executable, "-S", "-c", code], tmp_path, 5)
    assert status == "**Ended after 5 s.**\n\n" and printed == "begun\n"
    child = Path("/proc", (tmp_path / "child").read_text(), "stat")
    deadline = time.monotonic() + 20  # a busy machine ends it late
    with contextlib.suppress(FileNotFoundError):
        while child.read_text().split()[2] != "Z":
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_parts_are_left_out_where_no_time_is_left(check, tmp_path):
    text = page(check, tmp_path, part(check, "print('ran')"), seconds=1)
    assert "Left out: no time is left." in text and "ran" not in text


def test_parts_run_from_the_checkout_without_an_installed_package(check, tmp_path):
    code = "import mmdet_ltnorm; print(mmdet_ltnorm.__file__)"
    _, printed = check.run([sys.executable, "-P", "-c", code], tmp_path, 60)
    assert Path(printed.strip()).is_relative_to(check.ROOT)


def test_parts_name_files_that_exist_and_stay_within_the_time_in_order_of_weight(check):
    parts = check.parts(toy=False)
    files = [word for part in parts for word in part.command if word.endswith((".py", ".sh"))]
    assert all(Path(file).is_file() for file in files)
    configs = [
        config for pair in sys.modules["training_steps"].DETECTORS.values() for config, _ in pair
    ]
    assert all(config.is_file() for config in configs)
    assert {part.command[-1] for part in parts if "--part" in part.command} == set(check.MEASURED)


@pytest.mark.parametrize(
    ("name", "ways"),
    [
        ("layers", ["captured"]),
        ("losses", ["captured", "compiled"]),
        ("steps", ["captured"]),
        ("compiled", ["compiled"]),
    ],
)
def test_a_part_prints_ratios_over_what_is_replaced(name, ways, check, capsys, monkeypatch):
    torch._dynamo.reset()
    monkeypatch.setattr(check, "COUNTS", check.COUNTS[:7])
    size = check.TOY._replace(compiling=dict(backend=lambda graph, inputs: graph.forward))
    check.MEASURED[name](size, "cpu", check.Deadline(1000))
    printed = capsys.readouterr().out
    for header, first, *others in tables(printed):
        assert header[:-3] == ["", "eager", *ways]
        assert first[1].endswith(" ms")
        for row in others:
            cells = dict(zip(header, row, strict=True))
            assert "[" in cells["eager"] and "[" in cells.get("compiled", "[")
            assert "captured" not in ways or "CUDA graphs need a GPU" in cells["captured"]
            assert int(row[-3]) > 0 and float(row[-2]) > 0 and row[-1] == "0"
    if name == "layers":
        assert "Bytes a second over a copy's, eager: batch norm " in printed
    if name == "steps":
        assert printed.count("all losses are finite") == 2


def test_what_is_wanted_stands_beside_a_ratio(check, monkeypatch):
    ways = sys.modules["step_ways"]
    makers = {"BN": lambda compiling: lambda: None, "NBN": lambda compiling: lambda: None}
    monkeypatch.setattr(ways, "captured", lambda step: step)
    [[_, _, row]] = tables(
        ways.comparison(makers, {("NBN", "captured"): 1.05}, 2, {}, ways.Deadline(60))
    )
    assert "wanted" not in row[1] and row[2].endswith(", wanted at most 1.05")
    [[_, _, row]] = tables(ways.comparison(makers, {}, 2, {}, ways.Deadline(-1)))
    assert row[2] == row[3] == "left out: time"


@pytest.mark.slow
def test_the_whole_page_is_made_on_a_cpu_at_tiny_sizes(check, tmp_path):
    parts = [part._replace(seconds=1200.0) for part in check.parts(toy=True)]  # on busy cores
    text = page(check, tmp_path, *parts, seconds=3600.0)
    (tmp_path / "page.md").write_text(text)
    assert "**" not in text, text
    assert "Left out: it needs a GPU." in text and "lvis/segm_AP: " in text
    assert len(tables(text)) >= 6
