"""Tell whether two models differ: ltnorm compare A.json B.json [--ann lvis_v1_val.json].

The files are what `ltnorm test --out FILE.json` writes, or detections in lvis-api's results
format. Both models are scored on the same resamples of the test images (paired bootstrap). The
interval covers the chance in the choice of these images. To see the chance in training, train
several seeds: see `ltnorm sweep`.
"""

import argparse

from ltnorm import refused_in_a_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two files."""
    parser.add_argument("first", metavar="A.json")
    parser.add_argument("second", metavar="B.json")
    parser.add_argument("--ann", metavar="FILE", help="LVIS's annotations, for detections")
    parser.add_argument("--resamples", type=int, default=1000, help="default %(default)s")


def run(args: argparse.Namespace) -> None:
    """Compare the two files and print the table."""
    from mmdet_ltnorm.comparison import compare_files, differences_table

    with refused_in_a_line(args, OSError, ValueError):
        found = compare_files(args.first, args.second, args.ann, args.resamples)
    print(f"\nA: {args.first}\nB: {args.second}\n\n{differences_table(found)}\n")
    print(f"Percent; paired bootstrap over the test images, {args.resamples} resamples.")
    print("An interval with 0 in it: on other test images there may be no difference.")
