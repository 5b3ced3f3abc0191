"""The page of the papers has a row for each table and figure, and follows the configs."""

import re
from pathlib import Path

import pytest

from mmdet_ltnorm.analysis.config_table import leaf_paths, with_table
from mmdet_ltnorm.analysis.papers import (
    CBN_ITEMS,
    NBN_ITEMS,
    PAPERS_BEGIN,
    PAPERS_END,
    papers_table,
)

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "papers.md"
ROMAN = [
    *("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X"),
    *("XI", "XII", "XIII", "XIV", "XV", "XVI", "XVII"),
]
LEAF = '''"""CIFAR-10-LT, cross entropy.

    python tools/train.py configs/set/leaf.py

NBN paper Tables IV and XV, Cross Entropy: 42.2 (few 6.3).
{}
"""
'''


def test_every_table_and_figure_has_a_row():
    figures = [f"Figure {number}" for number in range(1, 7)]
    assert [item.name for item in NBN_ITEMS] == [*figures, *(f"Table {n}" for n in ROMAN)]
    assert [item.name for item in CBN_ITEMS] == [*figures, *(f"Table {n}" for n in range(1, 8))]


def test_the_page_is_up_to_date_and_everything_it_names_exists():
    text = PAGE.read_text(encoding="utf-8")
    table = papers_table(ROOT / "configs")
    assert with_table(text, table, PAPERS_BEGIN, PAPERS_END) == text, (
        "run python tools/configs_table.py --write docs/papers.md"
    )
    for path in re.findall(r"\]\(([^)#]+)", text):
        assert (PAGE.parent / path).exists(), path
    stems = {path.stem for path in leaf_paths(ROOT / "configs")}
    named = re.findall(r"`((?:cifar|imagenet|inat18|places|cls)\w*_\w+)`", text)
    assert named and set(named) <= stems
    rows = [line for line in table.splitlines() if re.match(r"\| (Table|Figure)", line)]
    assert len(rows) == len(NBN_ITEMS) + len(CBN_ITEMS)
    assert {line.count("|") for line in rows} == {6}


def write(tmp_path, text):
    for item in (*NBN_ITEMS, *CBN_ITEMS):
        for stem in item.small:
            small = tmp_path / "configs" / "demo" / f"{stem}.py"
            small.parent.mkdir(parents=True, exist_ok=True)
            start = LEAF[: LEAF.index("NBN")]
            small.write_text(f'{start}No row in the papers. Measured, 1 run: 70.1.\n"""\n')
    leaf = tmp_path / "configs" / "set" / "leaf.py"
    leaf.parent.mkdir(parents=True, exist_ok=True)
    leaf.write_text(text, encoding="utf-8")
    return papers_table(tmp_path / "configs")


def test_a_row_of_two_tables_stands_in_both_with_its_number_and_score(tmp_path):
    table = write(tmp_path, LEAF.format("Measured, 1 run: 41.0."))
    link = "[leaf](../configs/set/leaf.py)"
    for name in "Table IV", "Table XV":
        (row,) = [line for line in table.splitlines() if line.startswith(f"| {name} ")]
        assert f"{link} Cross Entropy: 42.2 (few 6.3)" in row and f"{link} 41.0, 1 run" in row
    (other,) = [line for line in table.splitlines() if line.startswith("| Table V ")]
    assert link not in other


def test_a_table_that_there_is_not_is_refused(tmp_path):
    text = LEAF.format("Not measured here.").replace("Tables IV and XV", "Table XX")
    with pytest.raises(ValueError, match=r"leaf.py names NBN's Table XX, which"):
        write(tmp_path, text)
