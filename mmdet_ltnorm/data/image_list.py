"""Data sets given by a list file or by folders: ImageNet, Places-LT, iNaturalist, one's own."""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS

from mmdet_ltnorm.data.labelled import LabelledDataset


class ImageFiles(LabelledDataset):
    """A labelled data set whose images are files."""

    def prepare_data(self, idx: int) -> Any:
        """Load and transform one image; an error names it."""
        try:
            return super().prepare_data(idx)
        except Exception as error:  # OpenCV's own messages name no file
            path = self.get_data_info(idx)["img_path"]
            raise RuntimeError(f"image {path} cannot be loaded or transformed: {error}") from error


@DATASETS.register_module()
class ImageList(ImageFiles):
    """Images named in a text file, one `<path below data_root> <label>` a line.

    Classes are named by their number, unless `metainfo=dict(classes=...)` names them, which may
    be a file of names.

    Args:
        ann_file: the list; a relative name is below `data_root`.
        num_classes: labels are 0 ... num_classes - 1; a class may have no image.

    Raises:
        FileNotFoundError: the list, or the first image in it, is missing.
        ValueError: a line is not of this form, or its label is out of range.
    """

    def __init__(self, ann_file: str, num_classes: int, **kwargs: Any) -> None:
        self.num_classes = num_classes
        super().__init__(ann_file, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the list; of the images, only that the first is there is checked."""
        names = self._metainfo.setdefault("classes", tuple(map(str, range(self.num_classes))))
        if len(names) != self.num_classes:
            raise ValueError(f"{len(names)} classes are named, num_classes is {self.num_classes}")
        if not Path(self.ann_file).is_file():
            raise FileNotFoundError(f"the list {self.ann_file} does not exist")
        with open(self.ann_file, encoding="utf-8") as lines:
            infos = [self._info(line, number) for number, line in enumerate(lines, 1)]
        if not infos:
            raise ValueError(f"{self.ann_file} is empty")
        if not Path(infos[0]["img_path"]).is_file():
            raise FileNotFoundError(
                f"{infos[0]['img_path']}, the first image of {self.ann_file}, does not exist: "
                f"the paths in the list have to exist below data_root={self.data_root!r}"
            )
        return infos

    def _info(self, line: str, number: int) -> dict:
        path, _, label = line.rstrip().rpartition(" ")
        if not path or not label.isdecimal() or int(label) >= self.num_classes:
            raise ValueError(
                f"line {number} of {self.ann_file} is {line.rstrip()!r}, expected "
                f"'<path> <label>' with a label from 0 to {self.num_classes - 1}"
            )
        return {"img_path": os.path.join(self.data_root or "", path), "gt_label": int(label)}


@DATASETS.register_module()
class ImageFolder(ImageFiles):
    """Images in a folder for each class, as ImageNet is unpacked: `<data_root>/<class>/<image>`.

    Classes are numbered in the sorted order of their folders' names, as in ImageNet-LT's lists, or
    as `metainfo=dict(classes=...)` orders them, of which some may have no folder. Hidden files are
    left out.

    Raises:
        FileNotFoundError: there is no such folder, or no folder with images in it.
        ValueError: `metainfo` names the classes, and not all of the folders.
    """

    def load_data_list(self) -> list[dict]:
        """List all files of all class folders."""
        root = Path(self.data_root or "")
        if not root.is_dir():
            raise FileNotFoundError(f"the folder {root.absolute()} does not exist")
        folders = [path.name for path in sorted(root.glob("[!.]*")) if path.is_dir()]
        names = self._metainfo.setdefault("classes", tuple(folders))
        if unknown := set(folders).difference(names):
            raise ValueError(
                f"{root} has folders that metainfo's classes do not name: {sorted(unknown)}"
            )
        infos = [
            {"img_path": os.path.join(root, name, file), "gt_label": label}
            for label, name in enumerate(names)
            if name in folders
            for file in sorted(os.listdir(root / name))
            if not file.startswith(".")
        ]
        if not infos:
            raise FileNotFoundError(f"{root} has no folders with images, one for each class")
        return infos


class KnownImageList(ImageList):
    """A published list, of which the number of classes and of images are known.

    Args:
        split: which of the published lists.
        ann_file: where it is, if not below `data_root` under its published name.

    Raises:
        ValueError: the split is unknown, or the list is longer or shorter than the published one.
    """

    list_name: str
    classes: int
    totals: Mapping[str, int]

    def __init__(self, split: str = "train", ann_file: str = "", **kwargs: Any) -> None:
        if split not in self.totals:
            raise ValueError(f"split must be one of {list(self.totals)}, got {split!r}")
        self.split = split
        name = ann_file or self.list_name.format(split=split)
        super().__init__(name, num_classes=self.classes, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the list and compare its length with the published one's."""
        infos = super().load_data_list()
        expected = self.totals[self.split]
        if len(infos) != expected:
            raise ValueError(
                f"{self.ann_file} has {len(infos)} lines, the published {self.split} list of "
                f"{type(self).__name__} has {expected}. For another list use "
                f"dict(type='ImageList', num_classes={self.classes})"
            )
        return infos


@DATASETS.register_module()
class ImageNetLT(KnownImageList):
    """ImageNet-LT (Liu et al., CVPR 2019); its val split is taken from ImageNet's training set."""

    list_name = "ImageNet_LT_{split}.txt"
    classes = 1000
    totals = {"train": 115_846, "val": 20_000, "test": 50_000}


@DATASETS.register_module()
class PlacesLT(KnownImageList):
    """Places-LT (Liu et al., CVPR 2019).

    Lists are published for two layouts of the same images, `train/airfield/00004851.jpg` and
    `data_256/a/airfield/00004851.jpg`; take the one whose paths exist below `data_root`.
    """

    list_name = "Places_LT_{split}.txt"
    classes = 365
    totals = {"train": 62_500, "val": 7_300, "test": 36_500}


@DATASETS.register_module()
class INaturalist18(KnownImageList):
    """iNaturalist 2018; its val split is the test set. `tools/make_inat_lists.py` makes lists."""

    list_name = "iNaturalist18_{split}.txt"
    classes = 8142
    totals = {"train": 437_513, "val": 24_426}


def inat_lines(annotation_file: str | Path) -> list[str]:
    """The list lines of an iNaturalist JSON, train2018.json or val2018.json, in its order.

    Raises:
        ValueError: an image has no or several annotations, or an annotation no image.
    """
    content = json.loads(Path(annotation_file).read_text(encoding="utf-8"))
    paths = _by_id(((image["id"], image["file_name"]) for image in content["images"]), "images")
    labels = _by_id(
        ((note["image_id"], note["category_id"]) for note in content["annotations"]),
        "annotations",
    )
    lonely = paths.keys() ^ labels.keys()
    if lonely:
        raise ValueError(
            f"{annotation_file}: image ids {sorted(lonely)[:5]} are either without an image or "
            f"without an annotation ({len(lonely)} in all)"
        )
    return [f"{path} {labels[image_id]}" for image_id, path in paths.items()]


def _by_id(pairs: Iterable[tuple[int, Any]], what: str) -> dict[int, Any]:
    pairs = list(pairs)
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError(f"of {len(pairs)} {what}, {len(pairs) - len(result)} repeat an image id")
    return result
