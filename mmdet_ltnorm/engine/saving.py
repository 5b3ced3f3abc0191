"""Atomic writes of checkpoints and of all other files of mmengine.

Importing this module puts a storage backend in the place of mmengine's for local files, through
which it saves every checkpoint, the best ones too, and dumps results.
"""

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mmdet_ltnorm.writing import write_bytes


class WholeFiles(LocalBackend):
    """Local files that keep their old content until the new content is complete."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file beside this one, sync it to the disk, and rename it."""
        write_bytes(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write text in the same way."""
        write_bytes(filepath, obj.encode(encoding))


register_backend("local", WholeFiles, force=True, prefixes="")
