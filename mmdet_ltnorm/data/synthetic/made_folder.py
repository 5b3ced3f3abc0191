"""Folders of generated data, which appear when complete and have one writer at a time."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def made_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to fill, which becomes ``folder`` when the block ends.

    If the block fails, it is deleted; the next process deletes what a killed process left.

    Raises:
        ValueError: another process is making the same folder, or one is in the place by now.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.partial")
    with _alone(folder):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            yield partial
            try:
                partial.rename(folder)  # onto an empty folder, too
            except OSError as error:
                raise ValueError(f"{folder} cannot be put in place: {error.strerror}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a lock that ends with the process."""
    busy = f"another process is making {folder} now: wait until it is done, or name another place"
    file = folder.with_name(f".{folder.name}.lock")
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(busy) from None
        except OSError:  # a file system without locks
            pass
        # The process before may have deleted the file between the two steps above.
        if not file.exists() or not os.path.samestat(os.fstat(lock.fileno()), file.stat()):
            raise ValueError(busy)
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
