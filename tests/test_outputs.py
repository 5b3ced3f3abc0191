"""Nothing is written over what is read, nor over another output."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from mmdet_ltnorm.deployment import export_onnx, export_plain
from mmdet_ltnorm.engine.launch import config_for_testing, config_for_training
from mmdet_ltnorm.report import write_html
from mmdet_ltnorm.sweep import plan_runs
from mmdet_ltnorm.writing import check_outputs

TOOLS = Path(__file__).parents[1] / "tools"


def test_two_names_of_one_file_are_known(tmp_path):
    read, other = tmp_path / "a.json", tmp_path / "b.json"
    read.touch()
    other.touch()
    (tmp_path / "link.json").symlink_to(read)
    (tmp_path / "hard.json").hardlink_to(read)
    (tmp_path / "folder").symlink_to(tmp_path)
    for name in ("a.json", "link.json", "hard.json", "folder/a.json", "x/../A.json"):
        with pytest.raises(ValueError, match=r"would be written over .*a\.json: name another"):
            check_outputs([tmp_path / name], [other, read])
    with pytest.raises(ValueError, match=r"NEW\.json would be written over .*new\.json"):
        check_outputs([tmp_path / "new.json", tmp_path / "NEW.json"])
    check_outputs([tmp_path / "new.json", other], [read, read])


def test_exports_keep_the_config_and_the_checkpoint(tmp_path):
    config, checkpoint = tmp_path / "street.py", tmp_path / "epoch_1.pth"
    for file in (config, checkpoint):
        file.write_text("kept")
    for out in ("street.pth", "epoch_1.pth"):
        with pytest.raises(ValueError, match="would be written over"):
            export_plain(config, checkpoint, tmp_path / out)
    (tmp_path / "base.py").write_text("kept")
    with pytest.raises(ValueError, match=r"base\.py .*would be written over"):
        export_plain(config, checkpoint, tmp_path / "base.pth")
    with pytest.raises(ValueError, match="would be written over"):
        export_onnx(config, checkpoint, checkpoint)
    assert {file.read_text() for file in tmp_path.iterdir()} == {"kept"}


def arguments(config, **others):
    defaults = dict(
        config=str(config), work_dir=None, cfg_options={}, launcher="none", local_rank=0,
        amp=False, compile=False, auto_scale_lr=False, resume=None, post=None, post_strength=None,
        show_dir=None, out=None, checkpoint=str(config),
    )  # fmt: skip
    return SimpleNamespace(**{**defaults, **others})


@pytest.fixture
def config(tmp_path):
    (tmp_path / "base.py").write_text(
        "model = dict(type='FasterRCNN')\n"
        "val_evaluator = dict(type='LTLVISMetric', ann_file='v.json')"
    )
    file = tmp_path / "street.py"
    file.write_text("_base_ = './base.py'\ntest_evaluator = _base_.val_evaluator")
    return file


def test_training_and_testing_keep_a_config_that_has_bases(config, tmp_path):
    for make in (config_for_training, config_for_testing):
        with pytest.raises(ValueError, match=r"is the folder of .*street\.py, which would be"):
            make(arguments(config, work_dir=str(tmp_path)))
    Config.fromfile(config).dump(config)  # as it is in a work directory
    config_for_training(arguments(config, work_dir=str(tmp_path)))


def test_testing_keeps_the_annotations_and_the_checkpoint(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for out in ("v.json", "sub/../v.json"):
        with pytest.raises(ValueError, match=r"v\.json would be written over"):
            config_for_testing(arguments(config, out=out))
    (tmp_path / "w.pth").touch()
    with pytest.raises(ValueError, match=r"per\.json would be written over per\.json"):
        twice = {"test_evaluator.per_class_file": "per.json"}
        config_for_testing(arguments(config, out="per.json", cfg_options=twice))


@pytest.mark.parametrize("wanted", ["auto", "lvis/bbox_AP", ["lvis/bbox_AP", "auto"]])
def test_the_best_checkpoint_is_that_of_the_greatest_score_of_lvis(wanted, config):
    options = {"default_hooks.checkpoint": dict(type="CheckpointHook", save_best=wanted)}
    cfg = config_for_training(arguments(config, cfg_options=options))
    assert cfg.default_hooks.checkpoint.rule == "greater"
    options["default_hooks.checkpoint"]["save_best"] = "coco/bbox_mAP"
    cfg = config_for_training(arguments(config, cfg_options=options))
    assert "rule" not in cfg.default_hooks.checkpoint


def test_a_page_ends_in_html_and_runs_need_different_names(toy_run, tmp_path):
    with pytest.raises(ValueError, match=r"must be called NAME\.html, got .*epoch_2\.pth"):
        write_html([toy_run], toy_run / "epoch_2.pth")
    with pytest.raises(ValueError, match="configs need different names"):
        plan_runs(["a/bs.py", "b/BS.py"], [0], str(tmp_path))


def test_an_analysis_keeps_the_table_that_it_reads(tmp_path, monkeypatch):
    import runpy

    table = tmp_path / "classes.json"
    table.write_text("kept")
    monkeypatch.setattr(sys, "argv", ["analyze.py", "classes", str(table), "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"classes\.json would be written over .*classes\.json"):
        runpy.run_path(str(TOOLS / "analyze.py"), run_name="__main__")
    assert table.read_text() == "kept"
