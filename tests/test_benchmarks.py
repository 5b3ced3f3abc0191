"""The scripts in benchmarks/, and the page of their results."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
from markdown_tables import tables

from mmdet_ltnorm.benchmark import machine

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """Import a script of benchmarks/ as when it is run."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module
    for name in [path.stem for path in BENCHMARKS.glob("*.py")]:
        sys.modules.pop(name, None)


TINY = """'Counts its arguments.'
import sys
print("| arguments |\\n|---|\\n|", len(sys.argv) - 1, "|")
"""


def test_the_page_says_where_it_was_measured_and_how(script, tmp_path):
    (tmp_path / "tiny.py").write_text(TINY)
    command = f"{tmp_path}/tiny.py --rounds 2"
    page = script("run_all").page({"A loss": command})
    assert machine() in page and "load average" in page
    assert "## A loss\n\nCounts its arguments.\n\n" in page and f"`python {command}`" in page
    assert tables(page) == [[["arguments"], ["2"]]]


def test_the_page_runs_scripts_that_exist(script):
    run_all = script("run_all")
    commands = [command.split() for command in run_all.BENCHMARKS.values()]
    files = [part for command in commands for part in command if part.endswith(".py")]
    assert all((run_all.ROOT / file).is_file() for file in files)
    left_out = {"methods", "cbn_training", "kill_storm", "run_all", "training_steps"}
    left_out |= {"gpu_check", "step_ways"}
    left_out |= {"cifar_lt", "cifar_lt_experiments", "cifar_lt_results", "paired_training"}
    run = {Path(command[0]).stem for command in commands if command[0].startswith("benchmarks/")}
    assert run | left_out == {path.stem for path in BENCHMARKS.glob("*.py")}


def test_a_line_is_fitted_by_relative_errors(script):
    line = script("cost_growth").line
    coefficients, off = line([1, 2, 4], [3, 5, 9])
    assert coefficients == pytest.approx([2, 1]) and off == pytest.approx(0, abs=1e-9)
    x, y = np.array([1.0, 10, 100]), np.array([2.0, 30, 200])
    expected = np.linalg.lstsq(np.stack([x / y, 1 / y], 1), np.ones(3), rcond=None)[0]
    coefficients, off = line(x, y)
    assert coefficients == pytest.approx(expected)
    assert off == pytest.approx(max(abs((expected[0] * x + expected[1]) / y - 1)))


def test_the_power_tells_linear_growth_from_others(script):
    power = script("cost_growth").power
    sizes = np.array([32, 64, 256])
    assert power(sizes, 3 * sizes) == pytest.approx(1)
    assert power(sizes, 0.1 * sizes**2) == pytest.approx(2)
    assert power(sizes, [7, 7, 7]) == pytest.approx(0)


def test_growth_is_measured_in_pairs_and_drawn(script, tmp_path):
    growth = script("cost_growth")
    found = {name: growth.measure(name, [1, 2], 1, 2) for name in ("components",)}
    found["pixels"] = growth.measure("pixels", [256, 512], 2, 2)
    assert found["pixels"].sizes == [512, 1024] and found["components"].sizes == [1, 2]
    row = growth.row(
        "pixels", growth.Growth([1, 2], [[1.0, 1.0], [2.0, 2.0]], [[2.0] * 2, [4.0] * 2])
    )
    assert row == ["pixels, 1 to 2", "0 %", "1.00", "1.00", "", "2.00 [2.00, 2.00]"] + row[-1:]
    growth.draw(found, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 10_000


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "number"),
    [
        ("benchmarks/norms.py --rounds 2 --layers NBN", 1),
        ("benchmarks/seesaw.py --rois 8 --classes 5 --rounds 2", 1),
        ("benchmarks/cls_pipeline.py --images 600 --rounds 2", 2),
        ("benchmarks/lvis_eval.py --images 20 --classes 30", 1),
        ("benchmarks/lvis_eval.py --images 20 --classes 30 --kind segm", 1),
        ("benchmarks/comparison.py --images 20 --classes 30 --resamples 100", 1),
    ],
)
def test_a_script_prints_tables_that_markdown_reads(command, number, script):
    printed = script("run_all").section("", command)
    assert len(tables(printed)) == number
