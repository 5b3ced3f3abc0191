"""The pages of the papers and of the configs have each table and figure, and are current."""

import re
from pathlib import Path

import pytest

from mmdet_ltnorm.catalog.config_table import leaf_paths, with_table
from mmdet_ltnorm.catalog.papers import (
    CBN_ITEMS,
    INDEX_BEGIN,
    INDEX_END,
    NBN_ITEMS,
    PAPERS_BEGIN,
    PAPERS_END,
    configs_index,
    papers_table,
)

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "papers.md"
INDEX = ROOT / "configs" / "README.md"
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


def test_the_page_of_the_papers_is_up_to_date():
    text = PAGE.read_text(encoding="utf-8")
    table = papers_table(ROOT / "configs")
    assert with_table(text, table, PAPERS_BEGIN, PAPERS_END) == text, (
        "run python tools/configs_table.py --write docs/papers.md"
    )
    rows = [line for line in table.splitlines() if re.match(r"\| (Table|Figure)", line)]
    assert len(rows) == len(NBN_ITEMS) + len(CBN_ITEMS)
    assert {line.count("|") for line in rows} == {6}


def test_the_index_of_configs_is_up_to_date():
    text = INDEX.read_text(encoding="utf-8")
    index = configs_index(ROOT / "configs")
    assert with_table(text, index, INDEX_BEGIN, INDEX_END) == text, (
        "run python tools/configs_table.py --write configs/README.md"
    )
    for path in leaf_paths(ROOT / "configs"):
        assert f"[{path.stem}]({path.parent.name}/{path.name})" in index


@pytest.mark.parametrize("page", [PAGE, INDEX], ids=lambda page: page.stem)
def test_all_that_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    for path in re.findall(r"\]\(([^)#]+)", text):
        assert (page.parent / path).exists(), path
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        headings = re.findall(r"^##+ (.*)", text, re.MULTILINE)
        assert anchor in {heading.lower().replace(" ", "-") for heading in headings}
    stems = {path.stem for path in leaf_paths(ROOT / "configs")}
    named = re.findall(r"`((?:cifar|imagenet|inat18|places|cls)\w*_\w+)`", text)
    assert named and set(named) <= stems


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
    return configs_index(tmp_path / "configs")


def test_a_row_of_two_tables_stands_in_both_with_its_number_score_and_command(tmp_path):
    index = write(tmp_path, LEAF.format("Measured, 1 run: 41.0."))
    row = (
        "| [leaf](set/leaf.py) | Cross Entropy | 42.2 (few 6.3) | 41.0, 1 run | "
        "`python tools/train.py configs/set/leaf.py` |"
    )
    sections = {part.partition("\n")[0]: part for part in index.split("## ")[1:]}
    assert {name for name, part in sections.items() if row in part} == {
        "NBN Table IV",
        "NBN Table XV",
    }
    assert "On small data: [cls_shapes_ce](demo/cls_shapes_ce.py)," in sections["NBN Table XV"]
    assert sections["NBN Figure 2"].rstrip() == (
        "NBN Figure 2\n\nBy `python tools/analyze.py magnitude WORK_DIR... --out DIR`"
    )


def test_rows_that_no_paper_has_stand_at_the_end(tmp_path):
    text = f'{LEAF[: LEAF.index("NBN")]}No row in the papers: why not. Not measured here.\n"""\n'
    last = write(tmp_path, text).rpartition("## No row in the papers\n")[2]
    assert (
        "| [leaf](set/leaf.py) | CIFAR-10-LT, cross entropy | – | "
        "`python tools/train.py configs/set/leaf.py` |"
    ) in last.splitlines()


def test_the_command_of_other_imbalances_stands_below_the_first(tmp_path):
    option = "--work-dir DIR --cfg-options data.imbalance_factor="
    text = LEAF.replace("leaf.py\n", f"leaf.py\n    ... {option}200  # or 50\n")
    text = text.replace("42.2 (few 6.3)", "74.0, 78.0 at imbalance 200, 100")
    assert f"leaf.py`<br>imbalance N: `{option}N` |" in write(
        tmp_path, text.format("Not measured here.")
    )


def test_an_unknown_table_is_refused(tmp_path):
    text = LEAF.format("Not measured here.").replace("Tables IV and XV", "Table XX")
    with pytest.raises(ValueError, match=r"leaf.py names NBN's Table XX, which"):
        write(tmp_path, text)
