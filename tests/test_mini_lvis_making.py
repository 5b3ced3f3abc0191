"""Making mini-LVIS: what is planned, written, kept and refused."""

import json
import runpy
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from mmdet_ltnorm.analysis import predictions
from mmdet_ltnorm.class_groups import FREQUENCIES, frequency_group
from mmdet_ltnorm.data import contact_sheet, draw_contact_sheet, make_mini_lvis
from mmdet_ltnorm.data.synthetic import mini_lvis as module
from mmdet_ltnorm.data.synthetic.mini_lvis_plan import (
    share_out,
    train_counts,
    val_counts,
)
from mmdet_ltnorm.deployment.drawing import draw_classes

SMALL = {"num_train": 12, "num_val": 4, "num_categories": 4, "image_size": 64}
SMALL["populate_groups"] = False


def files(root):
    return {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_frequency_groups_part_at_10_and_100_images():
    assert [frequency_group(n) for n in (1, 10, 11, 100, 101)] == ["r", "r", "c", "c", "f"]


@pytest.mark.parametrize("num_categories", [20, 24, 40])
def test_all_groups_have_six_categories_at_the_default_size(num_categories):
    counts = train_counts(600, num_categories, populate_groups=True)
    groups = Counter(frequency_group(count) for count in counts)
    assert min(groups[group] for group in "rcf") >= 5 + (num_categories > 20)
    assert counts.min() >= 1
    assert counts.sum() <= 600 * 2.75


def test_a_plan_gives_each_category_its_number_of_images():
    counts = np.array([3, 40, 9, 25])
    plan = share_out(counts, 50, np.random.default_rng(0))
    assert np.bincount(np.concatenate(plan).astype(int)).tolist() == counts.tolist()
    assert all(len(set(present)) == len(present) for present in plan)
    assert max(map(len, plan)) <= 4 and min(map(len, plan)) >= 1


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("one", 3), ("same", 3), ("other", 4)):
        make_mini_lvis(tmp_path / name, seed=seed, **SMALL)
    one, same, other = (files(tmp_path / name) for name in ("one", "same", "other"))
    assert one == same
    assert len(one) == 18
    assert one.keys() == other.keys()
    assert not any(one[name] == other[name] for name in one)


def test_a_set_that_stands_is_kept(tmp_path):
    assert make_mini_lvis(tmp_path / "set", **SMALL) is True
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert make_mini_lvis(tmp_path / "set", **SMALL) is False
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_another_set_is_not_overwritten(tmp_path):
    make_mini_lvis(tmp_path, seed=1, **SMALL)
    before = files(tmp_path)
    with pytest.raises(ValueError, match=r"holds a mini-LVIS with another seed: delete it or"):
        make_mini_lvis(tmp_path, seed=2, **SMALL)
    assert files(tmp_path) == before


def test_other_peoples_files_are_not_overwritten(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "lvis_v1_val.json").write_text('{"info": {"version": "v1.0"}}')
    with pytest.raises(ValueError, match="holds something else: delete it or name another"):
        make_mini_lvis(tmp_path, **SMALL)
    assert len(files(tmp_path)) == 1


