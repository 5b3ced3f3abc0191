"""Processes that train: one at a time in a folder, and no child outlives its parent."""

import atexit
import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None

import torch
from mmengine.logging import print_log

_PARENT = "MMDET_LTNORM_PARENT"
_PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal that a process gets when its parent ends
_PATIENCE = 10  # seconds in which the children of a killed process end
_claimed: dict[Path, IO[str]] = {}


def claim_folder(folder: str | Path) -> None:
    """Keep every other process that claims a folder out of it until this process ends.

    The lock is the operating system's: it goes with the process, however that ends, and two
    containers with the same process numbers cannot take each other for themselves. Processes on
    several machines see it where their file system's locks do (NFS 4, and 3 with its lock daemon).

    Raises:
        BlockingIOError: another process holds it, and has not ended within ten seconds.
    """
    file = Path(folder).absolute() / ".claimed"
    if fcntl is None or file in _claimed:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    handle = file.open("a+")
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            # A record lock: workers that are forked from this process do not share it.
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except (BlockingIOError, PermissionError):  # which of the two depends on the system
            if time.monotonic() > deadline:
                handle.seek(0)
                raise BlockingIOError(
                    f"{file.parent} is in use by {handle.read().strip() or 'another process'}: "
                    "wait for its end, end it, or give another --work-dir"
                ) from None
            time.sleep(0.2)
        except OSError as error:
            message = f"{file.parent} cannot be locked ({error}): see that one run alone uses it"
            print_log(message, logger="current", level=logging.WARNING)
            break
    handle.truncate(0)
    handle.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    handle.flush()
    _claimed[file] = handle


def start_child(
    command: Sequence[str], log: IO[str], environment: Mapping[str, str] = os.environ
) -> subprocess.Popen:
    """Start one of our tools, which ends when this process ends, even if it is killed."""
    return subprocess.Popen(
        command,
        env={**environment, _PARENT: str(os.getpid())},
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def end_children(processes: Sequence[subprocess.Popen]) -> None:
    """End processes, and wait until they have."""
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def exit_on_sigterm() -> None:
    """Make SIGTERM raise SystemExit, so that ``finally`` blocks run."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


def end_with_parent() -> None:
    """End this process within a second after the process that started it.

    That is a process that called :func:`start_child`, or torchrun's; a run that was started by hand
    continues without its shell.
    """
    # The parent's number comes by the environment, because the parent may have ended while this
    # process was importing. For ranks tools/dist_train.sh sets it, or the first lines of the tool.
    started_by = os.environ.pop(_PARENT, None)
    if started_by is not None:
        threading.Thread(target=_watch, args=(int(started_by),), daemon=True).start()


def end_forks_too() -> None:
    """Kill forks of this process, such as workers of data loaders, when it ends.

    Such a worker sees by itself that its process is gone, but may wait for ever to hand over a last
    batch, because another worker holds the other end of the pipe open. This works on Linux only.
    """
    if sys.platform == "linux":
        system = ctypes.CDLL(None)
        os.register_at_fork(after_in_child=lambda: system.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGKILL)


def leave_process_group() -> None:
    """End a distributed run's process with status 0, without finalizing its interpreter.

    One of gloo's threads may still free tensors while the interpreter is finalized, which sometimes
    aborts the process after all its work is done. Does nothing in a run of one process.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    logging.shutdown()
    atexit._run_exitfuncs()  # ends the data loaders' workers
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
