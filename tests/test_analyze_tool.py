"""tools/analyze.py on classifiers that were trained for seconds, and on a miniature detector."""

import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from tiny_mask_rcnn import CONFIGS, tiny_data, tiny_model

import mmdet_ltnorm.results.pictures as pictures_module

ROOT = Path(__file__).parents[1]
NORMS = {"nbn": dict(type="NBN"), "cbn": dict(type="CBN", num_components=3)}
CONFIG = """
_base_ = {base!r}
custom_hooks = [*_base_.custom_hooks, dict(type="FeatureBiasHook")]
train_cfg = dict(_delete_=True, type="IterBasedTrainLoop", max_iters=20, val_interval=20)
param_scheduler = None
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=20), logger=dict(interval=10))
# Serializing takes longer than reading these few images.
train_dataloader = dict(dataset=dict(serialize_data=False))
val_dataloader = dict(dataset=dict(indices={tested}, serialize_data=False))
test_dataloader = val_dataloader
"""
BACKBONE = """
model = dict(backbone=dict(norm_cfg={norm_cfg}))
"""
TESTED = 250  # images of the test set


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch):
    monkeypatch.setattr(pictures_module, "DPI", 40)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Config and checkpoint of small digit classifiers, by norm; their work dirs have logs."""
    root = tmp_path_factory.mktemp("digits")
    files = {}
    with DefaultScope.overwrite_default_scope("mmdet"):
        for name in ("ce", *NORMS):
            config, work_dir = root / f"{name}.py", root / name
            text = CONFIG.format(base=str(ROOT / "configs/demo/cls_digits_ce.py"), tested=TESTED)
            text += BACKBONE.format(norm_cfg=NORMS[name]) if name in NORMS else ""
            config.write_text(text)
            cfg = Config.fromfile(config)
            cfg.val_evaluator.per_class_file = str(work_dir / "classes.csv")
            cfg.work_dir, cfg.experiment_name = str(work_dir), f"digits-{name}"
            Runner.from_cfg(cfg).train()
            files[name] = [str(config), str(work_dir / "iter_20.pth")]
    return files


def analyze(monkeypatch, name, *arguments):
    monkeypatch.setattr(sys, "argv", ["analyze.py", name, *map(str, arguments)])
    runpy.run_path(str(ROOT / "tools" / "analyze.py"), run_name="__main__")


def pictures(folder):
    return sorted(path.name for path in folder.glob("*.png"))


def test_gamma_of_several_checkpoints_needs_no_data(digits, tmp_path, monkeypatch, capsys):
    files = [*digits["ce"], *digits["nbn"], *digits["cbn"]]
    config = tmp_path / "ce.py"
    no_data = "test_dataloader = dict(dataset=dict(type='NoSuchData'))"
    config.write_text(f"_base_ = {files[0]!r}\n{no_data}\n")
    analyze(monkeypatch, "gamma", config, *files[1:], "--out", tmp_path / "out")
    assert pictures(tmp_path / "out") == ["gamma.png", "gamma_all.png"]
    numbers = np.load(tmp_path / "out" / "gamma.npz")
    name = "backbone.layer3.0.bn2"
    saved = torch.load(files[3], weights_only=False)["state_dict"]
    raw = saved[f"{name}.weight"]
    np.testing.assert_allclose(
        numbers[f"nbn/{name}"][0, 0], saved[f"{name}.magnitude"] * raw / raw.norm(), rtol=1e-5
    )
    assert numbers[f"cbn/{name}"].shape == (2, 3, 64)
    said = capsys.readouterr().out
    assert "γ is, the more alike" in said and "largest γ" in said and "layer3.0.bn2" in said


def test_features_channels_attention_and_confusion_of_classifiers(
    digits, tmp_path, monkeypatch, capsys
):
    files = [*digits["ce"], *digits["nbn"], "--labels", "CE", "CE + NBN", "--out", tmp_path]
    analyze(monkeypatch, "features", *files)
    content = json.loads((tmp_path / "features.json").read_text())
    assert content["CE"]["all"]["samples"] == TESTED and content["CE"]["many"]["var_mu"] is None
    assert np.load(tmp_path / "features.npz")["CE + NBN/few/std"].shape == (64,)
    analyze(monkeypatch, "channels", *files)
    # No digit has more than 100 training images.
    assert "what the medium classes (head) and the few ones (tail) lose" in capsys.readouterr().out
    analyze(monkeypatch, "attention", *files)
    assert np.load(tmp_path / "attention.npz")["CE/maps"].shape[:2] == (3, 3)
    chosen = ["--rare", "9", "--frequent", "0", "--images", 5, "--out", tmp_path]
    analyze(monkeypatch, "attention", *digits["ce"], "--labels", "CE", *chosen)
    content = json.loads((tmp_path / "attention.json").read_text())["CE"]
    assert content == {"rare class": "9", "frequent class": "0", "top": 8}
    analyze(monkeypatch, "confusion", *files)
    assert np.load(tmp_path / "confusion.npz")["CE/matrix"].sum() == TESTED
    wanted = ["attention", "channels", "classes", "confusion", "features"]
    assert pictures(tmp_path) == [f"{name}.png" for name in wanted]


def test_accuracies_of_the_analysis_are_those_of_the_metric(digits, tmp_path, monkeypatch):
    analyze(monkeypatch, "confusion", *digits["ce"], "--out", tmp_path / "a")
    file = Path(digits["ce"][1]).with_name("classes.csv")
    analyze(monkeypatch, "classes", file, "--labels", "ce", "--out", tmp_path / "b")
    ours, metric = (np.load(tmp_path / name / "classes.npz") for name in "ab")
    np.testing.assert_allclose(ours["ce/score"], metric["ce/score"])
    np.testing.assert_array_equal(ours["ce/counts"], metric["ce/counts"])


def test_components_and_magnitude(digits, tmp_path, monkeypatch, capsys):
    analyze(monkeypatch, "components", *digits["cbn"], "--out", tmp_path)
    shares = np.load(tmp_path / "components.npz")["cbn/responsibilities"]
    np.testing.assert_allclose(shares[1:].sum(1), 1, rtol=1e-5)  # no digit is many-shot
    analyze(monkeypatch, "magnitude", Path(digits["nbn"][1]).parent, "--out", tmp_path)
    assert pictures(tmp_path) == ["components.png", "magnitude.png"]
    said = capsys.readouterr().out
    assert "at iteration" in said and " 20 |" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["gamma", "ce", "--layer", "bn9"],
            "has no batch norm layer 'bn9'; there are backbone.bn1",
        ),
        (["channels", "ce", "--head", "many"], "no class is in a group 'many'"),
        (["components", "nbn"], "has no CBN layer"),
        (["attention", "ce", "--rare", "x", "--frequent", "0"], "no class 'x'; there are 0, 1, 2"),
        (["attention", "ce", "--rare", "9"], "both classes or none, got rare='9', frequent=None"),
    ],
)
def test_faults_are_told_in_one_line(digits, tmp_path, monkeypatch, arguments, message):
    name, norm, *options = arguments
    with pytest.raises(SystemExit, match=message):
        analyze(monkeypatch, name, *digits[norm], *options, "--out", tmp_path)


def test_files_that_are_not_configs_with_checkpoints_are_refused(digits, tmp_path, monkeypatch):
    config, checkpoint = digits["ce"]
    for files, message in [
        ([checkpoint], "the first file must be a config, got"),
        ([config], "got 0 and the labels none"),
        ([config, checkpoint, "--labels", "a", "b"], "got 1 and the labels a, b"),
        ([tmp_path / "no.py"], "no.py does not exist"),
    ]:
        with pytest.raises(SystemExit, match=message):
            analyze(monkeypatch, "features", *files, "--out", tmp_path)


@pytest.fixture(scope="module")
def detector(mini_lvis, tmp_path_factory):
    """Config and checkpoint of a Mask R-CNN that was not trained."""
    root = tmp_path_factory.mktemp("detector")
    categories = json.loads((mini_lvis / "annotations/lvis_v1_val.json").read_text())["categories"]
    cfg = Config.fromfile(CONFIGS / "seesaw_nbn_2x.py")
    cfg.merge_from_dict(tiny_model(len(categories)))
    cfg.merge_from_dict(tiny_data(mini_lvis, image_size=96))
    for name in ("train_dataloader", "val_dataloader", "test_dataloader"):
        cfg[name].dataset.metainfo = dict(classes=[c["name"] for c in categories])
    cfg.dump(root / "tiny.py")
    with DefaultScope.overwrite_default_scope("mmdet"):
        torch.save({"state_dict": MODELS.build(cfg.model).state_dict()}, root / "tiny.pth")
    return [str(root / "tiny.py"), str(root / "tiny.pth")]


def test_a_detectors_gamma_and_features_of_its_annotated_boxes(
    detector, mini_lvis, tmp_path, monkeypatch
):
    content = json.loads((mini_lvis / "annotations/lvis_v1_val.json").read_text())
    analyze(monkeypatch, "gamma", *detector, "--out", tmp_path)
    analyze(monkeypatch, "features", *detector, "--out", tmp_path)
    found = json.loads((tmp_path / "features.json").read_text())["tiny"]
    assert found["all"]["samples"] == len(content["annotations"])
    letters = {c["id"]: c["frequency"] for c in content["categories"]}
    for name, letter in {"rare": "r", "common": "c", "frequent": "f"}.items():
        own = [a for a in content["annotations"] if letters[a["category_id"]] == letter]
        assert found[name]["samples"] == len(own)
    assert np.load(tmp_path / "features.npz")["tiny/all/mean"].shape == (256,)


def test_attention_of_a_detector_is_refused(detector, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="attention is of image classifiers, .* got a MaskRCNN"):
        analyze(monkeypatch, "attention", *detector, "--out", tmp_path)
