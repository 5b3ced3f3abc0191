#!/usr/bin/env python
"""Make iNaturalist 2018's list files: python tools/make_inat_lists.py data/inat18.

The folder has to hold train2018.json and val2018.json, as published.
"""

import argparse
import sys
from pathlib import Path


def main() -> None:
    """Write iNaturalist18_train.txt and iNaturalist18_val.txt beside the JSON files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_root", type=Path)
    args = parser.parse_args()
    from mmdet_ltnorm.data.image_list import inat_lines
    from mmdet_ltnorm.reading import read_lines
    from mmdet_ltnorm.writing import write_text

    try:
        for split in "train", "val":
            lines = inat_lines(args.data_root / f"{split}2018.json")
            target = args.data_root / f"iNaturalist18_{split}.txt"
            if target.exists() and read_lines(target) != lines:
                raise ValueError(f"{target} holds another list: delete it, or move it away")
            write_text(target, "\n".join(lines) + "\n")
            print(f"{target}: {len(lines)} images")
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")


if __name__ == "__main__":
    main()
