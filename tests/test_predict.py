"""tools/predict.py on image files, and mmdet's DetInferencer on our configs."""

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pycocotools.mask as mask_api
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import nn

from mmdet_ltnorm.data import make_shapes_lt
from mmdet_ltnorm.deployment import Predictor, predict_files
from mmdet_ltnorm.deployment.drawing import group_colours

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "tools" / "predict.py"
SIZE = 96


def predict(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(TOOL), *map(str, arguments)])
    runpy.run_path(str(TOOL), run_name="__main__")


def write_image(file, shape, seed=0):
    file.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*shape, 3))
    cv2.imwrite(str(file), noise.astype(np.uint8))
    return file


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """The demo's config with NBN and LR on made data, and a checkpoint without class names."""
    root = tmp_path_factory.mktemp("classifier")
    make_shapes_lt(root, train_per_class=120, test_per_class=1)
    init_default_scope("mmdet")
    cfg = Config.fromfile(ROOT / "configs/demo/cls_shapes_bs_nbn_lr.py")
    for loader in cfg.train_dataloader, cfg.test_dataloader:
        loader.dataset.data_root = str(root)
    cfg.train_dataloader.dataset.imbalance_factor = 100
    cfg.dump(root / "config.py")
    torch.save({"state_dict": MODELS.build(cfg.model).state_dict()}, root / "trained.pth")
    return root / "config.py", root / "trained.pth"


def test_a_classifiers_five_best_classes_go_into_pictures_and_a_file(
    classifier, tmp_path, monkeypatch, capsys
):
    file = write_image(tmp_path / "a" / "same.png", (32, 32), 1)
    write_image(tmp_path / "b" / "same.jpg", (40, 32), 2)
    (tmp_path / "b" / "notes.txt").write_text("no image")
    out = tmp_path / "out"
    predict(monkeypatch, *classifier, file, tmp_path / "b", "--out", out)
    assert "wrote 2 pictures" in capsys.readouterr().out
    records = json.loads((out / "predictions.json").read_text())
    assert [record["picture"] for record in records] == ["same_0.png", "same_1.png"]
    assert sorted(p.name for p in out.iterdir()) == ["predictions.json", "same_0.png", "same_1.png"]
    model = Predictor(*classifier).model
    with torch.no_grad():
        image = torch.from_numpy(cv2.imread(str(file)).transpose(2, 0, 1)).float()
        scores = model((image[None] - 128) / 64)[0].softmax(0).numpy()
    best = records[0]["predictions"]
    assert [entry["label"] for entry in best] == np.argsort(-scores)[:5].tolist()
    np.testing.assert_allclose(
        [entry["score"] for entry in best], np.sort(scores)[:-6:-1], atol=1e-4
    )
    assert {entry["group"] for entry in best} <= {"many", "medium", "few"}
    picture = cv2.imread(str(out / "same_0.png"))[..., ::-1]
    for group in {entry["group"] for entry in best}:  # a bar of this colour
        colour = tuple(bytes.fromhex(group_colours(["many", "medium", "few"])[group][1:]))
        assert (picture == colour).all(-1).sum() > 100


def test_without_the_data_classes_are_numbers_and_groups_unknown(classifier, tmp_path):
    cfg = Config.fromfile(classifier[0])
    cfg.train_dataloader.dataset.data_root = cfg.test_dataloader.dataset.data_root = "nowhere"
    cfg.dump(tmp_path / "config.py")
    predictor = Predictor(tmp_path / "config.py", classifier[1])
    image = write_image(tmp_path / "image.png", (32, 32))
    (record,) = predict_files(predictor, [image], tmp_path / "out")
    assert all(entry["class"] == str(entry["label"]) for entry in record["predictions"])
    assert not any("group" in entry for entry in record["predictions"])


