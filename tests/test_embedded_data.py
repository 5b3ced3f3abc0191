"""Digits-LT and Shapes-LT: there without a download, the same every time."""

import hashlib
import pickle
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from mmdet_ltnorm.data import make_shapes_lt
from mmdet_ltnorm.data.digits import DigitsLT
from mmdet_ltnorm.data.imbalance import exponential_counts
from mmdet_ltnorm.data.synthetic.shapes import ShapesLT, class_looks, draw_class


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp("shapes")
    make_shapes_lt(root, train_per_class=20, test_per_class=5)
    return root


def digests(root):
    return [
        hashlib.sha256((root / "shapes-python" / name).read_bytes()).hexdigest()
        for name in ("train", "test", "meta")
    ]


def test_digits_are_split_by_their_order_and_none_is_in_both_splits():
    train, test = DigitsLT(), DigitsLT(split="test")
    assert train.class_counts == [100] * 10
    assert sum(test.class_counts) == 797 and set(test.class_counts) <= set(range(74, 84))
    assert train.images.shape == (1000, 16, 16, 3) and train.images.dtype == np.uint8
    content = load_digits()
    fives = content.images[content.target == 5]
    ours = np.concatenate([d.images[d.get_labels() == 5] for d in (train, test)])
    # Enlarged twofold, a block's mean is about the original pixel.
    blocks = ours[..., 0].reshape(-1, 8, 2, 8, 2).mean((2, 4)) * 16 / 255
    assert np.abs(blocks - fives).mean() < 1.2
    correlation = np.corrcoef(blocks.ravel(), fives.ravel())[0, 1]
    assert correlation > 0.95


def test_digits_lt_follows_the_protocol_of_cifar_lt():
    dataset = DigitsLT(imbalance_factor=50)
    assert dataset.class_counts == exponential_counts(100, 10, 50)
    assert (len(dataset), dataset.class_counts[-1]) == (276, 2)
    assert dataset.metainfo["classes"] == tuple("0123456789")


def test_shapes_lt_is_read_like_cifar(shapes):
    train = ShapesLT(data_root=str(shapes), imbalance_factor=10)
    test = ShapesLT(data_root=str(shapes), split="test")
    assert train.class_counts == exponential_counts(20, 10, 10)
    assert test.class_counts == [5] * 10 and len(set(test.metainfo["classes"])) == 10
    content = pickle.loads((shapes / "shapes-python" / "test").read_bytes(), encoding="bytes")
    assert content[b"data"].shape == (50, 3072) and len(content[b"filenames"]) == 50
    image = content[b"data"][7].reshape(3, 32, 32).transpose(1, 2, 0)
    assert (test.images[7] == image[..., ::-1]).all()


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others(shapes, tmp_path):
    sizes = dict(train_per_class=20, test_per_class=5)
    assert make_shapes_lt(tmp_path / "a", **sizes)
    assert digests(tmp_path / "a") == digests(shapes)
    assert make_shapes_lt(tmp_path / "b", **sizes, seed=1)
    assert all(a != b for a, b in zip(digests(tmp_path / "b"), digests(shapes), strict=True))


def test_no_image_is_in_both_splits_or_in_the_set_of_another_seed(shapes, tmp_path):
    make_shapes_lt(tmp_path, train_per_class=20, test_per_class=5, seed=1)
    images = [
        image.tobytes()
        for root in (shapes, tmp_path)
        for split in ("train", "test")
        for image in ShapesLT(data_root=str(root), split=split).images
    ]
    assert len(images) == len(set(images)) == 500


def test_a_larger_set_holds_the_images_of_a_smaller_one(shapes, tmp_path):
    make_shapes_lt(tmp_path, train_per_class=25, test_per_class=5)
    small, large = (
        {image.tobytes() for image in ShapesLT(data_root=str(root)).images}
        for root in (shapes, tmp_path)
    )
    assert small < large


def test_a_set_is_made_once_and_never_overwritten_by_another(shapes):
    before = digests(shapes)
    assert not make_shapes_lt(shapes, train_per_class=20, test_per_class=5)
    with pytest.raises(ValueError, match=r"shapes-python is not the Shapes-LT asked for.*delete"):
        make_shapes_lt(shapes, train_per_class=20, test_per_class=6)
    assert digests(shapes) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            "--train-per-class 0",
            "train_per_class must be between 1 and 69905 for 10 .*, got 0",
        ),
        ("--test-per-class -3", "test_per_class must be between 1 and 69905 .*, got -3"),
        ("--train-per-class 1000000000", "between 1 and 69905 for 10 classes, got 1000000000"),
        ("--seed -1", "seed must be 0 or more, got -1"),
        ("--num-classes 3", "num_classes must be between 10 and 100, got 3"),
    ],
)
def test_the_tool_refuses_numbers_that_make_no_set(tmp_path, monkeypatch, options, message):
    tool = Path(__file__).parents[1] / "tools" / "make_shapes_lt.py"
    monkeypatch.setattr(sys, "argv", [str(tool), str(tmp_path / "new"), *options.split()])
    with pytest.raises(SystemExit, match=f"^make_shapes_lt.py: .*{message}"):
        runpy.run_path(str(tool), run_name="__main__")
    assert not (tmp_path / "new").exists()


def test_a_missing_set_says_how_to_make_it(tmp_path):
    with pytest.raises(FileNotFoundError, match="python tools/make_shapes_lt.py"):
        ShapesLT(data_root=str(tmp_path))


@pytest.mark.parametrize("num_classes", [10, 37, 100])
def test_classes_share_shapes_and_textures_with_others(num_classes):
    looks = class_looks(num_classes)
    assert len(set(looks)) == num_classes
    for position in (0, 1):
        shown = [look[position] for look in looks]
        assert len(set(shown)) <= num_classes**0.5 + 1
    with pytest.raises(ValueError, match="between 10 and 100, got 101"):
        make_shapes_lt("unused", num_classes=101)


def test_images_of_a_class_differ_in_everything_but_shape_and_texture():
    rng = np.random.default_rng(0)
    images = np.stack([draw_class((0, 0), rng) for _ in range(64)]).astype(float)
    assert images.shape == (64, 32, 32, 3)
    means = images.mean((1, 2))
    assert means.std(0).min() > 20  # colours
    assert images.std(0).min() > 20  # no pixel tells the class
