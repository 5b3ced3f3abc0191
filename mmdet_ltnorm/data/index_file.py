"""Files with the indices of a subset, so that others use the same images."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmdet_ltnorm.reading import read_json
from mmdet_ltnorm.writing import write_json


def write_index_file(file: str | Path, indices: np.ndarray, protocol: Mapping[str, Any]) -> None:
    """Write indices as JSON with the protocol that drew them and their SHA-256.

    The digest is that of the indices as little-endian 64-bit integers.
    """
    content = {
        "protocol": dict(protocol),
        "sha256": _sha256(indices),
        "indices": indices.tolist(),
    }
    write_json(file, content, indent=None)


def read_index_file(file: str | Path, protocol: Mapping[str, Any]) -> np.ndarray:
    """Read the indices that `protocol` drew.

    Raises:
        ValueError: the file is no index file, is of another protocol, or its indices were changed.
    """
    try:
        content = read_json(file)
        indices = np.array(content["indices"], np.int64)
        written, digest = content["protocol"], content["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is not an index file: {error!r}") from error
    if written != dict(protocol):
        raise ValueError(
            f"{file} holds the subset of {written}, and {dict(protocol)} is asked for; "
            "name another index_file, or delete this one to have it written"
        )
    if _sha256(indices) != digest:
        raise ValueError(
            f"the indices in {file} have SHA-256 {_sha256(indices)}, it states {digest}: "
            "the file was changed or damaged"
        )
    return indices


def _sha256(indices: np.ndarray) -> str:
    return hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest()
