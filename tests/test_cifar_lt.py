"""CIFAR-10/100-LT: the reference subset, index files, and errors that help."""

import json
import os
import pickle
import shutil

import numpy as np
import pytest
from cifar_files import numbers_of, python2_pickle, write_cifar10, write_cifar100
from mmengine.dataset import default_collate
from torch.utils.data import DataLoader

from mmdet_ltnorm.data.cifar_lt import CIFAR10LT, CIFAR100LT
from mmdet_ltnorm.data.imbalance import exponential_counts, step_counts, subset_indices

C10 = {
    10: [5000, 3871, 2997, 2320, 1796, 1391, 1077, 834, 645, 500],
    50: [5000, 3237, 2096, 1357, 878, 568, 368, 238, 154, 100],
    100: [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50],
    200: [5000, 2775, 1540, 854, 474, 263, 146, 81, 45, 25],
}
C100_TOTAL_AND_LAST = {10: (19573, 50), 50: (12608, 10), 100: (10847, 5), 200: (9502, 2)}
C100_GROUPS = {10: (69, 31, 0), 50: (41, 41, 18), 100: (35, 35, 30), 200: (30, 31, 39)}


@pytest.fixture(scope="module")
def full_size(tmp_path_factory):
    """Both data sets in full size, labels in a random order, images almost empty."""
    root = tmp_path_factory.mktemp("cifar")
    rng = np.random.default_rng(1)
    for write, classes in (write_cifar10, 10), (write_cifar100, 100):
        train = rng.permutation(np.arange(50_000) % classes)
        write(root, train, rng.permutation(np.arange(10_000) % classes))
        np.save(root / f"train{classes}.npy", train)
    yield root
    shutil.rmtree(root)


@pytest.fixture
def small(tmp_path):
    write_cifar10(tmp_path, np.arange(200) % 10, np.arange(20) % 10)
    return tmp_path


def protocol_of_the_reference_code(labels, counts):
    """Return the subset's indices as the reference code draws them, one shuffle for each class."""
    np.random.seed(0)
    kept = []
    for label in np.unique(labels):
        candidates = np.where(labels == label)[0]
        np.random.shuffle(candidates)
        kept += list(candidates[: counts[label]])
    return kept


@pytest.mark.parametrize("factor", C10)
def test_cifar10_lt_holds_the_reference_subset_index_for_index(full_size, factor):
    dataset = CIFAR10LT(data_root=str(full_size), imbalance_factor=factor)
    labels = np.load(full_size / "train10.npy")
    expected = protocol_of_the_reference_code(labels, C10[factor])
    assert dataset.class_counts == C10[factor]
    assert numbers_of(dataset.images).tolist() == expected
    assert dataset.get_labels().tolist() == labels[expected].tolist()


@pytest.mark.parametrize("factor", C100_TOTAL_AND_LAST)
def test_cifar100_lt_holds_the_reference_subset_index_for_index(full_size, factor):
    dataset = CIFAR100LT(data_root=str(full_size), imbalance_factor=factor)
    counts = dataset.class_counts
    assert (len(dataset), counts[-1]) == C100_TOTAL_AND_LAST[factor]
    many, few = sum(n > 100 for n in counts), sum(n < 20 for n in counts)
    assert (many, 100 - many - few, few) == C100_GROUPS[factor]
    if factor == 100:
        assert counts[:6] == [500, 477, 455, 434, 415, 396]
        assert counts[34:36] == [102, 98] and counts[68:72] == [21, 20, 19, 18]
        assert counts[-8:] == [6, 6, 6, 6, 5, 5, 5, 5]
    expected = protocol_of_the_reference_code(np.load(full_size / "train100.npy"), counts)
    assert numbers_of(dataset.images).tolist() == expected


def test_without_imbalance_all_images_stay_in_the_files_order(full_size):
    dataset = CIFAR10LT(data_root=str(full_size))
    assert dataset.class_counts == [5000] * 10
    assert numbers_of(dataset.images).tolist() == list(range(50_000))


def test_the_test_split_is_complete(full_size):
    dataset = CIFAR100LT(data_root=str(full_size), split="test", test_mode=True)
    assert dataset.class_counts == [100] * 100
    assert dataset.metainfo["classes"][99] == "fine99"


