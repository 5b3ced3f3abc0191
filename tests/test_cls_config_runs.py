"""Every classification config trains, is evaluated and resumes, on data in the real format."""

import math

import cv2
import numpy as np
import pytest
import torch
from cifar_files import write_cifar10, write_cifar100
from mmengine.runner import Runner
from small_cls_configs import CONFIGS, by_name, small

from mmdet_ltnorm.data import image_list, make_shapes_lt
from mmdet_ltnorm.engine.checks import magnitudes

LISTS = {  # list files of the published splits, an image of each, and the number of classes
    "ImageNetLT": ("ImageNet_LT_{}.txt", "train/n01440764/n01440764_{}.JPEG", 1000),
    "PlacesLT": ("Places_LT_{}.txt", "data_256/a/airfield/{:08}.jpg", 365),
    "INaturalist18": ("iNaturalist18_{}.txt", "train_val2018/Plantae/7477/{}.jpg", 8142),
}


@pytest.fixture(scope="session")
def data_roots(tmp_path_factory):
    """Data roots by the type of the data set."""
    roots = {kind: tmp_path_factory.mktemp(kind) for kind in LISTS}
    for kind, (name, image, classes) in LISTS.items():
        for split in "train", "val", "test":
            labels = np.linspace(0, classes - 1, 8).astype(int)
            lines = [f"{image.format(i)} {label}\n" for i, label in enumerate(labels)]
            (roots[kind] / name.format(split)).write_text("".join(lines))
        for number in range(8):
            file = roots[kind] / image.format(number)
            file.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).integers(0, 255, (50, 60 + number, 3))
            cv2.imwrite(str(file), noise.astype(np.uint8))
    roots["ImageFolder"] = tmp_path_factory.mktemp("ImageFolder")
    for number in range(1000):
        folder = roots["ImageFolder"] / f"n{number:08}"
        folder.mkdir()
        if number % 125 == 0:
            cv2.imwrite(str(folder / "1.JPEG"), noise.astype(np.uint8))
    for kind, write, classes in (
        ("CIFAR10LT", write_cifar10, 10),
        ("CIFAR100LT", write_cifar100, 100),
    ):
        roots[kind] = tmp_path_factory.mktemp(kind)
        write(roots[kind], np.arange(20 * classes) % classes, np.arange(classes))
    roots["ShapesLT"] = tmp_path_factory.mktemp("ShapesLT")
    make_shapes_lt(roots["ShapesLT"], train_per_class=60, test_per_class=1)
    return roots


@pytest.fixture(autouse=True)
def _short_lists(monkeypatch):
    for kind in LISTS:
        monkeypatch.setattr(
            getattr(image_list, kind), "totals", dict.fromkeys(("train", "val", "test"), 8)
        )


@by_name
def test_a_config_trains_and_is_evaluated(path, data_roots, tmp_path):
    cfg = small(path, data_roots, tmp_path)
    runner = Runner.from_cfg(cfg)
    before = {name: p.detach().clone() for name, p in runner.model.named_parameters()}
    runner.train()
    learned = {n for n, p in runner.model.named_parameters() if p.requires_grad}
    moved = {n for n, p in runner.model.named_parameters() if not torch.equal(p, before[n])}
    assert runner.iter == 2
    assert moved <= learned
    assert "head.predictor.scale" in learned or any(name.startswith("head.") for name in moved)
    loss = runner.message_hub.get_scalar("train/loss").current()
    assert math.isfinite(loss)
    assert ("train/loss_variance" in runner.message_hub.log_scalars) == ("variance" in path.stem)
    scores = {
        key.removeprefix("val/accuracy/"): history.current()
        for key, history in runner.message_hub.log_scalars.items()
        if key.startswith("val/accuracy/")
    }
    assert set(scores) == {"all", "many", "medium", "few", "top5", "ece"}
    assert 0 <= scores["all"] <= 100


OPTIONS = {
    "train_dataloader.dataset.imbalance_factor": 5,
    "model.backbone.backbone.width": 4,
    "randomness.seed": 7,
}