def test_what_cannot_be_read_is_named(classifier, tmp_path, monkeypatch):
    config, checkpoint = classifier
    write_image(tmp_path / "image.png", (32, 32))
    (tmp_path / "broken.png").write_bytes((tmp_path / "image.png").read_bytes()[:40])
    (tmp_path / "empty").mkdir()
    for files, message in [
        ((config, checkpoint, tmp_path / "no.png"), "no.png does not exist"),
        ((config, checkpoint, tmp_path / "empty"), "no image is in .*empty"),
        ((config, checkpoint, tmp_path / "broken.png"), "broken.png is not an image"),
        ((config, tmp_path / "no.pth", tmp_path / "image.png"), "no.pth can not be found"),
        ((tmp_path / "no.py", checkpoint, tmp_path / "image.png"), "No such file .*no.py"),
    ]:
        with pytest.raises(SystemExit, match=message):
            predict(monkeypatch, *files, "--out", tmp_path / "out")


@pytest.fixture(scope="module")
def detector(mini_lvis, tmp_path_factory):
    """The demo's Mask R-CNN with NBN, made to find something, and the names of its classes."""
    root = tmp_path_factory.mktemp("detector")
    ann_file = mini_lvis / "annotations/lvis_v1_val.json"
    names = [entry["name"] for entry in json.loads(ann_file.read_text())["categories"]]
    init_default_scope("mmdet")
    cfg = Config.fromfile(ROOT / "configs/demo/seesaw_nbn.py")
    heads = cfg.model.roi_head
    for part in heads.bbox_head, heads.bbox_head.loss_cls, heads.mask_head:
        part.num_classes = len(names)
    dataset = cfg.test_dataloader.dataset
    dataset.update(data_root=f"{mini_lvis}/", metainfo=dict(classes=names))
    cfg.dump(root / "config.py")
    model = MODELS.build(cfg.model)
    nn.init.normal_(model.roi_head.bbox_head.fc_cls.weight)
    checkpoint = {"state_dict": model.state_dict(), "meta": {"dataset_meta": {"classes": names}}}
    torch.save(checkpoint, root / "trained.pth")
    return root / "config.py", root / "trained.pth", names


def test_a_detectors_boxes_and_masks_go_into_pictures_and_a_file(detector, mini_lvis, tmp_path):
    config, checkpoint, names = detector
    predictor = Predictor(config, checkpoint)
    image = write_image(tmp_path / "image.png", (SIZE, 80))
    (record,) = predict_files(predictor, [image], tmp_path / "out", score_thr=0.05)
    found = predictor(image).pred_instances
    scores = [entry["score"] for entry in record["predictions"]]
    assert len(scores) == (found.scores >= 0.05).sum() > 0
    assert scores == sorted(scores, reverse=True)
    content = json.loads((mini_lvis / "annotations/lvis_v1_val.json").read_text())
    frequency = {entry["name"]: entry["frequency"] for entry in content["categories"]}
    best = found.scores.argmax()
    first = record["predictions"][0]
    assert first["class"] == names[found.labels[best]]
    assert first["group"][0] == frequency[first["class"]]
    np.testing.assert_allclose(first["bbox"], found.bboxes[best], atol=0.01)
    mask = mask_api.decode(first["mask"])
    assert mask.shape == (SIZE, 80)
    np.testing.assert_array_equal(mask, found.masks[best])
    picture = cv2.imread(str(tmp_path / "out" / "image.png"))
    assert picture.shape == (6 * SIZE, 6 * 80, 3)
    plain = cv2.resize(cv2.imread(str(image)), picture.shape[1::-1], interpolation=0)
    assert (picture != plain).any()


def test_mmdets_inferencer_takes_the_config_and_the_checkpoint(detector, tmp_path):
    from mmdet.apis import DetInferencer

    config, checkpoint, names = detector
    image = write_image(tmp_path / "image.png", (SIZE, 80))
    inferencer = DetInferencer(
        model=str(config), weights=str(checkpoint), device="cpu", show_progress=False
    )
    out = tmp_path / "out"
    result = inferencer(str(image), out_dir=str(out), pred_score_thr=0.05)["predictions"][0]
    ours = Predictor(config, checkpoint)(image).pred_instances
    assert inferencer.model.dataset_meta["classes"] == names
    np.testing.assert_allclose(result["scores"], ours.scores, rtol=1e-5)
    np.testing.assert_allclose(result["bboxes"], ours.bboxes, rtol=1e-4, atol=1e-3)
    assert result["labels"] == ours.labels.tolist()
    assert (out / "vis" / "image.png").is_file()
