"""A report reads from runs what was trained and on which data, and runs no code of theirs."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from logged_runs import logged_run
from mmengine.config import Config
from mmengine.registry import MODELS

import mmdet_ltnorm.results.pictures as pictures_module
from mmdet_ltnorm.analysis import commands
from mmdet_ltnorm.engine.launch import build_test_runner
from mmdet_ltnorm.report import write_html
from mmdet_ltnorm.report.dumped import check_harmless, read_dumped
from mmdet_ltnorm.report.runs import by_data, find_runs
from mmdet_ltnorm.results.data_sets import check_same_data, data_title

ROOT = Path(__file__).parents[1]
SHAPES = dict(type="ShapesLT", data_root="data/shapes", imbalance_factor=50)
DIGITS = dict(type="DigitsLT", imbalance_factor=50)


@pytest.fixture(autouse=True)
def _small_pictures(monkeypatch):
    monkeypatch.setattr(pictures_module, "DPI", 40)


def test_runs_on_different_data_get_a_part_each_and_no_difference(tmp_path):
    for seed in (0, 1):
        logged_run(tmp_path / "runs", "digits_ce", seed, 10, data=DIGITS)
        logged_run(tmp_path / "runs", "digits_bs", seed, 14, data=DIGITS)
        logged_run(tmp_path / "runs", "shapes_ce", seed, 30, data=SHAPES)
    left_out = write_html([tmp_path / "runs"], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "The runs are of 2 data sets" in " ".join(text.split())
    assert ">DigitsLT, imbalance_factor 50</h1>" in text
    assert ">ShapesLT data/shapes, imbalance_factor 50</h1>" in text
    gaps = [line for line in text.splitlines() if "−" in line]
    assert len(gaps) == 1 and "digits_ce − digits_bs" in gaps[0]
    assert any("of ShapesLT data/shapes" in reason for reason in left_out)


def test_a_data_set_is_recognized_when_written_differently(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    same = dict(SHAPES, data_root=f"{tmp_path}/data/../data/shapes/", pipeline=[dict(type="A")])
    repeated = dict(type="mmdet.RepeatDataset", times=3, dataset=same)
    for name, data in {"a": SHAPES, "b": repeated}.items():
        logged_run(tmp_path / "runs", name, 0, 10, data=data)
    (part,) = by_data(find_runs([tmp_path / "runs"]))
    assert list(part) == ["a", "b"]


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (dict(SHAPES, imbalance_factor=100), r"ShapesLT\(imbalance_factor=50\) and .*=100\)"),
        (dict(SHAPES, data_root="elsewhere"), "data_root='.*shapes'.* and .*elsewhere"),
        (DIGITS, "ShapesLT.* and DigitsLT"),
        (dict(type="ConcatDataset", datasets=[SHAPES, DIGITS]), "and ShapesLT.* with DigitsLT"),
        (dict(SHAPES, metainfo=dict(classes=("a", "b"))), "and ShapesLT.metainfo="),
    ],
)
def test_configs_of_other_data_are_refused_with_what_differs(other, told):
    cfgs = {n: dict(train_dataloader=dict(dataset=d)) for n, d in (("a", SHAPES), ("b", other))}
    with pytest.raises(ValueError, match=f"a and b are of different data, .*{told}"):
        check_same_data(cfgs, "train_dataloader")
    assert data_title(cfgs["a"]) == "ShapesLT data/shapes, imbalance_factor 50"


@pytest.mark.parametrize("name", ["features", "channels", "attention", "components", "confusion"])
def test_analyses_of_models_of_different_data_are_refused_before_they_start(name, tmp_path):
    models = {
        label: [SimpleNamespace(cfg=dict(test_dataloader=dict(dataset=data)))]
        for label, data in {"digits": DIGITS, "shapes": SHAPES}.items()
    }
    with pytest.raises(ValueError, match="digits and shapes are of different data"):
        getattr(commands, name)(models, tmp_path)


def test_what_was_trained_is_what_training_wrote_whatever_a_test_left_later(tmp_path):
    work_dir = logged_run(tmp_path, "ce", 0, 10)
    tested = Config.fromfile(work_dir / "ce.py")
    tested.optim_wrapper.optimizer.lr = 5.0
    tested.dump(work_dir / "ce.py")  # as the host's own tool does
    (run,) = find_runs([work_dir])["ce"].values()
    assert run.entries["optim_wrapper.optimizer.lr"] == "0.1"
    newest = work_dir / "20260102_000000" / "vis_data"  # resumed with another rate
    shutil.copytree(work_dir / "20260101_000000" / "vis_data", newest)
    tested.dump(newest / "config.py")
    (run,) = find_runs([work_dir])["ce"].values()
    assert run.entries["optim_wrapper.optimizer.lr"] == "5.0"


def test_a_test_leaves_the_trainings_config_alone(tmp_path):
    config = tmp_path / "ce.py"
    config.write_text("lr = 0.1")
    cfg = Config.fromfile(config)
    data = dict(dataset=dict(type="DigitsLT", split="test"), batch_size=2, num_workers=0)
    model = dict(type="ImageClassifier", backbone=dict(type="ResNetCIFAR", depth=8))
    model["head"] = dict(type="ClsHead", num_classes=10)
    cfg.merge_from_dict(
        dict(
            model=model,
            work_dir=str(tmp_path / "run"),
            default_scope="mmdet",
            launcher="none",
            test_dataloader=dict(**data, sampler=dict(type="DefaultSampler", shuffle=False)),
            test_cfg=dict(),
            test_evaluator=dict(type="GroupAccuracy"),
        )
    )
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "ce.py").write_text("lr = 0.01  # trained")
    build_test_runner(cfg)
    assert (tmp_path / "run" / "ce.py").read_text() == "lr = 0.01  # trained"


@pytest.mark.parametrize(
    "name", ["demo/seesaw_nbn", "demo/cls_shapes_bcl_nbn", "imagenet_lt/imagenet_rx50_ride_nbn"]
)
def test_a_dumped_config_is_read_as_it_was_and_can_be_built(name, tmp_path):
    cfg = Config.fromfile(ROOT / "configs" / f"{name}.py")
    cfg.limits = dict(least=-float("inf"), most=1e-3, flags={"a b": (True, None)})
    cfg.dump(tmp_path / "dumped.py")
    found = read_dumped(tmp_path / "dumped.py")
    assert found.to_dict() | {"filename": None} == cfg.to_dict() | {"filename": None}
    check_harmless(found)


HOSTILE = [
    "__import__('os').system('touch {mark}')",
    "model = dict(type=__import__('os').system('touch {mark}'))",
    "import os\nos.system('touch {mark}')",
    "model = [print for print in (1,)]",
    "model = dict(**dict(a=1))",
    "model = open('{mark}', 'w')",
    "a, b = 1, 2",
    "x = (" * 400,
    "_base_ = ['{mark}.py'] + []",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_config_that_is_no_dump_is_refused_and_not_run(text, tmp_path):
    mark = tmp_path / "ran"
    work_dir = logged_run(tmp_path, "ce", 0, 10)
    for file in (work_dir / "ce.py", *work_dir.glob("*/vis_data/config.py")):
        file.write_text(text.format(mark=mark))
    with pytest.raises(ValueError, match="config.py.* (no plain value|no config that mmengine)"):
        write_html([work_dir], tmp_path / "report.html")
    assert not mark.exists()


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"model.type": "subprocess.call"}, "registered nowhere"),
        ({"model.backbone": dict(type="os.system", command="")}, "registered nowhere"),
        ({"model.neck": dict(type="evil.ResNetCIFAR")}, "registered nowhere"),
        ({"model._scope_": "evil"}, "none of OpenMMLab's packages"),
        ({"default_scope": "evil"}, "none of OpenMMLab's packages"),
        ({"model.test_cfg": dict(nms=dict(type="exit()"))}, "registered nowhere"),
        ({"model.tracker": dict(warp_mode="print(1)")}, "mmcv evaluates"),
        ({"test_dataloader.dataset": dict(type="DigitsLT", ann_file="x.pkl")}, "is a pickle"),
        ({"train_dataloader.collate_fn": dict(type="subprocess.call")}, "registered nowhere"),
    ],
)
def test_a_dump_that_names_code_is_reported_and_not_built(entries, told, tmp_path):
    work_dir = logged_run(tmp_path, "ce", 0, 10)
    cfg = Config.fromfile(work_dir / "ce.py")
    cfg.merge_from_dict(entries)
    cfg.dump(next(work_dir.glob("*/vis_data/config.py")))
    model = dict(type="ImageClassifier", backbone=dict(type="ResNetCIFAR", depth=8))
    model["head"] = dict(type="ClsHead", num_classes=10)
    torch.save({"state_dict": MODELS.build(model).state_dict()}, work_dir / "epoch_2.pth")
    left_out = write_html([work_dir], tmp_path / "report.html")
    assert len(left_out) == 2 and told in left_out[1]


def test_a_types_whole_path_is_known_where_it_is_the_registered_class(tmp_path):
    (tmp_path / "c.py").write_text(
        "model = dict(type='mmdet_ltnorm.classification.classifier.ImageClassifier',\n"
        "    backbone=dict(type='mmdet_ltnorm.classification.ResNetCIFAR'))"
    )
    check_harmless(read_dumped(tmp_path / "c.py"))


@pytest.mark.slow
def test_the_demos_own_folder_has_a_part_for_each_set(tmp_path):
    folder = ROOT / "work_dirs" / "demo_cls"
    if not folder.is_dir():
        pytest.skip("the demo has not run")
    command = [sys.executable, "tools/report.py", str(folder), "--out", str(tmp_path / "r.html")]
    subprocess.run(command, check=True, cwd=ROOT, timeout=600)
    assert "Shapes" in (tmp_path / "r.html").read_text()
