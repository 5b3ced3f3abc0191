"""The index of models in the form that ``mim search`` reads, made as the table of configs is."""

from pathlib import Path
from typing import Any

from mmdet_ltnorm.catalog.config_table import Leaf, leaf_paths, read_leaf

HEAD = "# Written from the configs' docstrings by tools/configs_table.py --write model-index.yml.\n"
# Collections by what the names of their configs contain.
COLLECTIONS = {
    "NBN": (("nbn",), "Normalizing Batch Normalization for Long-Tailed Recognition"),
    "CBN": (("cbn", "sbn"), "Compound Batch Normalization for Long-tailed Image Classification"),
    "Baselines": (("",), ""),
}


def model_index(configs: Path) -> str:
    """Return YAML with an entry for each leaf, in the collection of its norm.

    What the papers print and what was measured here are text among an entry's metadata. There are
    no ``Results``, which are those of weights to download, and there are none.

    Raises:
        ValueError: see :func:`~mmdet_ltnorm.catalog.config_table.read_leaf`.
    """
    import yaml

    entries = {
        "Collections": [_collection(name, title) for name, (_, title) in COLLECTIONS.items()],
        "Models": [_model(read_leaf(path), configs.parent) for path in leaf_paths(configs)],
    }
    return HEAD + yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=100)


def _collection(name: str, title: str) -> dict[str, Any]:
    paper = {"Paper": {"Title": title}} if title else {}
    return {"Name": name, **paper, "README": "README.md"}


def _model(leaf: Leaf, root: Path) -> dict[str, Any]:
    stem = leaf.path.stem
    collection = next(
        name for name, (marks, _) in COLLECTIONS.items() if any(mark in stem for mark in marks)
    )
    metadata: dict[str, Any] = {"Training Data": _training_data(leaf), "Description": leaf.title}
    if leaf.rows:
        metadata["Papers Report"] = [f"{row}: {numbers}" for row, numbers in leaf.rows]
    if leaf.option:
        metadata["At Imbalance N"] = f"{leaf.command} {leaf.option}"
    metadata["Measured Here"] = leaf.measured.replace("<br>", "; ") or "no"
    return {
        "Name": stem,
        "In Collection": collection,
        "Config": leaf.path.relative_to(root).as_posix(),
        "Metadata": metadata,
    }


def _training_data(leaf: Leaf) -> str:
    folder = leaf.path.parent.name
    if folder == "lvis":
        return "LVIS v1"
    if folder == "demo" and not leaf.path.stem.startswith("cls_"):
        return "mini-LVIS"
    return leaf.title.partition(",")[0]
