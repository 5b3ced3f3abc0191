"""The configs' docstrings have one form, and the table of them follows."""

import re
import runpy
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from mmdet_ltnorm.catalog.config_table import leaf_paths, read_leaf, with_table
from mmdet_ltnorm.catalog.model_index import model_index
from mmdet_ltnorm.catalog.papers import INDEX_BEGIN as BEGIN
from mmdet_ltnorm.catalog.papers import INDEX_END as END
from mmdet_ltnorm.engine.options import merge_options

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "tools" / "configs_table.py"
GOOD = '''"""CIFAR-10-LT, cross entropy.

    python tools/train.py configs/set/good.py  # a remark
    ... --work-dir DIR --cfg-options data.imbalance_factor=200  # or 50

NBN paper Table I, Cross Entropy: 74.0, 78.0 at
imbalance 200, 100. Its e.g. is no sentence. CBN paper Table 2 (400 epochs): 1.5.
Measured, 3 seeds: 70.1 ± 0.2 (few 3.0). Measured, 1 run: 71.0. A note.
"""
'''


@pytest.mark.parametrize("path", leaf_paths(ROOT / "configs"), ids=lambda path: path.stem)
def test_a_leaf_says_what_it_is_its_command_its_row_and_its_score(path):
    leaf = read_leaf(path)
    train = f"python tools/train.py {path.relative_to(ROOT)}"
    assert leaf.command == train or leaf.command.startswith("make ")


@pytest.mark.parametrize(
    "path",
    [path for path in leaf_paths(ROOT / "configs") if "    ... --work-dir" in path.read_text()],
    ids=lambda path: path.stem,
)
def test_the_command_of_another_imbalance_changes_the_training_set_alone(path):
    (option,) = re.findall(r"(\S*imbalance_factor)=N", read_leaf(path).option)
    cfg = Config.fromfile(path)
    old = cfg.to_dict()
    merge_options(cfg, {option: 50})
    assert cfg.train_dataloader.dataset.imbalance_factor == 50
    cfg.merge_from_dict({option: 100})
    assert cfg.to_dict() == old  # so the command without it is that of imbalance 100


def written(tmp_path, text, name="good"):
    file = tmp_path / "configs" / "set" / f"{name}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_statements_are_sentences_and_may_be_wrapped(tmp_path):
    leaf = read_leaf(written(tmp_path, GOOD))
    assert leaf.title == "CIFAR-10-LT, cross entropy."
    assert leaf.command == "python tools/train.py configs/set/good.py"
    assert leaf.rows == (
        ("NBN Table I, Cross Entropy", "74.0, 78.0 at imbalance 200, 100"),
        ("CBN Table 2 (400 epochs)", "1.5"),
    )
    assert leaf.measured == "70.1 ± 0.2 (few 3.0), 3 seeds<br>71.0, 1 run"


ROW, SCORE = "NBN paper Table X, ROW: NUMBERS", "Measured, HOW: NUMBERS"


@pytest.mark.parametrize(
    ("old", "new", "missing"),
    [
        ("cross entropy.\n", "cross entropy\n", "a first paragraph of one sentence"),
        ("    python", "python", "an indented command"),
        ("paper Table", "Table", ROW),
        (
            "    ... --work",
            "    work",
            "'... --work-dir DIR --cfg-options ...imbalance_factor=' below the command",
        ),
        ("74.0, 78.0", "74.0", "as many numbers as imbalances"),
        ("A note.", "No row in the papers.", ROW),
        ("Measured", "We measured", SCORE),
        ("A note.", "Not measured here.", SCORE),
        (GOOD, "x = 1\n", f"first paragraph.*command.*{ROW}.*{SCORE}"),
    ],
)
def test_what_is_missing_or_contradicts_itself_is_named(tmp_path, old, new, missing):
    file = written(tmp_path, GOOD.replace(old, new), "bad")
    with pytest.raises(ValueError, match=rf"docstring of .*bad.py needs .*{missing}"):
        read_leaf(file)


def test_the_table_goes_between_its_markers_and_only_there():
    once = with_table(f"a\n{BEGIN}\nold\n{END}\nb\n", "new", BEGIN, END)
    assert once == f"a\n{BEGIN}\n\nnew\n\n{END}\nb\n"
    assert with_table(once, "new", BEGIN, END) == once


