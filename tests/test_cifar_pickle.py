"""CIFAR's pickles: read from anybody without running them, written for every reader."""

import os
import pickle
import tracemalloc

import numpy as np
import pytest
from cifar_files import write_cifar10
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdet_ltnorm.data.cifar_pickle import dump_cifar_pickle, load_cifar_pickle


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("payload", "named"),
    [
        (lambda path: Calls(os.mkdir, str(path)), r"(posix|nt)\.mkdir"),
        (lambda path: Calls(eval, f"open({str(path)!r}, 'w')"), r"builtin\w*\.eval"),
        (lambda path: Calls(getattr, "", "join"), r"builtin\w*\.getattr"),
        (lambda path: np.float64(1), r"multiarray\.scalar"),
        (lambda path: {1, 2}, r"builtin\w*\.set"),
    ],
)
def test_a_pickle_that_calls_anything_is_refused_by_name_and_not_run(tmp_path, payload, named):
    for protocol in range(4):
        content = {"data": payload(tmp_path / "ran"), "labels": []}
        (tmp_path / "batch").write_bytes(pickle.dumps(content, protocol))
        with pytest.raises(ValueError, match=rf"batch is not in CIFAR's format.* for .*{named}"):
            load_cifar_pickle(tmp_path / "batch")
        assert not (tmp_path / "ran").exists()


def test_arrays_of_objects_are_refused(tmp_path):
    (tmp_path / "batch").write_bytes(pickle.dumps({"data": np.array([[], 1], object)}, 2))
    with pytest.raises(ValueError, match="an array of O8, expected u1"):
        load_cifar_pickle(tmp_path / "batch")


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1]), pickle.dumps({})[:-2]])
def test_what_is_no_pickle_of_a_dict_is_refused(tmp_path, content):
    (tmp_path / "batch").write_bytes(content)
    with pytest.raises(ValueError, match="batch is not in CIFAR's format"):
        load_cifar_pickle(tmp_path / "batch")


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_a_file_pickled_again_by_python_3_is_read_too(tmp_path, protocol):
    data = np.arange(12, dtype=np.uint8).reshape(2, 6)
    content = {b"data": data, b"labels": [1, 2], b"filenames": [b"a", b"b"]}
    for array in data, np.asfortranarray(data):
        (tmp_path / "batch").write_bytes(pickle.dumps(content | {b"data": array}, protocol))
        read = load_cifar_pickle(tmp_path / "batch")
        assert (read["data"] == data).all()
        assert (read["labels"], read["filenames"]) == ([1, 2], ["a", "b"])


def test_the_fabricated_files_are_what_every_reader_of_cifar_expects(tmp_path):
    write_cifar10(tmp_path, np.arange(200) % 10, np.arange(20) % 10)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_1"
    assert path.read_bytes().startswith(b"\x80\x02}q\x00(U\x0bbatch_label")
    content = pickle.loads(path.read_bytes(), encoding="bytes")
    assert content[b"data"].shape == (40, 3072) and content[b"labels"][:3] == [0, 1, 2]


texts = st.text(st.characters(max_codepoint=255), max_size=300)
numbers = st.integers(-(2**31), 2**31 - 1)


@settings(max_examples=30, deadline=None)
@given(content=st.dictionaries(texts, texts | numbers | st.lists(numbers) | st.lists(texts)))
def test_written_content_reads_back_with_our_reader_and_with_pickle(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("pickle") / "file"
    data = np.random.default_rng(len(content)).integers(0, 256, (3, 4, 5), np.uint8)
    dump_cifar_pickle({**content, "array": data}, file)
    plain = pickle.loads(file.read_bytes(), encoding="latin1")
    for read in load_cifar_pickle(file), plain:
        array = read.pop("array")
        assert array.dtype == np.uint8 and (array == data).all()
        assert read == {key: value for key, value in content.items() if key != "array"}


def test_only_uint8_arrays_can_be_written(tmp_path):
    with pytest.raises(TypeError, match="uint8, got float64"):
        dump_cifar_pickle({"data": np.zeros(3)}, tmp_path / "file")


def test_a_file_takes_no_more_memory_than_it_is_long(tmp_path):
    # LONG_BINPUT to the place 2**30: a table of pointers up to it would take 8.6 GB.
    (tmp_path / "batch").write_bytes(b"\x80\x02}r\x00\x00\x00\x40.")
    tracemalloc.start()
    assert load_cifar_pickle(tmp_path / "batch") == {}
    used = tracemalloc.get_traced_memory()[1]
    # BINSTRING and LONG4 of 2**31 - 1 bytes that are not there, BYTEARRAY8 of as many.
    byte_array = b"\x96\xff\xff\xff\x7f\0\0\0\0"
    for length in b"T\xff\xff\xff\x7f", b"\x8b\xff\xff\xff\x7f", byte_array:
        (tmp_path / "batch").write_bytes(b"\x80\x02" + length + b".")
        with pytest.raises(ValueError, match="batch is not in CIFAR's format"):
            load_cifar_pickle(tmp_path / "batch")
    assert max(used, tracemalloc.get_traced_memory()[1]) < 2**20
    tracemalloc.stop()
