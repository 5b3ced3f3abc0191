"""Checkpoints and whatever else mmengine writes, whole or not at all.

Importing this module puts a storage backend in the place of mmengine's for local files, through
which it saves every checkpoint, the best ones too, and dumps results.
"""

from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

from mmdet_ltnorm.writing import write_bytes


class WholeFiles(LocalBackend):
    """Local files that a kill or a full disk leaves as they were until the new one is whole."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes beside the file, to the disk, and then put them in its place."""
        write_bytes(filepath, obj)

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write text in the same way."""
        write_bytes(filepath, obj.encode(encoding))


register_backend("local", WholeFiles, force=True, prefixes="")
