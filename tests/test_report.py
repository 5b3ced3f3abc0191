"""The report: which runs it finds, what it says about them, and that it is one whole page."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import cv2
import pytest
import torch
from logged_runs import logged_run
from mmengine.config import Config
from mmengine.registry import MODELS

import mmdet_ltnorm.results.pictures as pictures_module
from mmdet_ltnorm.report import write_html
from mmdet_ltnorm.report.runs import config_differences, facts, find_runs, scores

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium")


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch):
    monkeypatch.setattr(pictures_module, "DPI", 40)


@pytest.fixture
def four_runs(tmp_path):
    for seed, few in enumerate((10, 20)):
        logged_run(tmp_path / "runs", "ce", seed, few)
        logged_run(tmp_path / "runs", "nbn", seed, few + 4 + 2 * seed, nbn=True)
    return tmp_path / "runs"


class Page(HTMLParser):
    """The text of a page's rows and paragraphs, and a check that all its tags are closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows, self.text, self.attributes = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if {"td", "th"}.intersection(self.open) and data.strip():
            self.rows[-1].append(data.strip())
        self.text.append(data)


def test_the_page_holds_scores_paired_differences_and_the_configs(four_runs, tmp_path):
    left_out = write_html([four_runs], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    assert ["accuracy, %", "runs", "all", "few"] in page.rows
    assert ["ce", "2", "52.0 ± 0.0", "17.0 ± 7.1"] in page.rows
    # d = 4 and 6: mean 5, standard error sqrt(2) / sqrt(2).
    assert ["nbn − ce", "2", "+0.0 ± 0.0", "+5.0 ± 1.0"] in page.rows
    assert ["model.backbone.norm_cfg.type", "–", "'NBN'"] in page.rows
    text = " ".join(" ".join(page.text).split())
    assert "learning rate 0.1" in text and "PyTorch 2.13.0" in text and "compiling" not in text
    assert len(left_out) == 6 and all("has no checkpoint" in reason for reason in left_out)
    assert "Left out: " in text


def test_the_page_needs_no_other_file_and_runs_nothing(four_runs, tmp_path):
    write_html([four_runs], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    sources = [value for _, name, value in page.attributes if name in ("src", "href")]
    assert sources and all(re.match("data:image/png;base64,|#", source) for source in sources)
    tags = {tag for tag, _, _ in page.attributes}
    assert not tags & {"script", "link", "iframe"}
    anchors = {value for _, name, value in page.attributes if name == "id"}
    assert {source[1:] for source in sources if source.startswith("#")} == anchors


def test_names_and_settings_are_escaped(tmp_path):
    logged_run(tmp_path, "a<b>", 0, 10)
    write_html([tmp_path], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "<b>" not in text and "a&lt;b&gt;" in text


def test_one_run_has_no_differences_and_no_spread(tmp_path):
    write_html([logged_run(tmp_path, "ce", 0, 10)], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    assert ["ce", "1", "52.0", "12.0"] in page.rows
    assert "differs" not in "".join(page.text)


def test_scores_of_detectors_are_percentages(tmp_path):
    work_dir = logged_run(tmp_path, "seesaw", 0, 10)
    (file,) = work_dir.glob("*/vis_data/scalars.json")
    file.write_text(json.dumps({"lvis/segm_AP": 0.251, "lvis/segm_APr": float("nan"), "time": 1}))
    write_html([work_dir], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    assert ["AP, %", "runs", "segm_AP", "segm_APr"] in page.rows
    assert ["seesaw", "1", "25.1", "n/a"] in page.rows


def test_only_what_differs_is_listed(tmp_path):
    one = logged_run(tmp_path, "ce", 0, 10)
    other = logged_run(tmp_path, "ce_fast", 5, 10, lr=0.2)
    runs = find_runs([one, other])
    assert {name: list(by_seed) for name, by_seed in runs.items()} == {"ce": [0], "ce_fast": [5]}
    pair = [runs["ce"][0], runs["ce_fast"][5]]
    assert config_differences(pair) == [
        ("custom_hooks.1.by", ["'ce'", "'ce_fast'"]),
        ("optim_wrapper.optimizer.lr", ["0.1", "0.2"]),
    ]
    assert facts(pair) == {
        "model": "ImageClassifier",
        "backbone": "ResNetCIFAR",
        "optimizer": "SGD",
    }


def test_configs_of_one_name_are_told_apart_by_their_folders(tmp_path):
    one = logged_run(tmp_path / "a", "ce", 0, 10)
    other = logged_run(tmp_path / "b", "ce", 0, 10, lr=0.2)
    assert list(find_runs([one, other])) == [f"ce in {one}", f"ce in {other}"]


def test_folders_without_runs_and_runs_given_twice_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty has no run in it: expected the work dir"):
        find_runs([tmp_path / "empty"])
    one = logged_run(tmp_path / "a", "ce", 3, 10)
    with pytest.raises(ValueError, match="runs of one config with the same seed 3: give one"):
        find_runs([one, logged_run(tmp_path / "b", "ce", 3, 10)])
    for file in one.rglob("*.py"):
        file.unlink()
    with pytest.raises(ValueError, match="ce_3 has no config, which training writes there"):
        find_runs([one])


@pytest.fixture
def trained_run(tmp_path):
    """A run of a CBN classifier with a checkpoint, and a test set that is not there."""
    work_dir = logged_run(tmp_path / "runs", "cbn", 0, 10)
    cfg = Config.fromfile(ROOT / "configs/demo/cls_shapes_cbn.py")
    cfg.merge_from_dict({"test_dataloader.dataset.data_root": str(tmp_path / "nowhere")})
    cfg.dump(next(work_dir.glob("*/vis_data/config.py")))
    torch.save({"state_dict": MODELS.build(cfg.model).state_dict()}, work_dir / "epoch_2.pth")
    return work_dir


def test_a_checkpoint_is_looked_into_as_far_as_its_data_are_there(trained_run, tmp_path):
    left_out = write_html([trained_run], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    assert ("img", "alt", "Effective γ and β") in page.attributes
    without_data = [reason for reason in left_out if "nowhere" in reason]
    assert [reason.partition(":")[0] for reason in without_data] == [
        "Confusion, and accuracy by training samples",
        "Features by group",
        "Channels of the tail and of the head",
        "Attention for a rare and a frequent class",
        "Components of CBN",
    ]


def test_the_tool_says_what_it_left_out(four_runs, tmp_path, monkeypatch, capsys):
    out = str(tmp_path / "report.html")
    monkeypatch.setattr(sys, "argv", ["report.py", str(four_runs), "--out", out])
    runpy.run_path(str(ROOT / "tools" / "report.py"), run_name="__main__")
    assert f"wrote {out}" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["report.py", str(tmp_path / "none"), "--out", out])
    with pytest.raises(SystemExit, match="none has no run in it"):
        runpy.run_path(str(ROOT / "tools" / "report.py"), run_name="__main__")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_shows_the_page_within_the_width_of_a_window(four_runs, tmp_path):
    write_html([four_runs], tmp_path / "report.html")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    shot = tmp_path / "shot.png"
    for width in (1100, 420):
        options = [f"--window-size={width},2600", f"--screenshot={shot}"]
        address = (tmp_path / "report.html").as_uri()
        subprocess.run([*command, *options, address], check=True, capture_output=True, timeout=300)
        pixels = cv2.imread(str(shot))
        assert pixels.shape[1] == width
        coloured = (pixels.max(2).astype(int) - pixels.min(2)) > 60
        assert coloured.sum() > 500  # the curves
        assert (pixels[:, -4:] > 250).all() and (pixels[:, :4] > 250).all()  # empty margins
    dom = subprocess.run(
        [*command, "--dump-dom", address], check=True, capture_output=True, text=True, timeout=300
    ).stdout
    assert "nbn − ce" in dom


@pytest.mark.parametrize(("epochs", "found"), [(2, 52.0), (3, None)])
def test_the_score_of_an_earlier_epoch_is_not_taken_for_the_last(epochs, found, tmp_path):
    work_dir = logged_run(tmp_path / "runs", "ce", 0, few=20)
    for config in work_dir.rglob("*.py"):
        config.write_text(config.read_text() + f"\ntrain_cfg = dict(max_epochs={epochs})\n")
    ((_, by_seed),) = scores(find_runs([tmp_path / "runs"])).items()
    assert by_seed[0].get("accuracy/all") == found
