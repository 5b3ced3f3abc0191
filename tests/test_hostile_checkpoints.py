"""Hostile checkpoints run nothing and delete nothing, in threads and when runs resume from them."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hostile_files import FORMATS, PARTS, in_checkpoint, payloads, write_legacy, write_zip
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader
from toy_runner import toy_runner

from mmdet_ltnorm.engine.loading import CheckCheckpointHook
from mmdet_ltnorm.results.checkpoints import CheckpointError


def load(path):
    return CheckpointLoader.load_checkpoint(str(path), logger=None)


def hub_of(path):
    return torch.load(path, weights_only=False)["message_hub"]["runtime_info"]


@pytest.mark.parametrize("write", FORMATS)
def test_no_format_part_or_call_runs_anything(write, tmp_path):
    sign, file = tmp_path / "it_ran", tmp_path / "hostile.pth"
    for number, payload in enumerate(payloads(sign).values()):
        write(in_checkpoint(payload, PARTS[number % len(PARTS)]), file)
        with pytest.raises(CheckpointError, match=r"hostile\.pth"):
            load(file)
        assert not sign.exists()


@pytest.mark.parametrize("name", payloads(Path("sign")))
def test_the_files_would_run_without_the_guard(name, tmp_path):
    sign, file = tmp_path / "it_ran", tmp_path / "hostile.pth"
    write_zip(payloads(sign)[name], file)
    with suppress(AttributeError, TypeError):  # after the call, at what it returned
        torch.load(file, weights_only=False)
    assert sign.exists()


class Own:
    """A class that a user's program has marked as safe for torch.load."""


def test_loads_in_threads_run_nothing_and_keep_the_programs_own_safe_globals(
    toy_run, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    sign = tmp_path / "it_ran"
    hostile = in_checkpoint(payloads(sign)["os.system"], "extra")
    write_zip(hostile, tmp_path / "hostile.pth")
    write_legacy(hostile, tmp_path / "checkpoints" / "downloaded.pth")
    good = toy_run / "epoch_2.pth"
    expected = load(good)["state_dict"]
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([Own])
    barrier = threading.Barrier(4)

    addresses = [good, tmp_path / "hostile.pth", good, "https://example.org/downloaded.pth"]

    def loads(address):
        barrier.wait()
        outcomes = set()
        for _ in range(25):
            try:
                found = load(address)["state_dict"]
                outcomes.add(all(torch.equal(found[name], expected[name]) for name in expected))
            except CheckpointError as error:
                outcomes.add("system" in str(error))
        return outcomes

    try:
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(loads, addresses)) == [{True}] * 4
        assert set(torch.serialization.get_safe_globals()) == {*before, Own}
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
    assert not sign.exists()


def test_a_safe_global_that_another_thread_adds_during_a_load_stays(tmp_path):
    torch.save({"x": torch.ones(1)}, tmp_path / "a.pth")

    def location(storage, place):
        torch.serialization.add_safe_globals([Own])
        return storage

    before = torch.serialization.get_safe_globals()
    try:
        CheckpointLoader.load_checkpoint(str(tmp_path / "a.pth"), map_location=location)
        assert set(torch.serialization.get_safe_globals()) == {*before, Own}
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def test_a_file_cannot_change_the_statistics_of_log_histories(tmp_path):
    history = HistoryBuffer([1.0, 3.0], [1, 1])
    history.__dict__["_statistics_methods"] = {"mean": HistoryBuffer.max}
    write_zip({"message_hub": {"log_scalars": {"train/loss": history}}}, tmp_path / "a.pth")
    loaded = load(tmp_path / "a.pth")["message_hub"]["log_scalars"]["train/loss"]
    assert type(loaded) is HistoryBuffer
    assert loaded.statistics("mean") == HistoryBuffer([1.0, 3.0], [1, 1]).statistics("mean") == 2


HOSTILE_INFO = {
    "cfg": "import os; os.system('touch it_ran')",
    "best_score": 0.1,
    "experiment_name": "x" * 99,
    "loop_stage": ["train"],
}


def hostile_resume(toy_run, tmp_path, best):
    """Resume a run from a checkpoint whose message hub is hostile; return its last checkpoint."""
    content = torch.load(toy_run / "epoch_1.pth", weights_only=False)
    content["message_hub"]["runtime_info"] |= {**HOSTILE_INFO, "best_ckpt": str(best)}
    content["meta"] |= {"cfg": HOSTILE_INFO["cfg"], "config": HOSTILE_INFO["cfg"]}
    torch.save(content, tmp_path / "start.pth")
    work_dir = tmp_path / "run"
    runner = toy_runner(work_dir, load_from=str(tmp_path / "start.pth"), resume=True)
    runner.register_hook(CheckCheckpointHook())
    runner.train()
    return work_dir / "epoch_2.pth"


def test_texts_of_a_resumed_checkpoint_do_not_get_into_the_next_one(toy_run, tmp_path):
    file = hostile_resume(toy_run, tmp_path, tmp_path)
    info = hub_of(file)
    assert "os.system" not in info["cfg"] and info["experiment_name"].startswith("toy-")
    assert b"it_ran" not in file.read_bytes()


def test_resuming_deletes_nothing_outside_of_the_work_directory(toy_run, tmp_path):
    victim = tmp_path / "best_holiday.pth"  # a folder, called as a checkpoint would be
    victim.mkdir()
    (victim / "picture").touch()
    hub = hub_of(hostile_resume(toy_run, tmp_path, victim))
    assert (victim / "picture").exists()
    assert hub["best_ckpt"].startswith(str(tmp_path / "run"))


def test_even_without_our_checks_a_best_checkpoint_is_only_its_files_name(tmp_path):
    for best, kept in (
        ("/home/user/best_acc_epoch_3.pth", "best_acc_epoch_3.pth"),
        (r"C:\runs\best_acc_epoch_3.pth", "best_acc_epoch_3.pth"),
        ("/home/user", None),
        ("best_x.pth/../../home", None),
        (["/home"], None),
    ):
        hub = {"runtime_info": {"best_ckpt": best, "best_ckpt_acc": best}}
        torch.save({"message_hub": hub}, tmp_path / "a.pth")
        info = load(tmp_path / "a.pth")["message_hub"]["runtime_info"]
        assert info == ({"best_ckpt": kept, "best_ckpt_acc": kept} if kept else {})


def test_the_runs_own_earlier_best_checkpoint_is_still_replaced(toy_run, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(toy_run / "best_toy_acc_epoch_1.pth", run / "best_toy_acc_epoch_0.pth")
    # The run was copied here from another folder.
    hostile_resume(toy_run, tmp_path, "/elsewhere/run/best_toy_acc_epoch_0.pth")
    assert [file.name for file in run.glob("best_*")] == ["best_toy_acc_epoch_2.pth"]
