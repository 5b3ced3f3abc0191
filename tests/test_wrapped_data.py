"""Joined, repeated and class-balanced data sets, which every tool takes as it takes a plain one."""

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATA_SAMPLERS, DATASETS, init_default_scope

from mmdet_ltnorm.calibration.hooks import _training_annotations
from mmdet_ltnorm.calibration.logn import classifier_loader
from mmdet_ltnorm.data import make_shapes_lt
from mmdet_ltnorm.data.wrapped import class_counts, dataset_classes, dataset_configs, labels_of
from mmdet_ltnorm.deployment import Predictor, export_onnx
from mmdet_ltnorm.results.trained import Trained

ROOT = Path(__file__).parents[1]
PART = dict(type="ImageFolder", pipeline=[])
WRAPPERS = {
    "joined": lambda a, b: dict(type="ConcatDataset", datasets=[a, b]),
    "repeated": lambda a, b: dict(type="RepeatDataset", times=3, dataset=a),
    "balanced": lambda a, b: dict(type="ClassBalancedDataset", oversample_thr=0.5, dataset=a),
    "joined and repeated": lambda a, b: dict(
        type="RepeatDataset", times=2, dataset=dict(type="ConcatDataset", datasets=[a, b])
    ),
}
LABELS = {
    "joined": [0, 0, 0, 0, 1, 0, 1, 1],
    "repeated": 3 * [0, 0, 0, 0, 1],
    "balanced": [0, 0, 0, 0, 1, 1],
    "joined and repeated": 2 * [0, 0, 0, 0, 1, 0, 1, 1],
}


@pytest.fixture(scope="module", autouse=True)
def scope():
    init_default_scope("mmdet")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two image folders: 4 and 1 images of two classes, and 1 and 2."""
    root = tmp_path_factory.mktemp("folders")
    for name, counts in {"one": (4, 1), "two": (1, 2)}.items():
        for label, count in zip("xy", counts, strict=True):
            (root / name / label).mkdir(parents=True)
            for number in range(count):
                image = np.full((8, 8, 3), 10 * number, np.uint8)
                cv2.imwrite(str(root / name / label / f"{number}.png"), image)
    return [dict(PART, data_root=str(root / name)) for name in ("one", "two")]


@pytest.mark.parametrize("name", WRAPPERS)
def test_counts_names_and_labels_are_those_of_the_parts(folders, name):
    cfg = ConfigDict(WRAPPERS[name](*folders))
    dataset = DATASETS.build(cfg)
    assert dataset_classes(dataset) == ("x", "y")
    assert class_counts(dataset) == ([5, 3] if "joined" in name else [4, 1])
    assert labels_of(dataset).tolist() == LABELS[name]
    assert [dataset[index]["gt_label"] for index in range(len(dataset))] == LABELS[name]
    roots = [part["data_root"][-3:] for part in dataset_configs(cfg)]
    assert roots == (["one", "two"] if "joined" in name else ["one"])
    sampler = dict(type="ClassPowerSampler", dataset=dataset, power=0, seed=0)
    assert set(DATA_SAMPLERS.build(sampler)) <= set(range(len(dataset)))


@pytest.mark.parametrize(
    ("classes", "message"),
    [(["y", "x"], "their order differs"), (["x", "y", "z"], r"only one of them has \['z'\]")],
)
def test_joined_sets_with_other_classes_are_refused(folders, classes, message):
    other = dict(folders[1], metainfo=dict(classes=classes))
    dataset = DATASETS.build(dict(type="ConcatDataset", datasets=[folders[0], other]))
    with pytest.raises(ValueError, match=f"must have the same classes: {message}"):
        dataset_classes(dataset)


def test_norcal_counts_the_annotations_of_all_parts():
    parts = [dict(type="CocoDataset", data_root="d", ann_file=f"{n}.json") for n in ("a", "b", "a")]
    cfg = dict(train_dataloader=dict(dataset=dict(type="ConcatDataset", datasets=parts)))
    assert _training_annotations(cfg) == ["d/a.json", "d/b.json"]


def test_logn_prepares_all_parts_as_for_tests(folders):
    test = [dict(type="LoadImageFromFile"), dict(type="PackClsInputs")]
    tested = dict(type="RepeatDataset", times=1, dataset=dict(folders[0], pipeline=test))
    cfg = dict(
        test_dataloader=dict(batch_size=2, dataset=tested),
        train_dataloader=dict(dataset=WRAPPERS["joined and repeated"](*folders)),
    )
    loader = classifier_loader(ConfigDict(cfg))
    assert [part["pipeline"] for part in dataset_configs(loader["dataset"])] == [test, test]


def wrapped_cfg(root, work_dir, wrap_train, wrap_test):
    """Return the demo's config on few images, with every data set wrapped."""
    cfg = Config.fromfile(ROOT / "configs/demo/cls_shapes_bs_nbn_lr.py")
    cfg.model.backbone.backbone.depth = 8
    for loader, wrap in (cfg.train_dataloader, wrap_train), (cfg.test_dataloader, wrap_test):
        loader.dataset.data_root = str(root)
        loader.update(num_workers=0, persistent_workers=False, batch_size=10)
        loader.dataset = wrap(loader.dataset, loader.dataset)
    cfg.val_dataloader = cfg.test_dataloader
    for part in dataset_configs(cfg.train_dataloader.dataset):
        part.imbalance_factor = 5
    cfg.train_cfg = dict(by_epoch=True, max_epochs=1)
    cfg.param_scheduler = None
    cfg.work_dir = str(work_dir)
    cfg.visualizer.vis_backends = [dict(type="LocalVisBackend")]
    cfg.dump(work_dir / "config.py")
    return work_dir / "config.py"


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp("shapes")
    make_shapes_lt(root, train_per_class=5, test_per_class=2)
    return root


def run_tool(monkeypatch, name, *arguments):
    tool = ROOT / "tools" / f"{name}.py"
    monkeypatch.setattr(sys, "argv", [str(tool), *map(str, arguments)])
    try:
        runpy.run_path(str(tool), run_name="__main__")
    except SystemExit as end:
        assert not end.code, end.code


@pytest.mark.slow
@pytest.mark.parametrize("wrapper", ["joined", "repeated"])
def test_the_tools_take_a_config_whose_data_sets_are_wrapped(
    shapes, tmp_path, monkeypatch, wrapper
):
    balanced = WRAPPERS["balanced"]
    config = wrapped_cfg(shapes, tmp_path, balanced, WRAPPERS[wrapper])
    run_tool(monkeypatch, "train", config)
    checkpoint = tmp_path / "epoch_1.pth"
    run_tool(
        monkeypatch, "test", config, checkpoint, "--post", "logn", "--out", f"{tmp_path}/a.json"
    )
    results = json.loads((tmp_path / "a.json").read_text())
    # A joined set's images all count, a repeated one's count once.
    assert len(results["label"]) == (40 if wrapper == "joined" else 20)
    trained = Trained(config, checkpoint)
    assert len(trained.class_names) == 10 and trained.counts.tolist() == [
        5,
        4,
        3,
        2,
        2,
        2,
        1,
        1,
        1,
        1,
    ]
    run_tool(monkeypatch, "analyze", "confusion", config, checkpoint, "--out", tmp_path / "look")
    image = tmp_path / "image.png"
    cv2.imwrite(str(image), np.zeros((32, 32, 3), np.uint8))
    predictor = Predictor(config, checkpoint)
    assert predictor(image).pred_score.shape == (10,) and len(predictor.groups) == 3
    pytest.importorskip("onnxruntime")
    assert export_onnx(config, checkpoint, tmp_path / "model.onnx") < 1e-4
