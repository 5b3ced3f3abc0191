"""Small files in CIFAR's format, pickled as Python 2 did, without the package's writer."""

import io
import pickle
import struct
from pathlib import Path

import numpy as np


class Python2Pickler(pickle._Pickler):
    """Writes byte strings with Python 2's opcodes, and NumPy's old module names."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_bytes(self, obj):
        if len(obj) < 256:
            self.write(pickle.SHORT_BINSTRING + bytes([len(obj)]) + obj)
        else:
            self.write(pickle.BINSTRING + struct.pack("<i", len(obj)) + obj)
        self.memoize(obj)

    def save_str(self, obj):
        self.save_bytes(obj.encode())

    def save_global(self, obj, name=None):
        if getattr(obj, "__name__", "") == "_reconstruct":
            self.write(b"cnumpy.core.multiarray\n_reconstruct\n")
            self.memoize(obj)
        else:
            super().save_global(obj, name)

    dispatch[bytes] = save_bytes
    dispatch[str] = save_str


def python2_pickle(content):
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(content)
    return stream.getvalue()


def numbered_images(first, length):
    """Return black images whose first four red pixels hold the image's number."""
    data = np.zeros((length, 3072), np.uint8)
    numbers = np.arange(first, first + length, dtype="<u4")
    data[:, :4] = numbers.view(np.uint8).reshape(-1, 4)
    return data


def numbers_of(images):
    """Return the numbers that `numbered_images` wrote, from images with blue first."""
    return np.ascontiguousarray(images[:, 0, :4, 2]).view("<u4")[:, 0]


def write_cifar10(root, train_labels, test_labels):
    """Write the layout of cifar-10-python.tar.gz."""
    folder = Path(root, "cifar-10-batches-py")
    folder.mkdir(parents=True)
    batches = np.array_split(train_labels, 5)
    names = [f"data_batch_{number}" for number in range(1, 6)]
    first = 0
    for name, labels in zip([*names, "test_batch"], [*batches, test_labels], strict=True):
        content = {
            "batch_label": f"batch {name}",
            "labels": [int(label) for label in labels],
            "data": numbered_images(0 if name == "test_batch" else first, len(labels)),
            "filenames": [f"image_{number}.png" for number in range(len(labels))],
        }
        (folder / name).write_bytes(python2_pickle(content))
        first += len(labels)
    meta = {
        "num_cases_per_batch": len(batches[0]),
        "label_names": [f"class{number}" for number in range(10)],
        "num_vis": 3072,
    }
    (folder / "batches.meta").write_bytes(python2_pickle(meta))


def write_cifar100(root, train_labels, test_labels):
    """Write the layout of cifar-100-python.tar.gz."""
    folder = Path(root, "cifar-100-python")
    folder.mkdir(parents=True)
    for name, labels in ("train", train_labels), ("test", test_labels):
        content = {
            "filenames": [f"image_{number}.png" for number in range(len(labels))],
            "batch_label": f"{name} batch",
            "fine_labels": [int(label) for label in labels],
            "coarse_labels": [int(label) // 5 for label in labels],
            "data": numbered_images(0, len(labels)),
        }
        (folder / name).write_bytes(python2_pickle(content))
    meta = {
        "fine_label_names": [f"fine{number}" for number in range(100)],
        "coarse_label_names": [f"coarse{number}" for number in range(20)],
    }
    (folder / "meta").write_bytes(python2_pickle(meta))
