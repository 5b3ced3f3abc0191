"""Prepare a COCO-format data set for LVIS's scores by frequency.

    ltnorm coco-to-lvis train.json val.json --out data/own/annotations_lvis

The new files add LVIS's fields to COCO's: the number of training images of each category, whether
it is rare, common or frequent, and the categories that an image does not show.
"""

import argparse
from pathlib import Path

from ltnorm import refused_in_a_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the files and the limits of the groups."""
    parser.add_argument("train_file", type=Path, help="annotations to train with, and to count")
    parser.add_argument("other_files", type=Path, nargs="*", help="annotations to be scored on")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--limits",
        type=int,
        nargs=2,
        default=(10, 100),
        metavar=("RARE", "COMMON"),
        help="most training images of a rare and of a common category; default 10 100, LVIS's",
    )
    parser.add_argument(
        "--drop-unused", action="store_true", help="leave out categories without an object to train"
    )


def run(args: argparse.Namespace) -> None:
    """Convert, and print the categories by their number of images."""
    from mmdet_ltnorm.data.annotations import unused_words
    from mmdet_ltnorm.data.coco_to_lvis import coco_to_lvis, written_files
    from mmdet_ltnorm.lettering import literal

    files = [args.train_file, *args.other_files]
    with refused_in_a_line(args, OSError, ValueError):
        written = written_files(files, args.out)
        options = dict(limits=tuple(args.limits), drop_unused=args.drop_unused)
        categories = coco_to_lvis(args.train_file, args.other_files, args.out, **options)
    print(f"{'category':24}{'images':>8}{'instances':>11}  frequency")
    for category in sorted(categories, key=lambda each: -each["image_count"]):
        counts = f"{category['image_count']:8}{category['instance_count']:11}"
        print(f"{literal(category['name']):24}{counts}  {category['frequency']}")
    if unused := [each["name"] for each in categories if not each["instance_count"]]:
        print(f"\n{args.train_file}: {unused_words(unused)}")
    print()
    for file, target in written.items():
        print(f"{file} -> {target}")
    print(f"num_classes = {len(categories)}")
    print(f"classes = {[category['name'] for category in categories]}")
