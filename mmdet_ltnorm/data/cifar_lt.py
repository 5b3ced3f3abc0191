"""CIFAR-10/100, balanced and long-tailed, and other sets in CIFAR's file format."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmengine.registry import DATASETS

from mmdet_ltnorm.data.cifar_pickle import load_cifar_pickle
from mmdet_ltnorm.data.labelled import LongTailedArrays


class CIFARLayout(NamedTuple):
    """The paths of a set of this format below its data root."""

    folder: str
    splits: Mapping[str, tuple[str, ...]]
    labels: str
    meta: str
    names: str
    how_to_get: str
    md5: Mapping[str, str]


class CIFARFormat(LongTailedArrays):
    """A data set in CIFAR's file format; a subclass gives its `layout`.

    Args:
        data_root: the folder that the data set's archive was unpacked in.
        check_md5: compare the files with the originals'.

    Raises:
        FileNotFoundError: a file is missing; says which, and how to get it.
        ValueError: a file has other content than expected.
    """

    layout: CIFARLayout

    def __init__(self, *args: Any, check_md5: bool = False, **kwargs: Any) -> None:
        self.check_md5 = check_md5
        super().__init__(*args, **kwargs)

    @classmethod
    def missing_file(cls, cfg: Mapping[str, Any]) -> str | None:
        """Return which file of a data set's config is missing, and how to get the data."""
        root = cfg.get("data_root") or ""
        layout = cls.layout
        for name in (layout.meta, *layout.splits.get(cfg.get("split", "train"), ())):
            path = Path(root, layout.folder, name)
            if not path.is_file():
                return f"{path.absolute()} does not exist. {layout.how_to_get.format(root=root)}"
        return None

    def load_arrays(self) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
        """Read the split's files."""
        if missing := self.missing_file({"data_root": self.data_root, "split": self.split}):
            raise FileNotFoundError(missing)
        layout = self.layout
        names = _names(*self._load(layout.meta, layout.names), self._path(layout.meta))
        images, labels = [], []
        for name in layout.splits[self.split]:
            data, numbers = self._load(name, "data", layout.labels)
            images.append(_images(data, self._path(name)))
            labels.append(_labels(numbers, len(data), len(names), self._path(name)))
        return np.concatenate(images), np.concatenate(labels), names

    def _path(self, name: str) -> Path:
        return Path(self.data_root or "", self.layout.folder, name)

    def _load(self, name: str, *keys: str) -> list:
        path = self._path(name)
        if self.check_md5:
            digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
            original = self.layout.md5.get(name, "is unknown")
            if digest != original:
                raise ValueError(
                    f"{path} has MD5 {digest}, the original {original}: "
                    "get it again, or set check_md5=False"
                )
        content = load_cifar_pickle(path)
        missing = [key for key in keys if key not in content]
        if missing:
            raise ValueError(f"{path} lacks {missing}, it has {sorted(content)}")
        return [content[key] for key in keys]


def _images(data: Any, path: Path) -> np.ndarray:
    """Turn rows of 3 x 32 x 32 values, red first, into images with blue first."""
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != 3 * 32 * 32:
        got = getattr(data, "shape", type(data).__name__)
        raise ValueError(f"{path}: expected data of shape (N, 3072), got {got}")
    return np.ascontiguousarray(data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)[..., ::-1])


def _names(names: Any, path: Path) -> tuple[str, ...]:
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise ValueError(f"{path}: expected a list of the classes' names, got {names!r:.100}")
    return tuple(names)


def _labels(numbers: Any, length: int, num_classes: int, path: Path) -> np.ndarray:
    if isinstance(numbers, np.ndarray):  # bytes, of which load_cifar_pickle makes them
        numbers = numbers.ravel().tolist()
    if not isinstance(numbers, list) or not all(isinstance(n, int) for n in numbers):
        raise ValueError(f"{path}: expected a list of labels, whole numbers, got {numbers!r:.100}")
    unknown = sorted({number for number in numbers if not 0 <= number < num_classes})
    if len(numbers) != length or unknown:
        listed = [str(number) if abs(number) < 2**64 else "huge" for number in unknown[:5]]
        raise ValueError(
            f"{path}: expected a label from 0 to {num_classes - 1} for each of {length} images, "
            f"got {len(numbers)} labels, among them {listed or 'no others'}"
        )
    return np.array(numbers, np.int64)


_HOW_TO_GET = (
    "Download https://www.cs.toronto.edu/~kriz/{archive} and unpack it in {{root}}. "
    "DigitsLT needs no download and ShapesLT none either: `make demo-cls` uses these."
)


@DATASETS.register_module()
class CIFAR10LT(CIFARFormat):
    """CIFAR-10 (Krizhevsky 2009), its training split long-tailed if `imbalance_factor` > 1."""

    layout = CIFARLayout(
        folder="cifar-10-batches-py",
        splits={
            "train": tuple(f"data_batch_{number}" for number in range(1, 6)),
            "test": ("test_batch",),
        },
        labels="labels",
        meta="batches.meta",
        names="label_names",
        how_to_get=_HOW_TO_GET.format(archive="cifar-10-python.tar.gz"),
        md5={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
    )


@DATASETS.register_module()
class CIFAR100LT(CIFARFormat):
    """CIFAR-100 with its fine labels, its training split long-tailed if `imbalance_factor` > 1."""

    layout = CIFARLayout(
        folder="cifar-100-python",
        splits={"train": ("train",), "test": ("test",)},
        labels="fine_labels",
        meta="meta",
        names="fine_label_names",
        how_to_get=_HOW_TO_GET.format(archive="cifar-100-python.tar.gz"),
        md5={
            "train": "16019d7e3df5f24257cddd939b257f8d",
            "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
            "meta": "7973b15100ade9c7d40fb424638fde48",
        },
    )
