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
from mmdet_ltnorm.report import figures, write_html
from mmdet_ltnorm.report.runs import LoggedRun, config_differences, facts, find_runs, firsts, scores

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
            self.rows[-1].append(" ".join(data.split()))
        self.text.append(data)


def test_the_page_holds_scores_paired_differences_and_the_configs(four_runs, tmp_path):
    told = []
    left_out = write_html([four_runs], tmp_path / "report.html", told.append)
    assert told == ["4 runs of ce, nbn"]
    page = Page((tmp_path / "report.html").read_text())
    assert ["accuracy, %", "runs", "all", "few"] in page.rows
    # 12 and 22: standard deviation 7.1, of their mean 7.1 / sqrt(2).
    assert ["ce", "(baseline)", "2", "52.0 ± 0.0", "17.0 ± 5.0"] in page.rows
    # d = 4 and 6: mean 5, standard error sqrt(2) / sqrt(2).
    assert ["nbn − ce", "2", "+0.0 ± 0.0", "+5.0 ± 1.0"] in page.rows
    text = " ".join(" ".join(page.text).split())
    assert "nbn, against ce" in text and "model.backbone.norm_cfg.type = NBN" in text
    assert text.index("accuracy, %") < text.index("against ce") < text.index("Training loss")
    assert "learning rate 0.1" in text and "PyTorch 2.13.0" in text and "compiling" not in text
    (left_out,) = left_out
    assert "nbn_1 has no checkpoint" not in left_out and "has no checkpoint and 1 more" in left_out
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
    assert "against" not in "".join(page.text)


def test_scores_of_detectors_are_percentages(tmp_path):
    work_dir = logged_run(tmp_path, "seesaw", 0, 10)
    (file,) = work_dir.glob("*/vis_data/scalars.json")
    file.write_text(json.dumps({"lvis/segm_AP": 0.251, "lvis/segm_APr": float("nan"), "time": 1}))
    write_html([work_dir], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    assert ["AP, %", "runs", "mask AP"] in page.rows
    assert ["seesaw", "1", "25.1"] in page.rows


def test_only_what_differs_is_listed(tmp_path):
    one = logged_run(tmp_path, "ce", 0, 10)
    other = logged_run(tmp_path, "ce_fast", 5, 10, lr=0.2)
    runs = find_runs([one, other])
    assert {name: list(by_seed) for name, by_seed in runs.items()} == {"ce": [0], "ce_fast": [5]}
    assert config_differences(firsts(runs)) == {
        "ce_fast": [
            ("custom_hooks.1.by", "ce_fast", "ce"),
            ("optim_wrapper.optimizer.lr", "0.2", "0.1"),
        ]
    }
    assert facts([runs["ce"][0], runs["ce_fast"][5]]) == {
        "model": "ImageClassifier",
        "backbone": "ResNetCIFAR",
        "optimizer": "SGD",
    }


def dumped(folder, text):
    (folder / "config.py").write_text(text)
    return LoggedRun(folder, "name", folder / "config.py")


def test_variables_and_the_wrapping_of_a_backbone_are_no_differences(tmp_path):
    (tmp_path / "other").mkdir()
    plain = dumped(tmp_path, "model = dict(backbone=dict(type='ResNet', depth=8))\nlr = 1")
    text = """model = dict(backbone=dict(type='LTNormBackbone', norm_cfg=dict(type='NBN'),
        backbone=dict(type='ResNet', depth=8, norm_cfg=dict(type='BN'))))\nlr = 2"""
    assert config_differences({"plain": plain, "nbn": dumped(tmp_path / "other", text)}) == {
        "nbn": [
            ("model.backbone(LTNormBackbone).norm_cfg.type", "NBN", None),
            ("model.backbone.norm_cfg.type", "BN", None),
        ]
    }


def test_none_where_another_config_has_entries_is_no_difference_of_its_own(tmp_path):
    text = """model = dict(backbone=dict(type='LTNormBackbone', norm_cfg=@,
        backbone=dict(type='ResNet', norm_cfg=dict(type='BN'))), neck=None)"""
    folders = [tmp_path / name for name in ("none", "nbn")]
    for folder in folders:
        folder.mkdir()
    one, other = (
        dumped(folder, text.replace("@", norm))
        for folder, norm in zip(folders, ("None", "dict(type='NBN')"), strict=True)
    )
    key = "model.backbone(LTNormBackbone).norm_cfg.type"
    assert config_differences({"none": one, "nbn": other}) == {"nbn": [(key, "NBN", None)]}
    assert config_differences({"nbn": other, "none": one}) == {"none": [(key, None, "NBN")]}


def test_runs_are_in_the_order_that_was_asked_for(tmp_path):
    for hour, name in enumerate(("ce", "bs", "a_nbn")):
        work_dir = logged_run(tmp_path / name, "seed", 0, 10)
        for config in work_dir.rglob("*.py"):
            config.write_text(config.read_text() + f"\nepoch_length = {hour}\n")
        (work_dir / "seed.py").rename(work_dir / f"{name}.py")
        (work_dir / "20260101_000000").rename(work_dir / f"20260101_0{hour}0000")
    assert list(find_runs([tmp_path])) == ["ce", "bs", "a_nbn"]  # as they were started
    asked = {"runs": dict.fromkeys(("bs", "a_nbn", "ce"))}
    (tmp_path / "sweep.json").write_text(json.dumps(asked))
    assert list(find_runs([tmp_path])) == ["bs", "a_nbn", "ce"]  # as the sweep's command had them
    assert list(find_runs([tmp_path / "ce", tmp_path])) == ["ce", "bs", "a_nbn"]


def test_a_run_that_has_not_ended_is_in_no_mean(four_runs, tmp_path):
    scalars = next((four_runs / "nbn_1").glob("*/vis_data/scalars.json"))
    scalars.write_text(scalars.read_text().splitlines()[0])
    write_html([four_runs], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text())
    assert ["nbn", "1", "52.0", "16.0"] in page.rows
    assert ["nbn − ce", "1", "+0.0", "+4.0"] in page.rows


def test_a_detectors_groups_are_drawn_over_training(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, "draw_seeds", lambda _, seeds, look: drawn.append(seeds))
    work_dir = logged_run(tmp_path, "seesaw", 0, 10)
    (file,) = work_dir.glob("*/vis_data/scalars.json")
    scores = {"lvis/segm_AP": 0.2, "lvis/segm_APr": 0.1, "lvis/segm_APf": 0.3}
    file.write_text("\n".join(json.dumps({**scores, "time": 1, "step": s}) for s in (1, 2)))
    titles = [figure.title for figure in figures.curves(find_runs([work_dir]))]
    assert titles == ["Training loss", "Mask AP over training", "NBN's magnitude g"]
    assert [[y for _, y in points] for (points,) in drawn[1:]] == [[20, 20], [30, 30], [10, 10]]


def test_every_picture_of_the_page_says_what_it_shows(four_runs, tmp_path):
    write_html([four_runs], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    captions = re.findall("<figcaption>(.+?)</figcaption>", text)
    assert len(captions) == text.count("<img") >= 2
    assert all(re.fullmatch(r"[A-Z].+\.", caption) for caption in captions)


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
    assert any(
        name == "alt" and "scale γ and shift β" in value for _, name, value in page.attributes
    )
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
