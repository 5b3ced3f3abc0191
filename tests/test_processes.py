"""A folder takes one training at a time; trainings end with their parent, and report how."""

import os
import runpy
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mmdet_ltnorm import processes
from mmdet_ltnorm.processes import (
    claim_folder,
    end_forks_too,
    end_with_parent,
    exit_on_sigterm,
)
from mmdet_ltnorm.sweep import plan_runs, train_runs

TOOLS = Path(__file__).parents[1] / "tools"


def forked(function):
    """Run a function in a process of its own; return the process, and a pipe that it writes to."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, os.fdopen(reading, "rb", 0)
    os.close(reading)
    try:
        function(os.fdopen(writing, "wb", 0))
    finally:
        os._exit(1)


def hears(pipe, seconds=10):
    """Return the next bytes of a pipe, or none once all processes that could write have ended."""
    ready, _, _ = select.select([pipe], [], [], seconds)
    assert ready, "nothing came, and a process that could write to the pipe still runs"
    return pipe.read(64)


def end(child):
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


@pytest.fixture
def no_patience(monkeypatch):
    monkeypatch.setattr(processes, "_PATIENCE", 0.3)
    monkeypatch.setattr(processes, "_claimed", {})


def claiming(folder, then=lambda: None):
    def claim(pipe):
        claim_folder(folder)
        then()
        pipe.write(b"claimed")
        time.sleep(60)

    return claim


def test_a_folder_in_use_is_refused_with_who_uses_it(tmp_path, no_patience):
    child, pipe = forked(claiming(tmp_path))
    assert hears(pipe) == b"claimed"
    with pytest.raises(BlockingIOError, match=rf"{tmp_path} is in use by process {child} on "):
        claim_folder(tmp_path)
    end(child)


def test_a_killed_process_holds_no_folder_even_if_its_workers_live_on(tmp_path, no_patience):
    def start_worker():
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)

    child, pipe = forked(claiming(tmp_path, start_worker))
    assert hears(pipe) == b"claimed"
    end(child)
    claim_folder(tmp_path)
    assert (tmp_path / ".claimed").read_text().startswith(f"process {os.getpid()} on ")


def test_a_process_that_is_ending_is_waited_for(tmp_path, no_patience, monkeypatch):
    monkeypatch.setattr(processes, "_PATIENCE", 10)
    child, pipe = forked(claiming(tmp_path))
    assert hears(pipe) == b"claimed"
    ender = threading.Timer(0.5, end, [child])
    ender.start()
    claim_folder(tmp_path)
    ender.join()


def test_a_process_may_claim_its_folder_again(tmp_path, no_patience):
    claim_folder(tmp_path)
    claim_folder(tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells a process of its parent's end")
def test_forked_workers_end_with_their_process_even_if_they_wait_for_ever():
    def parent(pipe):
        end_forks_too()
        if os.fork() == 0:
            pipe.write(b"runs")
            time.sleep(60)
        pipe.close()
        time.sleep(60)

    child, pipe = forked(parent)
    assert hears(pipe) == b"runs"
    end(child)
    assert hears(pipe) == b""


def test_a_process_ends_with_the_one_that_started_it_however_that_ends():
    def parent(pipe):
        starter = os.getpid()
        if os.fork() == 0:
            os.environ[processes._PARENT] = str(starter)
            end_with_parent()
            pipe.write(b"runs")
            time.sleep(60)
        pipe.close()
        time.sleep(60)

    child, pipe = forked(parent)
    assert hears(pipe) == b"runs"
    end(child)
    assert hears(pipe) == b""


def test_a_process_ends_if_the_one_that_started_it_has_ended_before_it_could_look():
    def start_late(pipe):
        os.environ[processes._PARENT] = "999999999"
        end_with_parent()
        time.sleep(60)

    child, pipe = forked(start_late)
    assert hears(pipe) == b""
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


@pytest.mark.parametrize("tool", ["train.py", "test.py"])
def test_a_rank_of_torchruns_notes_its_parent_before_the_slow_imports(tool, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv(processes._PARENT, "1")
    monkeypatch.delenv(processes._PARENT)
    monkeypatch.setattr(sys, "argv", [tool])
    with pytest.raises(SystemExit):
        runpy.run_path(str(TOOLS / tool), run_name="__main__")
    assert os.environ[processes._PARENT] == str(os.getppid())


@pytest.mark.parametrize("script", ["dist_train.sh", "dist_test.sh"])
def test_a_launch_script_tells_the_ranks_its_number(script, tmp_path):
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\necho $MMDET_LTNORM_PARENT $$\n")
    python.chmod(0o755)
    path = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [TOOLS / script, "config.py", "checkpoint.pth", "2"]
    run = subprocess.run(command, env=path, capture_output=True, text=True, timeout=60)
    told, own = run.stdout.split()
    assert told == own


def test_a_run_that_was_started_by_hand_watches_no_parent(monkeypatch):
    monkeypatch.delenv(processes._PARENT, raising=False)
    before = threading.active_count()
    end_with_parent()
    assert threading.active_count() == before


SLEEPING = """
import os, pathlib, sys, time
assert os.environ["MMDET_LTNORM_PARENT"] == str(os.getppid())
pathlib.Path(sys.argv[0]).with_name("pid").write_text(f"{os.getpid()} ")
time.sleep(60)
"""


def test_a_sweep_that_gets_sigterm_ends_its_trainings(tmp_path):
    (tmp_path / "train.py").write_text(SLEEPING)
    (tmp_path / "config.py").write_text("lr = 1")
    runs = plan_runs([str(tmp_path / "config.py")], [0], str(tmp_path / "out"))

    def sweep(pipe):
        exit_on_sigterm()
        try:
            train_runs(runs, [sys.executable, str(tmp_path / "train.py")])
        except SystemExit as ended:
            pipe.write(f"status {ended.code}".encode())

    child, pipe = forked(sweep)
    deadline = time.monotonic() + 20
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith(" ")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(child, signal.SIGTERM)
    assert hears(pipe) == b"status 143"
    os.waitpid(child, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_distributed_run_leaves_with_status_0_after_what_exit_would_run(tmp_path, monkeypatch):
    def rank(pipe):
        group = dict(init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
        processes.torch.distributed.init_process_group("gloo", **group)
        monkeypatch.setattr(processes.atexit, "_run_exitfuncs", lambda: pipe.write(b"cleaned up"))
        processes.leave_process_group()

    child, pipe = forked(rank)
    assert hears(pipe, 30) == b"cleaned up"
    assert os.waitpid(child, 0)[1] == 0


def test_a_run_of_one_process_does_not_leave_early():
    processes.leave_process_group()