@pytest.mark.parametrize("text", ["", BEGIN, END + BEGIN, BEGIN + BEGIN + END, BEGIN + END + END])
def test_missing_or_repeated_markers_are_refused(text):
    with pytest.raises(ValueError, match="expected these two lines, once each"):
        with_table(text, "new", BEGIN, END)


def run_tool(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name="__main__")


def test_the_tool_prints_writes_and_checks(tmp_path, monkeypatch, capsys):
    run_tool(monkeypatch)
    assert "[cifar10_ce](cifar_lt/cifar10_ce.py)" in capsys.readouterr().out
    file = tmp_path / "README.md"
    file.write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    with pytest.raises(SystemExit, match="out of date: run python tools/configs_table.py --write"):
        run_tool(monkeypatch, "--check", file)
    run_tool(monkeypatch, "--write", file)
    run_tool(monkeypatch, "--check", file)
    assert "imagenet_r50_ce_nbn.py" in file.read_text()
    with pytest.raises(SystemExit, match="nowhere.md"):
        run_tool(monkeypatch, "--check", tmp_path / "nowhere.md")


def test_the_model_index_has_an_entry_for_each_leaf_and_claims_no_results(tmp_path):
    yaml = pytest.importorskip("yaml")
    written(tmp_path, GOOD, "good_nbn")
    none = f'{GOOD[: GOOD.index("NBN")]}No row in the papers.\nNot measured here.\n"""\n'
    written(tmp_path, none, "some_sbn")
    written(tmp_path, none, "plain")
    index = yaml.safe_load(model_index(tmp_path / "configs"))
    assert [entry["Name"] for entry in index["Collections"]] == ["NBN", "CBN", "Baselines"]
    collections = {entry["Name"]: entry["In Collection"] for entry in index["Models"]}
    assert collections == {"good_nbn": "NBN", "some_sbn": "CBN", "plain": "Baselines"}
    assert not any("Results" in entry or "Weights" in entry for entry in index["Models"])
    assert index["Models"][0] == {
        "Name": "good_nbn",
        "In Collection": "NBN",
        "Config": "configs/set/good_nbn.py",
        "Metadata": {
            "Training Data": "CIFAR-10-LT",
            "Description": "CIFAR-10-LT, cross entropy.",
            "Papers Report": [
                "NBN Table I, Cross Entropy: 74.0, 78.0 at imbalance 200, 100",
                "CBN Table 2 (400 epochs): 1.5",
            ],
            "At Imbalance N": (
                "python tools/train.py configs/set/good.py --work-dir DIR --cfg-options "
                "data.imbalance_factor=N"
            ),
            "Measured Here": "70.1 ± 0.2 (few 3.0), 3 seeds; 71.0, 1 run",
        },
    }
    assert index["Models"][2]["Metadata"]["Measured Here"] == "no"


def test_the_repositorys_model_index_is_up_to_date_and_its_configs_exist(monkeypatch):
    yaml = pytest.importorskip("yaml")
    run_tool(monkeypatch, "--check", ROOT / "model-index.yml")
    index = yaml.safe_load((ROOT / "model-index.yml").read_text(encoding="utf-8"))
    assert all((ROOT / entry["Config"]).is_file() for entry in index["Models"])
    data = {entry["Metadata"]["Training Data"] for entry in index["Models"]}
    assert data == {
        *("CIFAR-10", "CIFAR-10-LT", "CIFAR-100", "CIFAR-100-LT", "ImageNet", "ImageNet-LT"),
        *("iNaturalist 2018", "Places-LT", "LVIS v1", "mini-LVIS", "Digits-LT", "Shapes-LT"),
    }


def test_the_tool_writes_and_checks_a_model_index(tmp_path, monkeypatch):
    file = tmp_path / "model-index.yml"
    run_tool(monkeypatch, "--write", file)
    run_tool(monkeypatch, "--check", file)
    file.write_text("old")
    with pytest.raises(SystemExit, match="out of date: run python tools/configs_table.py --write"):
        run_tool(monkeypatch, "--check", file)
