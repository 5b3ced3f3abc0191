"""Write one page about runs: ltnorm report WORK_DIR... --out report.html.

A WORK_DIR is the folder of a run, or a folder of several runs, such as that of `ltnorm sweep`. The
baseline is the first config of the first folder: a sweep's first config, else the config of the run
that was started first. The page is one file without scripts.
"""

import argparse
from functools import partial

from ltnorm import refused_in_a_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the runs and the page."""
    parser.add_argument("work_dirs", nargs="+", metavar="WORK_DIR")
    parser.add_argument("--out", required=True, metavar="FILE.html")


def run(args: argparse.Namespace) -> None:
    """Write the page and print what was left out."""
    from mmdet_ltnorm.report import write_html

    with refused_in_a_line(args, OSError, ValueError):
        left_out = write_html(args.work_dirs, args.out, partial(print, flush=True))
    for reason in left_out:
        print(f"left out {reason}")
    print(f"wrote {args.out}")
