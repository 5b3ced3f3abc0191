"""Checkpoints are saved whole or not at all, and the one before survives."""

import errno

import pytest
import torch
from mmengine.fileio import get_file_backend, put_text
from toy_runner import toy_runner

from mmdet_ltnorm import writing
from mmdet_ltnorm.engine.checkpoint import is_whole
from mmdet_ltnorm.engine.saving import WholeFiles


def test_every_checkpoint_of_a_run_goes_to_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    replaced = []
    replace, sync = writing.os.replace, writing.os.fsync

    def remember(what, act):
        def acted(*args):
            replaced.append((what, *args))
            return act(*args)

        return acted

    monkeypatch.setattr(writing.os, "replace", remember("replace", replace))
    monkeypatch.setattr(writing.os, "fsync", remember("fsync", sync))
    toy_runner(tmp_path).train()
    saved = [event[2].name for event in replaced if event[0] == "replace"]
    assert {"epoch_1.pth", "epoch_2.pth", "best_toy_acc_epoch_1.pth"} <= set(saved)
    for place, event in enumerate(replaced):
        assert event[0] == "fsync" or replaced[place - 1][0] == "fsync"
    assert not [file for file in tmp_path.iterdir() if file.name.startswith(".")]
    assert all(is_whole(file) for file in tmp_path.glob("*.pth"))


def test_a_checkpoint_survives_a_save_over_it_that_fails(tmp_path, monkeypatch):
    file = tmp_path / "epoch_1.pth"
    torch.save({"weight": torch.ones(9)}, file)
    before = file.read_bytes()

    def fail(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing.os, "fsync", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*epoch_1\.pth'"):
        get_file_backend(str(file)).put(b"newer", str(file))
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]


def test_mmengine_finds_the_backend_by_address_and_by_name(tmp_path):
    assert type(get_file_backend(str(tmp_path))) is WholeFiles
    assert type(get_file_backend(backend_args={"backend": "local"})) is WholeFiles
    put_text("text", str(tmp_path / "a" / "b.txt"))
    assert (tmp_path / "a" / "b.txt").read_text() == "text"
