"""Damaged checkpoints and other files are refused by name; runs keep two whole checkpoints."""

import ast
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmdet_ltnorm.engine.checkpoint import is_whole
from mmdet_ltnorm.results.checkpoints import CheckpointError


def load(path):
    return CheckpointLoader.load_checkpoint(str(path))


@pytest.fixture
def checkpoint(tmp_path):
    file = tmp_path / "epoch_1.pth"
    torch.save({"state_dict": {"weight": torch.randn(50, 100)}, "meta": {"epoch": 1}}, file)
    return file


def overwrite(file, start, content):
    with file.open("r+b") as opened:
        opened.seek(start)
        opened.write(content)


def test_a_saved_checkpoint_is_whole(checkpoint, toy_run):
    assert is_whole(checkpoint) and is_whole(str(toy_run / "epoch_2.pth"))


def test_zeros_in_the_middle_are_found_by_the_checksum(checkpoint):
    overwrite(checkpoint, 8192, bytes(4096))
    assert not is_whole(checkpoint)
    with pytest.raises(CheckpointError, match=r"epoch_1\.pth is damaged \(the checksum of .*/0"):
        load(checkpoint)


def test_one_flipped_bit_is_found_wherever_it_changes_what_is_loaded(checkpoint):
    whole = checkpoint.read_bytes()
    weight = load(checkpoint)["state_dict"]["weight"]
    for place in np.linspace(0, len(whole) - 1, 150).astype(int):
        overwrite(checkpoint, place, bytes([whole[place] ^ 4]))
        try:
            loaded = load(checkpoint)
        except CheckpointError:
            assert not is_whole(checkpoint)
        else:  # in what no one reads
            assert torch.equal(loaded["state_dict"]["weight"], weight)
        overwrite(checkpoint, place, whole[place : place + 1])


@pytest.mark.parametrize("length", [0, 10, 1000, -1])
def test_a_file_that_was_cut_short_is_not_whole(length, checkpoint):
    checkpoint.write_bytes(checkpoint.read_bytes()[:length])
    assert not is_whole(checkpoint)


def test_an_archive_that_unpacks_to_more_than_it_is_does_not_fill_the_memory(checkpoint):
    with zipfile.ZipFile(checkpoint, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(10_000_000))
    with pytest.raises(CheckpointError, match="damaged .its records are larger than the file"):
        load(checkpoint)


OTHERS = {
    "is a folder": lambda file: file.mkdir(),
    "is not a checkpoint: cut short, or a file": lambda file: file.write_text("not weights"),
    "is not a complete checkpoint": lambda file: file.write_bytes(b""),
    "is not a checkpoint: what it holds is of type list, expected dict": lambda file: torch.save(
        [torch.ones(1)], file
    ),
    "is a TorchScript archive": lambda file: torch.jit.script(nn.Linear(1, 1)).save(file),
    "is a zip archive of something else": lambda file: np.savez(file.open("wb"), a=np.ones(2)),
    r"state_dict\['weight'\] is of type list, expected Tensor": lambda file: torch.save(
        {"state_dict": {"weight": [1.0]}}, file
    ),
    "state_dict is of type list, expected dict": lambda file: torch.save({"state_dict": []}, file),
    r"meta\['epoch'\] is of type str, expected int": lambda file: torch.save(
        {"state_dict": {}, "meta": {"epoch": "3"}}, file
    ),
    "message_hub is of type int, expected dict": lambda file: torch.save({"message_hub": 1}, file),
}


@pytest.mark.filterwarnings("ignore:'torch.load' received a zip file:UserWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("words", OTHERS)
def test_what_is_no_checkpoint_is_told_in_words(words, tmp_path):
    file = tmp_path / "other.pth"
    OTHERS[words](file)
    with pytest.raises((CheckpointError, FileNotFoundError), match=rf"other\.pth {words}|{words}"):
        load(file)


def test_a_checkpoint_in_torchs_older_format_loads(tmp_path):
    weights = {"weight": torch.arange(3.0)}
    torch.save(weights, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert load(tmp_path / "old.pth")["weight"].tolist() == [0, 1, 2]


def test_a_checkpoint_of_mmcv_1_loads_without_its_config(tmp_path):
    meta = {"mmcv_version": "1.7.0", "config": "import os", "CLASSES": ("a", "b"), "epoch": 12}
    meta |= {"env_info": "sys.platform: linux", "seed": None, "hook_msgs": {"best_ckpt": "/home"}}
    file = tmp_path / "mmdet_2.pth"
    torch.save({"meta": meta, "state_dict": {"weight": torch.ones(1)}}, file)
    assert load(file)["meta"] == {"mmcv_version": "1.7.0", "CLASSES": ("a", "b"), "epoch": 12}


def checkpoint_options(path):
    """Yield the arguments of each ``checkpoint=dict(...)`` in a config."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "checkpoint":
            keywords = getattr(node.value, "keywords", ())
            yield {each.arg: ast.unparse(each.value) for each in keywords}


def test_every_config_keeps_two_checkpoints_and_saves_before_the_end():
    """If a run is killed while it writes a checkpoint, the one before is whole."""
    configs = list((Path(__file__).parents[1] / "configs").rglob("*.py"))
    found = [options for path in configs for options in checkpoint_options(path)]
    kept = {int(options.get("max_keep_ckpts", 3)) for options in found}
    assert len(configs) > 150 and kept and min(kept) >= 2
    assert "max_epochs" not in {options.get("interval") for options in found}
