#!/usr/bin/env python
"""Tell whether two models differ: python tools/compare.py A.json B.json [--ann lvis_v1_val.json].

The files are what `tools/test.py --out FILE.json` writes, or detections in lvis-api's results
format. Both models are scored on the same resamples of the test images (paired bootstrap). The
interval tells the chance in the choice of these images. The chance in training takes several seeds:
see tools/sweep.py.
"""

import argparse
import sys

try:
    from mmdet_ltnorm.comparison import compare_files, differences_table
except ImportError as error:
    sys.exit(f"{error}\n`make setup` makes an environment; `pip install -e .` adds this to yours")


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("first", metavar="A.json")
    parser.add_argument("second", metavar="B.json")
    parser.add_argument("--ann", metavar="FILE", help="LVIS's annotations, for detections")
    parser.add_argument("--resamples", type=int, default=1000, help="default %(default)s")
    args = parser.parse_args()
    try:
        found = compare_files(args.first, args.second, args.ann, args.resamples)
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    print(f"\nA: {args.first}\nB: {args.second}\n\n{differences_table(found)}\n")
    print(f"Percent; paired bootstrap over the test images, {args.resamples} resamples.")
    print("An interval with 0 in it: on other test images there may be no difference.")


if __name__ == "__main__":
    main()
