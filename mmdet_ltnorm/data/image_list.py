"""Data sets given by a list file or by folders: ImageNet, Places-LT, iNaturalist, one's own."""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mmengine.registry import DATASETS

from mmdet_ltnorm.arguments import checked_flag
from mmdet_ltnorm.data.annotations import warn
from mmdet_ltnorm.data.image_files import (
    SUFFIXES,
    ImageError,
    check_whole,
    folder_content,
    has_images,
)
from mmdet_ltnorm.data.labelled import LabelledDataset
from mmdet_ltnorm.data.transforms import LoadImageFromFile
from mmdet_ltnorm.lettering import some
from mmdet_ltnorm.reading import read_json, read_lines


class ImageFiles(LabelledDataset):
    """A labelled data set whose images are files.

    Args:
        leave_out_unreadable: read every image when the data set is built, and leave out damaged
            ones, with a warning that names them. Otherwise the first one ends the run.

    Raises:
        ValueError: no image is left.
    """

    def __init__(self, *args: Any, leave_out_unreadable: bool = False, **kwargs: Any) -> None:
        self.leave_out_unreadable = checked_flag("leave_out_unreadable", leave_out_unreadable)
        super().__init__(*args, **kwargs)

    def filter_data(self) -> list[dict]:
        """Leave out images that cannot be read, if this is asked for."""
        if not self.leave_out_unreadable:
            return self.data_list
        with ThreadPoolExecutor() as pool:  # what reads images lets other threads work
            faults = list(pool.map(_reading_fault, self.data_list))
        if told := list(filter(None, faults)):
            if len(told) == len(faults):
                raise ValueError(f"no image of {self.data_root} can be read: {told[0]}")
            warn(
                f"{self.data_root}: {len(told)} of {len(faults)} images cannot be read, and are "
                "left out:\n" + "\n".join(told)
            )
        return [info for info, fault in zip(self.data_list, faults, strict=True) if not fault]

    def prepare_data(self, idx: int) -> Any:
        """Load and transform one image; an error names it."""
        try:
            return super().prepare_data(idx)
        except ImageError as error:
            raise ImageError(
                f"{error}; leave_out_unreadable=True in the data set leaves it out"
            ) from error
        except Exception as error:  # OpenCV's own messages name no file
            path = self.get_data_info(idx)["img_path"]
            raise RuntimeError(f"image {path} cannot be loaded or transformed: {error}") from error


def _reading_fault(info: Mapping[str, Any]) -> str:
    """Return the reason why an image cannot be read, if there is one."""
    try:
        check_whole(info["img_path"])
        LoadImageFromFile()(dict(info))
    except (OSError, ValueError) as error:
        return str(error)
    return ""


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
        """Read the list; check only that the first image exists."""
        names = self._metainfo.setdefault("classes", tuple(map(str, range(self.num_classes))))
        if len(names) != self.num_classes:
            raise ValueError(f"{len(names)} classes are named, num_classes is {self.num_classes}")
        if not Path(self.ann_file).is_file():
            raise FileNotFoundError(f"the list {self.ann_file} does not exist")
        lines = read_lines(self.ann_file)
        infos = [self._info(line, number) for number, line in enumerate(lines, 1)]
        if not infos:
            raise ValueError(f"{self.ann_file} is empty")
        first = infos[0]["img_path"]
        if not Path(first).is_file():
            windows = " with / in the place of Windows's \\" if "\\" in first else ""
            raise FileNotFoundError(
                f"{first}, the first image of {self.ann_file}, does not exist: the paths in the "
                f"list have to exist below data_root={self.data_root!r}{windows}"
            )
        return infos

    def _info(self, line: str, number: int) -> dict:
        path, label = [*line.strip().rsplit(maxsplit=1), "", ""][:2]  # a path may have spaces
        # No label has 19 digits; Python refuses to read one that has 5,000.
        if not (label.isdecimal() and len(label) < 19 and int(label) < self.num_classes):
            raise ValueError(
                f"line {number} of {self.ann_file} is {line!r:.200}, expected '<path> <label>' "
                f"with a label from 0 to {self.num_classes - 1}"
            )
        return {"img_path": os.path.join(self.data_root or "", path), "gt_label": int(label)}