def test_imbalance_width_and_seed_are_options(data_roots, tmp_path):
    cfg = small(CONFIGS / "cifar_lt" / "cifar10_ce.py", data_roots, tmp_path)
    cfg.merge_from_dict(OPTIONS)
    runner = Runner.from_cfg(cfg)
    runner.train()
    counts = runner.train_dataloader.dataset.class_counts
    assert (counts[0], counts[-1]) == (20, 4)
    assert runner.model.head.predictor.in_features == 256
    assert runner.seed == 7


def small_and_saving(path, data_roots, work_dir):
    cfg = small(path, data_roots, work_dir)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1)
    return cfg


RESUMED = pytest.mark.parametrize(
    "config", ["cifar_lt/cifar10_bs_nbn_lr", "demo/cls_shapes_bcl_nbn"]
)


@RESUMED
def test_a_checkpoint_is_tested_alone_with_the_groups_of_the_training_set(
    config, data_roots, tmp_path
):
    path = CONFIGS / f"{config}.py"
    trained = Runner.from_cfg(small_and_saving(path, data_roots, tmp_path))
    trained.train()
    history = trained.message_hub.log_scalars
    cfg = small_and_saving(path, data_roots, tmp_path)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.load_from = str(tmp_path / "iter_2.pth")
    scores = Runner.from_cfg(cfg).test()
    assert set(scores) == {f"accuracy/{n}" for n in ("all", "many", "medium", "few", "top5", "ece")}
    for name, score in scores.items():
        assert score == pytest.approx(history[f"val/{name}"].current(), nan_ok=True)


@RESUMED
def test_a_killed_run_goes_on_with_its_loss_knowing_the_classes(config, data_roots, tmp_path):
    path = CONFIGS / f"{config}.py"
    Runner.from_cfg(small_and_saving(path, data_roots, tmp_path)).train()
    cfg = small_and_saving(path, data_roots, tmp_path)
    cfg.train_cfg.max_iters = 3
    cfg.load_from, cfg.resume = str(tmp_path / "iter_2.pth"), True
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter == 3
    counts = runner.train_dataloader.dataset.class_counts
    assert runner.model.head.loss_cls.class_counts.tolist() == counts


@pytest.mark.slow
@by_name
def test_a_config_resumes_from_its_own_checkpoint(path, data_roots, tmp_path):
    cfg = small_and_saving(path, data_roots, tmp_path)
    cfg.default_hooks.checkpoint.max_keep_ckpts = -1
    Runner.from_cfg(cfg).train()
    cfg = small_and_saving(path, data_roots, tmp_path)
    cfg.load_from, cfg.resume = str(tmp_path / "iter_2.pth"), True
    runner = Runner.from_cfg(cfg)
    runner.load_or_resume()
    assert runner.iter == 2
    saved = torch.load(cfg.load_from, weights_only=False)["state_dict"]
    for name, tensor in runner.model.state_dict().items():
        assert torch.equal(tensor, saved[name]), name
    if cfg.train_cfg.get("by_epoch"):
        cfg.train_cfg.max_epochs = 2
    else:
        cfg.train_cfg.max_iters = 3
    cfg.experiment_name += "-on"
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert runner.iter > 2
    assert math.isfinite(runner.message_hub.get_scalar("train/loss").current())


def test_a_resumed_ride_run_goes_on_with_its_epoch_and_a_curve_for_each_magnitude(
    data_roots, tmp_path
):
    path = CONFIGS / "demo" / "cls_shapes_ride_nbn_cosine.py"
    cfg = small(path, data_roots, tmp_path)
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint.interval = 1
    first = Runner.from_cfg(cfg)
    first.train()
    cfg = small(path, data_roots, tmp_path)
    cfg.default_hooks.logger.interval = 1
    cfg.train_cfg.max_epochs = 2
    cfg.load_from, cfg.resume = str(tmp_path / "epoch_1.pth"), True
    runner = Runner.from_cfg(cfg)
    runner.load_or_resume()
    assert [g.item() for _, g in magnitudes(runner.model)] == [
        g.item() for _, g in magnitudes(first.model)
    ]
    runner.train()
    assert (runner.epoch, runner.iter) == (2, 4)
    for expert in range(3):
        curve = f"train/backbone.experts.{expert}.layer3.0.bn2.magnitude"
        assert len(runner.message_hub.get_scalar(curve).data[0]) == 4
