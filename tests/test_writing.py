"""Files that runs and tools write are whole or not there, and an older one survives a failure."""

import ast
import errno
import json
import math
import os
import resource
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from mmdet_ltnorm import writing
from mmdet_ltnorm.data.cifar_pickle import dump_cifar_pickle
from mmdet_ltnorm.data.index_file import write_index_file
from mmdet_ltnorm.evaluation.lvis_report import write_classes
from mmdet_ltnorm.evaluation.lvis_results import write_lvis_results
from mmdet_ltnorm.results.pictures import picture, save_numbers
from mmdet_ltnorm.sweep import plot_sweeps, write_report
from mmdet_ltnorm.writing import replacing, write_json, write_text

ROOT = Path(__file__).parents[1]
RESULTS = {name: {seed: {"accuracy/all": 1.0 + seed} for seed in (0, 1)} for name in "ab"}


@contextmanager
def full_disk():
    """Let no file grow beyond 16 bytes, as the kernel does when a quota is used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def draw(folder):
    with picture(folder / "picture.png", 1) as figure:
        figure.subplots().plot([0, 1])


WRITERS = {
    "text": lambda folder: write_text(folder / "page.html", "x" * 100),
    "json": lambda folder: write_json(folder / "x.json", list(range(100))),
    "picture": draw,
    "arrays": lambda folder: save_numbers({"model": {"a": np.ones(9)}}, folder / "gamma"),
    "numbers": lambda folder: save_numbers({"model": {"b": 0.123456789}}, folder / "gamma"),
    "sweep": lambda folder: write_report(RESULTS, ["accuracy/all"], folder),
    "means": lambda folder: plot_sweeps({"": RESULTS}, ["accuracy/all"], folder / "means.png"),
    "classes, JSON": lambda folder: write_classes([{"name": "a" * 99}], folder / "c.json"),
    "classes, CSV": lambda folder: write_classes([{"name": "a" * 99}], folder / "c.csv"),
    "indices": lambda folder: write_index_file(folder / "index.json", np.arange(99), {}),
    "CIFAR": lambda folder: dump_cifar_pickle({"data": np.zeros(99, np.uint8)}, folder / "train"),
}


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_the_older_file_survives_a_full_disk_and_nothing_else_is_left(write, tmp_path):
    write(tmp_path)
    before = files(tmp_path)
    assert before
    with full_disk(), pytest.raises(OSError, match=f"'{tmp_path}/"):
        write(tmp_path)
    assert files(tmp_path) == before


def test_detections_are_written_whole_or_not_at_all(tmp_path):
    file = tmp_path / "results.json"
    file.write_text("older")
    with pytest.raises(AttributeError):  # an image that has no detections' fields fails half-way
        write_lvis_results([None], np.array([1]), file)
    assert files(tmp_path) == {"results.json": b"older"}


def test_a_disk_that_is_found_full_when_it_is_flushed_is_told_with_the_files_name(
    tmp_path, monkeypatch
):
    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    write_text(tmp_path / "page.html", "older")
    monkeypatch.setattr(writing.os, "fsync", fail)
    with pytest.raises(OSError, match="No space left on device: .*page.html") as caught:
        write_text(tmp_path / "page.html", "newer")
    assert caught.value.errno == errno.ENOSPC
    assert files(tmp_path) == {"page.html": b"older"}


def test_missing_folders_are_made_and_a_file_in_a_folders_place_is_named(tmp_path):
    write_text(tmp_path / "a" / "b" / "page.html", "text")
    assert (tmp_path / "a" / "b" / "page.html").read_text() == "text"
    with pytest.raises(OSError, match="page.html"):
        write_text(tmp_path / "a" / "b" / "page.html" / "page.html", "text")
    with pytest.raises(IsADirectoryError, match="/a'"):
        write_text(tmp_path / "a", "text")


def test_a_link_stays_one_and_a_new_file_has_the_rights_that_others_get(tmp_path):
    target = tmp_path / "elsewhere.txt"
    target.write_text("older")
    target.chmod(0o640)
    (tmp_path / "link.txt").symlink_to(target)
    write_text(tmp_path / "link.txt", "newer")
    assert (tmp_path / "link.txt").is_symlink() and target.read_text() == "newer"
    assert target.stat().st_mode & 0o777 == 0o640
    write_text(tmp_path / "new.txt", "new")
    (tmp_path / "plain.txt").write_text("plain")
    assert (tmp_path / "new.txt").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_a_device_is_written_to_directly():
    write_text(os.devnull, "text")
    assert Path(os.devnull).is_char_device()


def test_a_failure_of_the_writer_itself_passes_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"), replacing(tmp_path / "a"):
        (tmp_path / "nowhere").read_bytes()
    assert files(tmp_path) == {}


def test_json_has_null_where_a_number_is_not_finite(tmp_path):
    write_json(tmp_path / "x.json", {"a": [1.5, math.nan, (math.inf, "NaN")]})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [1.5, None, [None, "NaN"]]}


def test_a_name_that_is_no_unicode_can_be_written(tmp_path):
    write_text(tmp_path / "x.html", "run\udcff <b>")
    assert (tmp_path / "x.html").read_text() == "run\\udcff <b>"


SOURCES = [
    path
    for folder in ("mmdet_ltnorm", "ltnorm", "tools")
    for path in ROOT.glob(f"{folder}/**/*.py")
]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.name)
def test_the_package_writes_files_by_this_module_only(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr == "savefig":
                assert ast.unparse(node.args[0]) == "partial", f"{path}:{node.lineno}"
            assert ast.unparse(node.func) != "json.dump", f"{path}:{node.lineno}"
            assert node.func.attr not in ("write_text", "write_bytes"), f"{path}:{node.lineno}"
