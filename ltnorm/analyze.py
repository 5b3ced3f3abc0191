"""Look into trained models: ltnorm analyze features CONFIG CHECKPOINT --out DIR.

FILES are one or more pairs CONFIG CHECKPOINT: the config before a checkpoint builds its model, and
all models are drawn side by side. `magnitude` takes work directories. `classes` takes the files
that GroupAccuracy and LTLVISMetric write with per_class_file. Pictures go to DIR, and the numbers
beside them as .npz and .json.
"""

import argparse
from pathlib import Path

from ltnorm import refused_in_a_line
from ltnorm.run_arguments import config_file

OF_MODELS = {  # what each analysis shows, and the options that its function takes
    "gamma": ("Effective γ and β of one layer (default: the last one's) and of all", ["layer"]),
    "features": ("Mean and spread of the classifier's input, by channel and group", []),
    "channels": (
        "What masking each channel costs the tail and the head, and masking all of a kind",
        ["tail", "head", "severe", "negligible"],
    ),
    "attention": (
        "Where all channels look, and those that only a rare or only a frequent class relies on",
        ["tail", "head", "rare", "frequent", "images", "top"],
    ),
    "components": (
        "Responsibilities by class group, priors and distances of a CBN layer's components",
        ["layer"],
    ),
    "confusion": ("Confusion matrices, and each class's accuracy by its training samples", []),
}
OF_FILES = {
    "magnitude": ("NBN's g over training, from the logs of runs", []),
    "classes": ("Each class's accuracy or AP by its training data, from per_class_file", []),
}
ENDS = (".png", "_all.png", ".npz", ".json")  # endings of the files that analyses write
OPTIONS = {
    "layer": dict(help="name of the norm layer; default the last one"),
    "tail": dict(metavar="GROUP", help="group of classes; default the least frequent one"),
    "head": dict(metavar="GROUP", help="group of classes; default the most frequent one"),
    "severe": dict(
        type=float,
        default=0.5,
        help="accuracy points that are a severe loss; default %(default)s",
    ),
    "negligible": dict(
        type=float,
        default=0.25,
        help="accuracy points below which a loss is negligible; default %(default)s",
    ),
    "rare": dict(
        metavar="CLASS", help="default: the tail's class most often taken for one of the head"
    ),
    "frequent": dict(metavar="CLASS", help="default: the class that it is taken for"),
    "images": dict(
        nargs="+", type=int, metavar="INDEX", default=(), help="images of the test set to draw"
    ),
    "top": dict(type=int, help="number of largest weights that count; default an eighth"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add a subcommand for every analysis."""
    subcommands = parser.add_subparsers(dest="name", required=True, metavar="NAME")
    for name, (told, options) in {**OF_MODELS, **OF_FILES}.items():
        own = subcommands.add_parser(name, help=told)
        own.add_argument("files", nargs="+", type=config_file, metavar="FILE")
        own.add_argument("--labels", nargs="+", help="names of the models in the pictures")
        own.add_argument("--out", type=Path, required=True, help="folder to write to")
        for option in options:
            own.add_argument(f"--{option}", **OPTIONS[option])


def run(args: argparse.Namespace) -> None:
    """Load the models, analyse them, and print the findings."""
    from mmdet_ltnorm.analysis import commands
    from mmdet_ltnorm.results.trained import load_trained, with_labels
    from mmdet_ltnorm.writing import check_outputs

    name, files, labels, out = args.name, args.files, args.labels, args.out
    drawn = [out / f"{kind}{end}" for kind in {name, "classes"} for end in ENDS]
    options = {key: getattr(args, key) for key in {**OF_MODELS, **OF_FILES}[name][1]}
    args.prog = f"{args.prog} {name}"
    with refused_in_a_line(args, OSError, TypeError, ValueError):
        check_outputs(drawn, files)
        out.mkdir(parents=True, exist_ok=True)
        if name in OF_MODELS:
            sources = load_trained(files, labels)
        else:
            sources = with_labels(labels or [Path(file).stem for file in files], files)
        models = {label: [source] for label, source in sources.items()}
        print(getattr(commands, name)(models, out, **options))
    print(f"\nSee {out}")
