"""Export a trained model to ONNX or MMDetection: ltnorm export CONFIG CHECKPOINT OUT.

OUT.onnx: a classifier, or a Faster or Mask R-CNN, that takes raw images, checked by onnxruntime.
OUT.pth: a detector for MMDetection without this package, its config beside it as OUT.py.
"""

import argparse
import sys
from pathlib import Path

from ltnorm import refused_in_a_line
from ltnorm.run_arguments import config_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the model and the file."""
    parser.add_argument(
        "config", type=config_file, help="config that the checkpoint was trained with"
    )
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("out", type=Path, help="file to write, .onnx or .pth")


def run(args: argparse.Namespace) -> None:
    """Export the model and print which files were written."""
    from mmdet_ltnorm.deployment import export_onnx, export_plain

    if args.out.suffix not in (".onnx", ".pth"):
        args.error(f"out must end in .onnx or .pth, got {args.out}")
    files = args.config, args.checkpoint, args.out
    try:
        with refused_in_a_line(args, OSError, RuntimeError, TypeError, ValueError):
            if args.out.suffix == ".onnx":
                error = export_onnx(*files)
                told = f"onnxruntime's answers differ by at most {error:.0e}"
                print(f"wrote {args.out}; {told}")
            else:
                print(
                    f"wrote {args.out} and {export_plain(*files)}: no NBN left, MMDetection's own"
                )
    except ImportError as error:
        sys.exit(f"{args.prog}: {error}: pip install onnx onnxruntime")
