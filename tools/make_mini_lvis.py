"""Write mini-LVIS, a procedural miniature in the file format and layout of LVIS v1."""

import argparse
import sys
from pathlib import Path


def main() -> None:
    """Parse, make, say what there is."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("out_dir", type=Path, help="the data_root of configs")
    parser.add_argument("--num-train", type=int, default=600, help="training images")
    parser.add_argument("--num-val", type=int, default=120, help="validation images")
    parser.add_argument("--num-categories", type=int, default=24, help="categories that occur")
    parser.add_argument("--image-size", type=int, default=128, help="pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--lvis-categories", action="store_true", help="declare LVIS v1's 1203 categories"
    )
    parser.add_argument("--preview", type=Path, metavar="FILE", help="a picture of some images")
    args = vars(parser.parse_args())
    out_dir, preview = args.pop("out_dir"), args.pop("preview")
    from mmdet_ltnorm.data import draw_contact_sheet, make_mini_lvis

    if args.pop("lvis_categories"):
        from mmdet.datasets import LVISV1Dataset

        args["category_names"] = LVISV1Dataset.METAINFO["classes"]
    try:
        if preview and out_dir.resolve() in preview.resolve().parents:
            raise ValueError(f"{preview} is inside of the data set: draw the picture elsewhere")
        new = make_mini_lvis(out_dir, **args, progress=True)
        print(f"{'wrote' if new else 'found it in'} {out_dir}")
        for split in "train", "val":
            print_groups(out_dir / "annotations" / f"lvis_v1_{split}.json")
        if preview:
            draw_contact_sheet(out_dir, preview)
            print(f"drew {preview}")
    except (OSError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")


def print_groups(file: Path) -> None:
    """Print how many categories, images and instances each frequency group has."""
    from mmdet_ltnorm.reading import read_json

    content = read_json(file)
    frequency = {category["id"]: category["frequency"] for category in content["categories"]}
    print(f"{file.name}: {len(content['images'])} images")
    print(f"  {'':10}categories    images  instances")
    for group, name in ("f", "frequent"), ("c", "common"), ("r", "rare"):
        found = [a for a in content["annotations"] if frequency[a["category_id"]] == group]
        categories = len({annotation["category_id"] for annotation in found})
        images = len({annotation["image_id"] for annotation in found})
        print(f"  {name:10}{categories:10}{images:10}{len(found):11}")


if __name__ == "__main__":
    main()
