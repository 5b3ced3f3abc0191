#!/usr/bin/env python
"""Print the index of all configs by paper and table, or keep what is made from configs up to date.

--write configs/README.md puts the index between the file's two marker comments, --check
configs/README.md exits with 1 if what stands there is not what would be written. docs/papers.md has
a row for each table and figure of the papers. A file that ends in .yml is an index of the models,
as `mim search` reads it.
"""

import argparse
import sys
from pathlib import Path

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
    from mmdet_ltnorm.catalog.config_table import with_table
    from mmdet_ltnorm.catalog.model_index import model_index
    from mmdet_ltnorm.catalog.papers import (
        INDEX_BEGIN,
        INDEX_END,
        PAPERS_BEGIN,
        PAPERS_END,
        configs_index,
        papers_table,
    )
    from mmdet_ltnorm.writing import write_text

    try:
        file = args.write or args.check
        if file is None:
            print(configs_index(CONFIGS))
            return
        old = file.read_text(encoding="utf-8") if args.check or file.suffix != ".yml" else ""
        if file.suffix == ".yml":
            new = model_index(CONFIGS)
        elif PAPERS_BEGIN in old:
            new = with_table(old, papers_table(CONFIGS), PAPERS_BEGIN, PAPERS_END)
        else:
            new = with_table(old, configs_index(CONFIGS), INDEX_BEGIN, INDEX_END)
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    if args.write:
        write_text(file, new)
    elif new != old:
        sys.exit(f"{file} is out of date: run python tools/configs_table.py --write {file}")


if __name__ == "__main__":
    main()
