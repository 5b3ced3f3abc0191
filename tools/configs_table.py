#!/usr/bin/env python
"""Print the table of all configs, their rows in the papers and scores, or keep a file's up to date.

--write README.md puts it between the file's two marker comments, --check README.md exits with 1 if
what stands there is not what would be written.
"""

import argparse
import sys
from pathlib import Path

from mmdet_ltnorm.analysis.config_table import configs_table, with_table

CONFIGS = Path(__file__).resolve().parents[1] / "configs"


def main() -> None:
    """Print, write or check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--write", type=Path, metavar="FILE")
    action.add_argument("--check", type=Path, metavar="FILE")
    args = parser.parse_args()
    try:
        table = configs_table(CONFIGS)
        file = args.write or args.check
        if file is None:
            print(table)
            return
        old = file.read_text(encoding="utf-8")
        new = with_table(old, table)
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    if args.write:
        file.write_text(new, encoding="utf-8")
    elif new != old:
        sys.exit(f"{file} is out of date: run python tools/configs_table.py --write {file}")


if __name__ == "__main__":
    main()