def test_the_step_profile_thins_out_the_second_half_of_the_classes(small):
    dataset = CIFAR10LT(data_root=str(small), imbalance_factor=10, profile="step")
    assert dataset.class_counts == [20] * 5 + [2] * 5
    assert step_counts(500, 5, 100) == [500, 500, 5, 5, 5]


def test_another_seed_keeps_other_images_of_the_same_number(small):
    numbers = [
        numbers_of(
            CIFAR10LT(data_root=str(small), imbalance_factor=2, subset_seed=seed).images
        ).tolist()
        for seed in (0, 1)
    ]
    assert len(numbers[0]) == len(numbers[1]) and numbers[0] != numbers[1]


def test_images_come_with_blue_first_and_are_the_readers_own(small):
    rows = np.arange(3 * 3072, dtype=np.int64).reshape(3, 3072) % 251
    content = {"labels": [0, 1, 2], "data": rows.astype(np.uint8)}
    (small / "cifar-10-batches-py" / "test_batch").write_bytes(python2_pickle(content))
    dataset = CIFAR10LT(data_root=str(small), split="test")
    info = dataset.get_data_info(2)
    assert info["img"].dtype == np.uint8 and info["img_shape"] == info["ori_shape"] == (32, 32)
    for channel, plane in enumerate(rows[2].reshape(3, 32, 32)):
        assert (info["img"][..., 2 - channel] == plane).all()
    info["img"][:] = 0
    assert dataset.get_data_info(2)["img"].any()
    assert (info["gt_label"], info["sample_idx"]) == (2, 2)


def test_the_data_set_reaches_a_worker_as_one_array_and_one_list(small):
    dataset = CIFAR10LT(data_root=str(small))
    assert len(pickle.dumps(dataset)) < 200 * 3072 + 30_000
    subset = dataset.get_subset([5, 3])
    assert subset.get_labels().tolist() == [5, 3]
    assert numbers_of(np.stack([subset.get_data_info(i)["img"] for i in (0, 1)])).tolist() == [5, 3]
    assert CIFAR10LT(data_root=str(small), indices=7).class_counts == [1] * 7 + [0] * 3
    assert dataset.get_cat_ids(13) == [3]


def test_workers_send_whole_batches(small):
    dataset = CIFAR10LT(data_root=str(small), pipeline=[dict(type="PackClsInputs")])
    loader = DataLoader(dataset, batch_size=50, num_workers=2, collate_fn=default_collate)
    batches = list(loader)
    assert [tuple(batch["inputs"].shape) for batch in batches] == [(50, 3, 32, 32)] * 4
    samples = [sample for batch in batches for sample in batch["data_samples"]]
    assert [sample.gt_label.item() for sample in samples] == dataset.get_labels().tolist()
    assert [sample.sample_idx for sample in samples] == list(range(200))


# ---- index files


def test_an_index_file_is_written_once_and_then_used(small, tmp_path):
    file = tmp_path / "made" / "index.json"
    options = dict(data_root=str(small), imbalance_factor=4, index_file=str(file))
    first = CIFAR10LT(**options)
    content = json.loads(file.read_text())
    assert content["indices"] == numbers_of(first.images).tolist()
    assert content["protocol"]["class_counts"] == first.class_counts
    before = file.stat().st_mtime_ns
    assert numbers_of(CIFAR10LT(**options).images).tolist() == content["indices"]
    assert file.stat().st_mtime_ns == before and os.listdir(file.parent) == ["index.json"]