@DATASETS.register_module()
class ImageFolder(ImageFiles):
    """Images in a folder for each class, as ImageNet is unpacked: `<data_root>/<class>/<image>`.

    Classes are numbered in the sorted order of their folders' names, as in ImageNet-LT's lists, or
    as `metainfo=dict(classes=...)` orders them, of which some may have no folder. An empty folder
    is a class without images. Hidden files and those of operating systems (Thumbs.db, __MACOSX)
    are left out; so are files that are no images by their names, with a warning.

    Raises:
        FileNotFoundError: there is no such folder, or no folder with images in it, or folders with
            images in the place of images.
        ValueError: `metainfo` names the classes, and not all of the folders; a class folder holds
            files and no image, or beside images folders of images.
    """

    def load_data_list(self) -> list[dict]:
        """List the images of all class folders."""
        root = Path(self.data_root or "")
        if not root.is_dir():
            raise FileNotFoundError(f"the folder {root.absolute()} does not exist")
        images, left_out, folders = folder_content(root)
        names = self._metainfo.setdefault("classes", tuple(folders))
        if unknown := set(folders).difference(names):
            raise ValueError(
                f"{root} has folders that metainfo's classes do not name: {sorted(unknown)}"
            )
        infos = []
        left_out = [*images, *left_out]
        for label, name in enumerate(names):
            if name in folders:
                found, others = self._class_files(root / name)
                left_out += [f"{name}/{file}" for file in others]
                infos += [
                    {"img_path": os.path.join(root, name, file), "gt_label": label}
                    for file in found
                ]
        if not infos:
            beside = f": it holds {some(images)} itself" if images else ""
            raise FileNotFoundError(
                f"{root} has no folders with images, one for each class{beside}"
            )
        if left_out:
            warn(
                f"{root}: {len(left_out)} files are in no class folder or have names of no images "
                f"({', '.join(SUFFIXES)}), and are left out: {some(left_out)}"
            )
        return infos

    @staticmethod
    def _class_files(folder: Path) -> tuple[list[str], list[str]]:
        """Return the images of a class folder and its other files."""
        images, others, folders = folder_content(folder)
        if deeper := [name for name in folders if has_images(folder / name)]:
            what = f"{folder} is taken for a class, and holds folders with images, {some(deeper)}"
            if images:
                raise ValueError(f"{what}: move these images up into it, or away from it")
            raise FileNotFoundError(f"{what}: if these are the classes, data_root must be {folder}")
        if others and not images:
            raise ValueError(
                f"{folder} is taken for a class, and none of its {len(others)} files has the name "
                f"of an image ({', '.join(SUFFIXES)}): {some(others)}; move the folder elsewhere, "
                "or save the images in one of these formats"
            )
        return images, others


class KnownImageList(ImageList):
    """A published list with a known number of classes and images.

    Args:
        split: which of the published lists.
        ann_file: the list, if it is not below `data_root` under its published name.

    Raises:
        ValueError: the split is unknown, or the list is longer or shorter than the published one.
    """

    list_name: str
    classes: int
    totals: Mapping[str, int]
    how_to_get: str

    @classmethod
    def missing_file(cls, cfg: Mapping[str, Any]) -> str | None:
        """Return that the list of a data set's config is missing, and how to get the data."""
        name = cfg.get("ann_file") or cls.list_name.format(split=cfg.get("split", "train"))
        path = Path(cfg.get("data_root") or "", name)
        if path.is_file():
            return None
        return f"{path.absolute()} does not exist.\n\n{cls.how_to_get.format(root=path.parent)}"

    def __init__(self, split: str = "train", ann_file: str = "", **kwargs: Any) -> None:
        if split not in self.totals:
            raise ValueError(f"split must be one of {list(self.totals)}, got {split!r}")
        self.split = split
        name = ann_file or self.list_name.format(split=split)
        if missing := self.missing_file({**kwargs, "ann_file": name}):
            raise FileNotFoundError(missing)
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


_LISTS = "https://github.com/facebookresearch/classifier-balancing/tree/main/data"
_WITHOUT = (
    "`make demo-cls` needs none of it: it trains on data that is made or comes with scikit-learn."
)


