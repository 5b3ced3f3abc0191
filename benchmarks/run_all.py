"""Run every benchmark at a small size and write one page: python benchmarks/run_all.py.

`make bench` calls it; it takes less than ten minutes on two idle cores. methods.py, cbn_training.py
and kill_storm.py are left out: they train for half an hour and more.
"""

import argparse
import ast
import os
import platform
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

from mmdet_ltnorm.benchmark import machine
from mmdet_ltnorm.data import make_shapes_lt

ROOT = Path(__file__).parents[1]
SHAPES = "configs/demo/cls_shapes"
BENCHMARKS = {
    "Norm layers": "benchmarks/norms.py --rounds 20 --classifier",
    "Growth of CBN's cost": "benchmarks/cost_growth.py",
    "Training steps": f"tools/benchmark.py {SHAPES}_bs.py {SHAPES}_bs_nbn.py {SHAPES}_cbn_all.py",
    "Seesaw loss": "benchmarks/seesaw.py",
    "Images for classifiers": "benchmarks/cls_pipeline.py --images 5000 --rounds 3",
    "LVIS evaluation, boxes": "benchmarks/lvis_eval.py",
    "LVIS evaluation, masks": "benchmarks/lvis_eval.py --kind segm",
    "LVIS evaluation, val's size": "benchmarks/lvis_eval.py --val",
    "Paired bootstrap": "benchmarks/comparison.py --images 500 --resamples 100",
}


def page(benchmarks: dict[str, str]) -> str:
    """Run the commands one after the other and return the page in Markdown."""
    opening = f"# Benchmarks\n\n{surroundings()}\n\n`make bench` writes this page."
    return "\n\n".join([opening, *(section(*named) for named in benchmarks.items())]) + "\n"


def surroundings() -> str:
    """Return a sentence on date, machine, versions and load."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    load = os.getloadavg()[0]
    return (
        f"{date.today()}, {os.cpu_count()} cores, {memory:.0f} GB of memory, {platform.system()}, "
        f"Python {platform.python_version()}, {machine()}; load average {load:.1f} at the start."
    )


def section(title: str, command: str) -> str:
    """Run a script, and return its title, its docstring's first line, command and output.

    Raises:
        CalledProcessError: the script failed.
    """
    print(f"{title}: python {command}", flush=True)
    script, *_ = parts = command.split()
    start = time.perf_counter()
    printed = subprocess.run(
        [sys.executable, *parts], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    seconds = time.perf_counter() - start
    first = ast.get_docstring(ast.parse((ROOT / script).read_text())).splitlines()[0]
    return f"## {title}\n\n{first}\n\n`python {command}`, {seconds:.0f} s\n\n{printed.strip()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    args = parser.parse_args()
    make_shapes_lt(ROOT / "data/shapes_lt")
    args.out.write_text(page(BENCHMARKS))
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
