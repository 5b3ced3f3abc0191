"""Draw predictions on images: ltnorm predict CONFIG CHECKPOINT IMAGES... --out DIR.

IMAGES are files and folders. DIR gets a picture for each image, and predictions.json. If the
config's data is there, colours tell the frequency of a class: frequent or many-shot classes are
blue, common or medium ones orange, rare or few-shot ones green.
"""

import argparse

from ltnorm import refused_in_a_line
from ltnorm.run_arguments import config_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model, the images and the folder."""
    parser.add_argument(
        "config", type=config_file, help="config that the checkpoint was trained with"
    )
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("images", nargs="+", help="image files, or folders of images")
    parser.add_argument("--out", required=True, help="folder to write to")
    parser.add_argument("--score-thr", type=float, help="lowest score to draw; default 0.3")


def run(args: argparse.Namespace) -> None:
    """Predict, and print where the pictures are."""
    from mmdet_ltnorm.deployment import Predictor, predict_files

    options = {} if args.score_thr is None else {"score_thr": args.score_thr}
    with refused_in_a_line(args, OSError, ValueError):
        predictor = Predictor(args.config, args.checkpoint)
        if predictor.is_classifier and options:
            args.error("--score-thr is for detectors, and this config has a classifier")
        records = predict_files(predictor, args.images, args.out, **options)
    pictures = "1 picture" if len(records) == 1 else f"{len(records)} pictures"
    print(f"wrote {pictures} and predictions.json to {args.out}")
