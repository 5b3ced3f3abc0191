#!/usr/bin/env python
"""Draw predictions on images: python tools/predict.py CONFIG CHECKPOINT IMAGES... --out DIR.

IMAGES are files and folders. DIR gets a picture for each image, and predictions.json. If the
config's data is there, colours tell the frequency of a class: frequent or many-shot classes are
blue, common or medium ones orange, rare or few-shot ones green.
"""

import argparse
import sys

try:
    from mmdet_ltnorm.deployment import Predictor, predict_files
except ImportError as error:
    sys.exit(f"{error}\n`make setup` makes an environment; `pip install -e .` adds this to yours")


def main() -> None:
    """Parse, predict, say where the pictures are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config that the checkpoint was trained with")
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("images", nargs="+", help="image files, folders of them")
    parser.add_argument("--out", required=True, help="folder to write to")
    parser.add_argument("--score-thr", type=float, help="of detections; default 0.3")
    args = parser.parse_args()
    options = {} if args.score_thr is None else {"score_thr": args.score_thr}
    try:
        predictor = Predictor(args.config, args.checkpoint)
        if predictor.is_classifier and options:
            parser.error("--score-thr is for detectors, and this config has a classifier")
        records = predict_files(predictor, args.images, args.out, **options)
    except (OSError, ValueError) as error:
        sys.exit(f"predict.py: {error}")
    print(f"wrote {len(records)} pictures and predictions.json to {args.out}")


if __name__ == "__main__":
    main()