@DATASETS.register_module()
class ImageNetLT(KnownImageList):
    """ImageNet-LT (Liu et al., CVPR 2019); its val split is taken from ImageNet's training set."""

    list_name = "ImageNet_LT_{split}.txt"
    classes = 1000
    totals = {"train": 115_846, "val": 20_000, "test": 50_000}
    how_to_get = f"""\
ImageNet-LT is three lists and the images of ImageNet (ILSVRC 2012):
  ImageNet_LT_train.txt, _val.txt, _test.txt   {_LISTS}/ImageNet_LT
  training and validation images               https://image-net.org/download.php
put (or linked) as
  {{root}}/ImageNet_LT_train.txt, ImageNet_LT_val.txt, ImageNet_LT_test.txt
  {{root}}/train/<class>/*.JPEG, val/<class>/*.JPEG   (both in folders of their classes)
{_WITHOUT}"""


@DATASETS.register_module()
class PlacesLT(KnownImageList):
    """Places-LT (Liu et al., CVPR 2019).

    Lists are published for two layouts of the same images, `train/airfield/00004851.jpg` and
    `data_256/a/airfield/00004851.jpg`; take the one whose paths exist below `data_root`.
    """

    list_name = "Places_LT_{split}.txt"
    classes = 365
    totals = {"train": 62_500, "val": 7_300, "test": 36_500}
    how_to_get = f"""\
Places-LT is three lists and images of Places365-Standard:
  Places_LT_train.txt, _val.txt, _test.txt   {_LISTS}/Places_LT
  images, the small ones (256 x 256) will do  http://places2.csail.mit.edu/download.html
put (or linked) as
  {{root}}/Places_LT_train.txt, Places_LT_val.txt, Places_LT_test.txt
  {{root}}/ and below it the images, where the lists say: train/airfield/00004851.jpg
{_WITHOUT}"""


@DATASETS.register_module()
class INaturalist18(KnownImageList):
    """iNaturalist 2018; its val split is the test set. `tools/make_inat_lists.py` makes lists."""

    list_name = "iNaturalist18_{split}.txt"
    classes = 8142
    totals = {"train": 437_513, "val": 24_426}
    how_to_get = f"""\
iNaturalist 2018 is two annotation files and the images, from
  https://github.com/visipedia/inat_comp/tree/master/2018
put (or linked) as
  {{root}}/train2018.json, val2018.json
  {{root}}/train_val2018/<kingdom>/<class>/*.jpg
and then `python tools/make_inat_lists.py {{root}}` makes the lists.
{_WITHOUT}"""


def inat_lines(annotation_file: str | Path) -> list[str]:
    """Return the list lines of iNaturalist's train2018.json or val2018.json, in its order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is of another kind, an image has no or several annotations, an
            annotation no image or a category that iNaturalist 2018 has not.
    """
    content = read_json(annotation_file)
    paths = _by_id(annotation_file, content, "images", "id", "file_name")
    labels = _by_id(annotation_file, content, "annotations", "image_id", "category_id")
    for image_id, path in paths.items():
        label = labels.get(image_id)
        if label is None:
            raise ValueError(f"{annotation_file}: image id {image_id} is without an annotation")
        if not isinstance(path, str) or path.strip().splitlines() != [path]:
            raise ValueError(
                f"{annotation_file}: image {image_id} has the file_name {path!r:.100}, expected a "
                "path in one line"
            )
        if type(label) is not int or not 0 <= label < INaturalist18.classes:
            raise ValueError(
                f"{annotation_file}: the annotation of image {image_id} has the category_id "
                f"{label!r:.50}, expected a number from 0 to {INaturalist18.classes - 1}"
            )
    if lonely := labels.keys() - paths.keys():
        raise ValueError(
            f"{annotation_file}: {len(lonely)} annotations are of image ids that no image has: "
            + some(map(str, sorted(lonely)))
        )
    return [f"{path} {labels[image_id]}" for image_id, path in paths.items()]


def _by_id(file: str | Path, content: Any, what: str, key: str, value: str) -> dict[int, Any]:
    entries = content.get(what) if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{file} has no list of {what}, which iNaturalist's files have")
    found: dict[int, Any] = {}
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or type(entry.get(key)) is not int or value not in entry:
            raise ValueError(
                f"{file}: {what}[{number}] must have {key}, a whole number, and {value}, got "
                f"{entry!r:.100}"
            )
        found[entry[key]] = entry[value]
    if len(found) != len(entries):
        repeats = len(entries) - len(found)
        raise ValueError(f"{file}: of {len(entries)} {what}, {repeats} repeat an image id")
    return found