def test_an_index_file_that_was_changed_is_refused(small, tmp_path):
    options = dict(
        data_root=str(small), imbalance_factor=4, index_file=str(tmp_path / "index.json")
    )
    CIFAR10LT(**options)
    content = json.loads((tmp_path / "index.json").read_text())
    content["indices"][0] = 199
    (tmp_path / "index.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"index.json have SHA-256 .* was changed or damaged"):
        CIFAR10LT(**options)


def test_an_index_file_of_another_subset_is_refused(small, tmp_path):
    options = dict(data_root=str(small), index_file=str(tmp_path / "index.json"))
    CIFAR10LT(**options, imbalance_factor=4)
    with pytest.raises(ValueError, match=r"'imbalance_factor': 4.* 'imbalance_factor': 2.*asked"):
        CIFAR10LT(**options, imbalance_factor=2)
    (tmp_path / "index.json").write_text("[]")
    with pytest.raises(ValueError, match="index.json is not an index file"):
        CIFAR10LT(**options, imbalance_factor=4)


# ---- errors that help


def test_missing_files_are_named_with_how_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        CIFAR10LT(data_root=str(tmp_path))
    assert str(tmp_path / "cifar-10-batches-py" / "batches.meta") in str(error.value)
    assert "cs.toronto.edu/~kriz/cifar-10-python.tar.gz and unpack it in" in str(error.value)
    assert "make demo-cls" in str(error.value)


def test_the_md5_check_tells_a_file_from_the_original(small):
    with pytest.raises(ValueError, match=r"batches.meta has MD5 \w+, the original 5ff9c542"):
        CIFAR10LT(data_root=str(small), check_md5=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"labels": [0], "data": np.zeros((1, 100), np.uint8)}, r"\(N, 3072\), got \(1, 100\)"),
        ({"labels": [0], "data": "text"}, r"\(N, 3072\), got str"),
        ({"labels": [0], "data": np.zeros((2, 3072), np.uint8)}, "2 images, got 1 labels"),
        ({"labels": [10], "data": np.zeros((1, 3072), np.uint8)}, r"0 to 9 .* among them \['10'\]"),
        (
            {"labels": [2**40], "data": np.zeros((1, 3072), np.uint8)},
            r"among them \['1099511627776'",
        ),
        ({"labels": [-1], "data": np.zeros((1, 3072), np.uint8)}, r"among them \['-1'\]"),
        ({"labels": [1.0], "data": np.zeros((1, 3072), np.uint8)}, r"whole numbers, got \[1.0\]"),
        ({"labels": 3, "data": np.zeros((1, 3072), np.uint8)}, "list of labels, .* got 3"),
        ({"labels": [[0]], "data": np.zeros((1, 3072), np.uint8)}, r"list of labels, .* got \[\[0"),
        ({"data": np.zeros((1, 3072), np.uint8)}, r"lacks \['labels'\], it has \['data'\]"),
    ],
)
def test_a_file_with_the_wrong_content_is_named(small, content, message):
    (small / "cifar-10-batches-py" / "test_batch").write_bytes(python2_pickle(content))
    with pytest.raises(ValueError, match=f"test_batch.*{message}"):
        CIFAR10LT(data_root=str(small), split="test")


@pytest.mark.parametrize("names", [7, [], [1, 2], "ab"])
def test_a_file_without_names_of_classes_is_named(small, names):
    meta = small / "cifar-10-batches-py" / "batches.meta"
    meta.write_bytes(python2_pickle({"label_names": names}))
    with pytest.raises(ValueError, match="batches.meta: expected a list of the classes' names"):
        CIFAR10LT(data_root=str(small))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(imbalance_factor=float("nan")), "at least 1, got nan"),
        (dict(imbalance_factor=float("inf")), "inf leaves the last class without .* at most 20"),
        (dict(imbalance_factor=0), "at least 1, got 0"),
        (dict(imbalance_factor=-10, profile="step"), "at least 1, got -10"),
        (dict(split="val"), 'split must be "train" or "test", got \'val\''),
        (dict(profile="linear"), r"one of \['exponential', 'step'\], got 'linear'"),
        (dict(split="test", imbalance_factor=10), "test split stays balanced, got .*=10"),
        (dict(imbalance_factor=0.1), "at least 1, got 0.1"),
        (dict(imbalance_factor=100), "100 leaves the last class without .* at most 20"),
    ],
)
def test_impossible_options_are_refused(small, options, message):
    with pytest.raises(ValueError, match=message):
        CIFAR10LT(data_root=str(small), **options)


def test_a_subset_larger_than_a_class_is_refused():
    with pytest.raises(ValueError, match="class 1 has 1 images, 2 are asked for"):
        subset_indices(np.array([0, 0, 1]), [1, 2])
    assert exponential_counts(7, 1, 5) == [7]
