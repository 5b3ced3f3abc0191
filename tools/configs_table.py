#!/usr/bin/env python
"""Print the table of all configs with their rows in the papers and scores, or write it to a file.

--write configs/README.md puts the table between the file's two marker comments. --check exits with
1 if the file does not have what would be written. A file that ends in .yml gets an index of the
models instead, as `mim search` reads it, and docs/papers.md gets a row for each table and figure of
the papers.
"""

import argparse
import sys
from pathlib import Path

from mmdet_ltnorm.analysis.config_table import configs_table, with_table
from mmdet_ltnorm.analysis.model_index import model_index
from mmdet_ltnorm.analysis.papers import PAPERS_BEGIN, PAPERS_END, papers_table
from mmdet_ltnorm.writing import write_text

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
        file = args.write or args.check
        if file is None:
            print(configs_table(CONFIGS))
            return
        old = file.read_text(encoding="utf-8") if args.check or file.suffix != ".yml" else ""
        if file.suffix == ".yml":
            new = model_index(CONFIGS)
        elif PAPERS_BEGIN in old:
            new = with_table(old, papers_table(CONFIGS), PAPERS_BEGIN, PAPERS_END)
        else:
            new = with_table(old, configs_table(CONFIGS))
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    if args.write:
        write_text(file, new)
    elif new != old:
        sys.exit(f"{file} is out of date: run python tools/configs_table.py --write {file}")


if __name__ == "__main__":
    main()
