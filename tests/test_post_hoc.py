"""`tools/test.py --post`: trained models are calibrated, tested and left as they were."""

import itertools
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from tiny_mask_rcnn import as_arguments, tiny_data, tiny_model
from torch import nn

from mmdet_ltnorm.calibration.logn import detector_loader, detector_moments
from mmdet_ltnorm.data import make_shapes_lt

ROOT = Path(__file__).parents[1]
SHAPES = ROOT / "configs" / "demo" / "cls_shapes_ce.py"
_runs = itertools.count()


@pytest.fixture
def predictions(tmp_path, monkeypatch):
    """Run tools/test.py in this process, and return its predictions and its scores."""

    def run(config, checkpoint, options, *post):
        work_dir = tmp_path / str(next(_runs))
        options = {**options, "experiment_name": f"post-{work_dir.name}"}
        command = ["test.py", config, checkpoint, "--work-dir", work_dir, *post]
        command += ["--cfg-options", *as_arguments(options)]
        monkeypatch.setattr(sys, "argv", list(map(str, command)))
        samples, process = [], Evaluator.process

        def keep(evaluator, data_samples, data_batch=None):
            samples.extend(sample.to_dict() for sample in data_samples)
            process(evaluator, data_samples, data_batch)

        with monkeypatch.context() as patch:
            patch.setattr(Evaluator, "process", keep)
            runpy.run_path(str(ROOT / "tools" / "test.py"), run_name="__main__")
        [file] = work_dir.glob("*/*.json")
        return samples, json.loads(file.read_text())

    return run


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Options for a small Shapes-LT, and a checkpoint of a network with random weights."""
    root = tmp_path_factory.mktemp("shapes")
    make_shapes_lt(root / "data", train_per_class=50, test_per_class=4)
    options = {
        "train_dataloader.dataset.data_root": root / "data",
        "train_dataloader.dataset.imbalance_factor": 10,
        "test_dataloader.dataset.data_root": root / "data",
        "test_dataloader.batch_size": 16,
    }
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(Config.fromfile(SHAPES).model)
    nn.init.normal_(model.head.predictor.weight, std=3)
    nn.init.zeros_(model.head.predictor.bias)
    torch.save({"state_dict": model.state_dict()}, root / "a.pth")
    return options, root / "a.pth"


def probabilities(samples):
    return torch.stack([sample["pred_score"] for sample in samples])


def logits_of(options, checkpoint):
    """Return the logits and labels of the training and the test images, without any runner."""
    cfg = Config.fromfile(SHAPES)
    cfg.merge_from_dict(options)
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(checkpoint)["state_dict"])
    found = []
    for split in "train", "test":
        dataset = cfg[f"{split}_dataloader"].dataset
        dataset.pipeline = cfg.test_dataloader.dataset.pipeline
        loader = dict(batch_size=7, num_workers=0, dataset=dataset, collate_fn=dict(
            type="default_collate"), sampler=dict(type="DefaultSampler", shuffle=False),
        )  # fmt: skip
        with torch.no_grad():
            batches = [model.data_preprocessor(b, False) for b in Runner.build_dataloader(loader)]
            found.append(torch.cat([model(**b) for b in batches]))
            labels = [sample.gt_label for b in batches for sample in b["data_samples"]]
            found.append(torch.cat(labels))
    return found


def test_classifiers_are_calibrated_from_the_command_line(shapes, predictions):
    options, checkpoint = shapes
    train, train_labels, test, test_labels = logits_of(options, checkpoint)
    prior = torch.bincount(train_labels) / len(train_labels)
    assert prior.max() > 9 * prior.min()
    mean, std = train.double().mean(0), train.double().std(0, correction=0)
    length = torch.load(checkpoint)["state_dict"]["head.predictor.weight"].norm(dim=1)
    expected = {
        (): test,
        ("--post", "logit_adjustment"): test - prior.log(),
        ("--post", "logit_adjustment", "--post-strength", "0.25"): test - 0.25 * prior.log(),
        ("--post", "logn"): ((test - mean + mean.min()) / std).float(),
        ("--post", "tau_norm"): test / length,
    }
    found = {}
    for post, logits in expected.items():
        samples, scores = predictions(SHAPES, checkpoint, options, *post)
        found[post] = probabilities(samples)
        torch.testing.assert_close(found[post], logits.softmax(1))
        right = 100 * (logits.argmax(1) == test_labels).double().mean().item()
        assert scores["accuracy/all"] == pytest.approx(right)
    assert not any(torch.allclose(found[()], found[post]) for post in expected if post)
    for method in "logit_adjustment", "tau_norm":  # strength 0 changes no bit
        post = "--post", method, "--post-strength", "0"
        samples, _ = predictions(SHAPES, checkpoint, options, *post)
        assert torch.equal(probabilities(samples), found[()])


@pytest.fixture(scope="module")
def detector(mini_lvis, tmp_path_factory):
    """A config of cross entropy, options of a tiny model on mini-LVIS, and a random checkpoint."""
    config = ROOT / "configs" / "lvis" / "ce_nbn_2x.py"
    file = mini_lvis / "annotations" / "lvis_v1_train.json"
    categories = json.loads(file.read_text())["categories"]
    options = {**tiny_model(8), **tiny_data(mini_lvis, image_size=64)}
    del options["model.roi_head.bbox_head.loss_cls.num_classes"]
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        options[f"{loader}.dataset.metainfo.classes"] = [c["name"] for c in categories]
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(options)
    model = MODELS.build(cfg.model)
    nn.init.normal_(model.roi_head.bbox_head.fc_cls.bias, std=2)
    checkpoint = tmp_path_factory.mktemp("detector") / "a.pth"
    torch.save({"state_dict": model.state_dict()}, checkpoint)
    return config, options, checkpoint


def test_detectors_are_calibrated_from_the_command_line(detector, predictions):
    config, options, checkpoint = detector

    def detections(*post):
        samples, scores = predictions(config, checkpoint, options, *post)
        assert 0 <= scores["lvis/bbox_AP"] <= 1
        found = [sample["pred_instances"] for sample in samples]
        parts = ([np.asarray(f[part]) for f in found] for part in ("scores", "labels"))
        return list(map(np.concatenate, parts))

    plain, same, norcal, logn = (
        detections(),
        detections("--post", "norcal", "--post-strength", "0"),
        detections("--post", "norcal"),
        detections("--post", "logn"),
    )
    assert len(plain[0]) > 0
    for one, other in zip(plain, same, strict=True):
        np.testing.assert_array_equal(one, other)
    for calibrated in (norcal, logn):
        assert calibrated[0].shape != plain[0].shape or not np.allclose(calibrated[0], plain[0])
        assert np.isfinite(calibrated[0]).all()


def test_a_detectors_moments_are_those_of_the_proposals_that_training_samples(detector):
    config, options, checkpoint = detector
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(options)
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(checkpoint)["state_dict"])
    head = model.roi_head.bbox_head
    loss, seen = head.loss_cls, []
    handle = head.fc_cls.register_forward_hook(lambda layer, x, y: seen.append(y))
    loader = Runner.build_dataloader(detector_loader(cfg), seed=0)
    moments = detector_moments(model, head, loader)
    handle.remove()
    logits = torch.cat(seen).double()
    images = len(loader.dataset)
    assert logits.shape == (16 * images, 9)  # the sampler's number of proposals an image
    torch.testing.assert_close(moments.mean[0], logits[:, :8].mean(0))
    torch.testing.assert_close(moments.std[0], logits[:, :8].std(0, correction=0))
    assert head.loss_cls is loss and not head.training


def test_a_method_without_strength_is_given_none(shapes, predictions):
    options, checkpoint = shapes
    for post, got in ((), "no --post"), (("--post", "logn"), "--post logn, which has no strength"):
        with pytest.raises(SystemExit, match=f"--post-strength is an option .* got {got}"):
            predictions(SHAPES, checkpoint, options, *post, "--post-strength", "1")


def test_logn_looks_for_the_training_set_before_it_starts(detector, predictions):
    config, options, checkpoint = detector
    options = {**options, "train_dataloader.dataset.data_root": "nowhere/"}
    with pytest.raises(SystemExit, match="train_dataloader: .*nowhere/anno.* does not exist"):
        predictions(config, checkpoint, options, "--post", "logn")


def test_a_classifier_whose_logits_are_constant_is_no_trained_model(shapes, predictions, tmp_path):
    options, checkpoint = shapes
    state = torch.load(checkpoint)["state_dict"]
    state["head.predictor.weight"][3] = 0
    torch.save({"state_dict": state}, tmp_path / "constant.pth")
    with pytest.raises(SystemExit, match="the logit of class 3 is the same for all"):
        predictions(SHAPES, tmp_path / "constant.pth", options, "--post", "logn")
