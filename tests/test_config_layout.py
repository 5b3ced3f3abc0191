"""A config says its difference from its bases and no more; there are few bases."""

import ast
import functools
from pathlib import Path

from mmengine.config import Config

from mmdet_ltnorm.catalog.config_table import leaf_paths

CONFIGS = Path(__file__).parents[1] / "configs"
LEAVES = leaf_paths(CONFIGS)
BASES = sorted((CONFIGS / "_base_").rglob("*.py"))
# The tutorials' configs stand on them, and on det_coco_format.
FOR_OWN_DATA = {"cls_image_folder", "det_coco_format_masks", "det_coco_format_small"}
# Around a host's backbone: each returns a backbone of the host's type.
WRAPPERS = {"LTNormBackbone", "MultiExpertBackbone"}
# The data set of their base's sibling, and a loss of mmdet's box head, which does not tell it.
OF_OTHER_DATA = {"cifar100_ldam_drw", "eqlv2_2x"}


@functools.cache
def loaded(path):
    return Config.fromfile(path).to_dict()


def own_bases(path):
    """Return the bases that a config names, those of mmdet apart."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "_base_":
            named = ast.literal_eval(node.value)
            named = [named] if isinstance(named, str) else named
            return [(path.parent / name).resolve() for name in named if "::" not in name]
    return []


def levels(path):
    return max((1 + levels(base) for base in own_bases(path)), default=0)


def test_bases_are_at_most_two_levels_below_a_leaf():
    assert {path.stem for path in LEAVES if levels(path) > 2} == set()


def test_parts_have_no_base_and_are_no_leafs_base():
    assert not any(own_bases(path) for path in BASES if path.parent.name == "parts")
    assert not any(base.parent.name == "parts" for path in LEAVES for base in own_bases(path))


def test_every_base_has_a_leaf():
    used = {base for path in [*LEAVES, *BASES] for base in own_bases(path)}
    assert {path.stem for path in BASES if path not in used} == FOR_OWN_DATA


def entries(value, key=""):
    """Yield the dotted keys and values that override a base; ``_delete_`` blocks are skipped."""
    if not isinstance(value, dict):
        yield key, value
    elif "_delete_" not in value:
        for name, inner in value.items():
            yield from entries(inner, f"{key}.{name}".removeprefix("."))


def said(path, base):
    """Return a config's own entries, before they are merged into its bases."""
    text = path.read_text(encoding="utf-8")
    names = {"_base_": base}
    exec("\n".join(line for line in text.splitlines() if not line.startswith("_base_ =")), names)
    return {k: v for k, v in names.items() if not k.startswith("__") and k != "_base_"}


def test_no_leaf_repeats_what_its_base_says():
    repeated = []
    for path in LEAVES:
        base = loaded(*own_bases(path))
        for key, value in entries(said(path, Config(base))):
            found = base
            for name in key.split("."):
                found = found.get(name) if isinstance(found, dict) else None
            if found == value and value is not None:
                repeated.append(f"{path.stem}: {key}={value}")
    assert not repeated


def test_every_backbone_is_wrapped_so_that_option_paths_are_the_same_in_all_leaves_of_a_base():
    for path in LEAVES:
        for file in own_bases(path):
            model = loaded(file)["model"]
            backbone, outer = model["backbone"], []
            while backbone["type"] in WRAPPERS:
                outer.append(backbone["type"])
                backbone = backbone["backbone"]
            experts = ["MultiExpertBackbone"] if "_ride" in file.stem else []
            assert outer == [*experts, "LTNormBackbone"], file


def test_a_classifiers_number_of_classes_is_said_once():
    for path in LEAVES:
        for file in own_bases(path):
            model = loaded(file)["model"]
            assert "roi_head" in model or str(model).count("num_classes") == 1, file
        assert "num_classes" not in path.read_text() or path.stem in OF_OTHER_DATA, path


def test_a_config_has_one_paragraph_of_code_for_what_differs():
    lengths = {
        path.stem: sum(bool(line) for line in path.read_text().split('"""')[2].splitlines())
        for path in LEAVES
    }
    assert max(lengths.values()) <= 20
    assert sorted(lengths.values())[len(lengths) // 2] <= 3