def test_a_run_that_breaks_off_leaves_nothing_that_looks_complete(tmp_path, monkeypatch):
    def fail(*args):
        assert (tmp_path / ".set.partial" / "train2017").is_dir()  # it was under way
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_categories", fail)
    with pytest.raises(KeyboardInterrupt):
        make_mini_lvis(tmp_path / "set", **SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_categories": 2}, "num_categories must be between 3 and 40, got 2"),
        ({"num_categories": 41}, "num_categories must be between 3 and 40, got 41"),
        ({"num_train": 100}, "num_train must be at least 231 for 24 .* in all three .* got 100"),
        ({"num_val": 20}, "num_val must be at least 44 for 24 categories with 5 images each"),
        ({"num_train": -5}, "num_train must be between 1 and 1000000, got -5"),
        ({"num_val": 10**9}, "num_val must be between 1 and 1000000, got 1000000000"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"image_size": 16}, "image_size must be between 32 and 4096 pixels, got 16"),
        ({"image_size": 10**6}, "image_size must be between 32 and 4096 pixels, got 1000000"),
        ({"category_names": ["a"] * 30}, "at least 24 different names, got 30, of which 1 differ"),
        ({"category_names": list("abc")}, "at least 24 different names, got 3, of which 3 differ"),
    ],
)
def test_arguments_that_cannot_be_met_are_refused(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_mini_lvis(tmp_path / "set", **arguments)
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize("populate_groups", [True, False])
@pytest.mark.parametrize("num_categories", [3, 24, 40])
def test_the_stated_least_number_of_images_is_the_least(num_categories, populate_groups):
    for counts in (train_counts, val_counts):
        with pytest.raises(ValueError, match="must be at least") as error:
            counts(0, num_categories, populate_groups)
        least = int(str(error.value).split("at least ")[1].split()[0])
        counts(least, num_categories, populate_groups)
        with pytest.raises(ValueError, match=f"must be at least {least} "):
            counts(least - 1, num_categories, populate_groups)


def test_a_contact_sheet_shows_images_that_there_are(mini_lvis, tmp_path):
    draw_contact_sheet(mini_lvis, tmp_path / "sheet.png", rows=3, columns=3)
    assert cv2.imread(str(tmp_path / "sheet.png")).std() > 20


def test_every_picture_has_the_same_colours_for_the_same_groups(tmp_path):
    image, names = np.full((64, 64, 3), 255, np.uint8), FREQUENCIES
    groups = {name: np.array([label]) for label, name in enumerate(names)}
    bars = [{"class": name, "group": name, "score": 1.0} for name in names]
    draw_classes(image, bars, groups, tmp_path / "bars.png")
    seen = cv2.imread(str(tmp_path / "bars.png"))[..., ::-1].reshape(-1, 3)
    assert contact_sheet.COLOURS == predictions.COLOURS
    for letter in names.values():
        colour = bytes.fromhex(contact_sheet.COLOURS[letter][1:])
        assert (seen == np.frombuffer(colour, np.uint8)).all(1).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--num-train 8", "num_train must be at least 231"),
        ("--num-val 0", "num_val must be between 1 and"),
        ("--preview sheet.xyz --num-train 169 --num-val 8 --num-categories 4", "xyz"),
    ],
)
def test_the_tool_refuses_in_one_line(tmp_path, monkeypatch, options, message):
    tool = Path(__file__).parents[1] / "tools" / "make_mini_lvis.py"
    command = f"{tool} {tmp_path}/set --image-size 32 {options}"
    monkeypatch.setattr(sys, "argv", command.split())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=rf"^make_mini_lvis.py: .*{message}"):
        runpy.run_path(str(tool), run_name="__main__")


def test_a_broken_file_of_an_older_set_is_named(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "lvis_v1_val.json").write_text('{"info": ')
    with pytest.raises(ValueError, match="lvis_v1_val.json, line 1, column .* is not JSON"):
        make_mini_lvis(tmp_path, **SMALL)
    (tmp_path / "annotations" / "lvis_v1_val.json").write_text("[]")
    with pytest.raises(ValueError, match="holds something else"):
        make_mini_lvis(tmp_path, **SMALL)


def test_the_tool_prints_what_it_made(tmp_path, capsys, monkeypatch):
    tool = Path(__file__).parents[1] / "tools" / "make_mini_lvis.py"
    command = f"tool {tmp_path}/set --num-train 169 --num-val 8 --num-categories 4 --image-size 32"
    monkeypatch.setattr(sys, "argv", command.split())
    for first_word in ("wrote", "found"):
        runpy.run_path(str(tool), run_name="__main__")
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith(first_word)
    train = json.loads((tmp_path / "set" / "annotations" / "lvis_v1_train.json").read_text())
    rare = {category["id"] for category in train["categories"] if category["frequency"] == "r"}
    found = [annotation for annotation in train["annotations"] if annotation["category_id"] in rare]
    expected = [
        "rare",
        len(rare),
        len({annotation["image_id"] for annotation in found}),
        len(found),
    ]
    assert lines[5].split() == list(map(str, expected))
