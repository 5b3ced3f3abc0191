#!/usr/bin/env python
"""Write one page about runs: python tools/report.py WORK_DIR... --out report.html.

A WORK_DIR is the folder of a run, or a folder of several runs, such as that of tools/sweep.py. The
others are compared with the first config. The page is one file without scripts.
"""

import argparse
import sys

try:
    from mmdet_ltnorm.report import write_html
except ImportError as error:
    sys.exit(f"{error}\n`make setup` makes an environment; `pip install -e .` adds this to yours")


def main() -> None:
    """Write, and say what was left out."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work_dirs", nargs="+", metavar="WORK_DIR")
    parser.add_argument("--out", required=True, metavar="FILE.html")
    args = parser.parse_args()
    try:
        left_out = write_html(args.work_dirs, args.out)
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    for reason in left_out:
        print(f"left out {reason}")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
