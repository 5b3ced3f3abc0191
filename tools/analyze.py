#!/usr/bin/env python
"""Look into trained models: python tools/analyze.py features CONFIG CHECKPOINT --out DIR.

FILES are one or more pairs CONFIG CHECKPOINT: the config before a checkpoint builds its model, and
all models are drawn side by side. `magnitude` takes work directories. `classes` takes the files
that GroupAccuracy and LTLVISMetric write with per_class_file. Pictures go to DIR, and the numbers
beside them as .npz and .json.
"""

import argparse
import inspect
import sys
from pathlib import Path

try:
    from mmdet_ltnorm.analysis import commands
    from mmdet_ltnorm.results.trained import load_trained, with_labels
    from mmdet_ltnorm.writing import check_outputs
except ImportError as error:
    sys.exit(f"{error}\n`make setup` makes an environment; `pip install -e .` adds this to yours")

OF_MODELS = ("gamma", "features", "channels", "attention", "components", "confusion")
ENDS = (".png", "_all.png", ".npz", ".json")  # of what is written
OPTIONS = {
    "layer": dict(help="name of the norm layer; default the last one"),
    "tail": dict(metavar="GROUP", help="of classes; default the least frequent one"),
    "head": dict(metavar="GROUP", help="of classes; default the most frequent one"),
    "severe": dict(type=float, help="accuracy points; default %(default)s"),
    "negligible": dict(type=float, help="accuracy points; default %(default)s"),
    "rare": dict(metavar="CLASS", help="default: the one most taken for a class of the head"),
    "frequent": dict(metavar="CLASS", help="default: the one that it is taken for"),
    "images": dict(nargs="+", type=int, metavar="INDEX", help="of the test set"),
    "top": dict(type=int, help="largest weights that count; default an eighth"),
}


def parse() -> argparse.Namespace:
    """Make a subcommand of every analysis, with the options that its function takes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    subcommands = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name in (*OF_MODELS, "magnitude", "classes"):
        function = getattr(commands, name)
        own = subcommands.add_parser(name, help=function.__doc__.splitlines()[0])
        own.add_argument("files", nargs="+", metavar="FILE")
        own.add_argument("--labels", nargs="+", help="names of the models in the pictures")
        own.add_argument("--out", type=Path, required=True, help="folder to write to")
        for option, parameter in list(inspect.signature(function).parameters.items())[2:]:
            own.add_argument(f"--{option}", default=parameter.default, **OPTIONS[option])
    return parser.parse_args()


def main() -> None:
    """Load, analyse, say what came out."""
    options = vars(parse())
    name, files, labels, out = (options.pop(k) for k in ("name", "files", "labels", "out"))
    drawn = [out / f"{kind}{end}" for kind in {name, "classes"} for end in ENDS]
    try:
        check_outputs(drawn, files)
        out.mkdir(parents=True, exist_ok=True)
        if name in OF_MODELS:
            sources = load_trained(files, labels)
        else:
            sources = with_labels(labels or [Path(file).stem for file in files], files)
        print(getattr(commands, name)(sources, out, **options))
    except (OSError, TypeError, ValueError) as error:
        sys.exit(f"analyze.py {name}: {error}")
    print(f"\nSee {out}")


if __name__ == "__main__":
    main()
