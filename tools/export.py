#!/usr/bin/env python
"""Export a trained model to ONNX or MMDetection: python tools/export.py CONFIG CHECKPOINT OUT.

OUT.onnx: a classifier that takes raw images, checked against onnxruntime.
OUT.pth: a detector for MMDetection without this package, its config beside it as OUT.py.
"""

import argparse
import sys
from pathlib import Path

try:
    from mmdet_ltnorm.deployment import export_onnx, export_plain
except ImportError as error:
    sys.exit(f"{error}\n`make setup` makes an environment; `pip install -e .` adds this to yours")


def main() -> None:
    """Parse, export, say what was written."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config that the checkpoint was trained with")
    parser.add_argument("checkpoint", help="checkpoint file")
    parser.add_argument("out", type=Path, help="file to write, .onnx or .pth")
    args = parser.parse_args()
    if args.out.suffix not in (".onnx", ".pth"):
        parser.error(f"out must end in .onnx or .pth, got {args.out}")
    files = args.config, args.checkpoint, args.out
    try:
        if args.out.suffix == ".onnx":
            error = export_onnx(*files)
            print(f"wrote {args.out}; onnxruntime's probabilities differ by at most {error:.0e}")
        else:
            print(f"wrote {args.out} and {export_plain(*files)}: no NBN left, MMDetection's own")
    except ImportError as error:
        sys.exit(f"export.py: {error}: pip install -e '.[export]'")
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        sys.exit(f"export.py: {error}")


if __name__ == "__main__":
    main()
