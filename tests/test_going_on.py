"""Trainings that stop after an epoch and resume end as trainings that did not stop."""

import itertools
import json

import numpy as np
import pytest
import torch
from cifar_files import write_cifar10
from mmengine.config import Config
from mmengine.runner import Runner
from small_cls_configs import CONFIGS, LEAVES, small
from tiny_mask_rcnn import tiny_data, tiny_model
from toy_runner import end_workers

from mmdet_ltnorm.data import make_shapes_lt
from mmdet_ltnorm.results.logs import read_validations

_runs = itertools.count()
DEMOS = [path for path in LEAVES if path.parent.name == "demo"]


@pytest.fixture(scope="module")
def data_roots(tmp_path_factory):
    roots = {name: tmp_path_factory.mktemp(name) for name in ("CIFAR10LT", "ShapesLT")}
    write_cifar10(roots["CIFAR10LT"], np.arange(200) % 10, np.arange(10))
    make_shapes_lt(roots["ShapesLT"], train_per_class=60, test_per_class=1)
    return roots


def classifier(path, roots, work_dir):
    cfg = small(path, roots, work_dir)
    cfg.train_dataloader.dataset.indices = 12
    cfg.train_dataloader.update(num_workers=2, persistent_workers=True)
    cfg.param_scheduler = dict(type="CosineAnnealingLR", by_epoch=False)
    return cfg


def detector(root, work_dir):
    cfg = Config.fromfile(CONFIGS / "lvis" / "seesaw_nbn_2x.py")
    cfg.merge_from_dict({**tiny_model(8), **tiny_data(root, image_size=64)})
    annotations = json.loads((root / "annotations" / "lvis_v1_train.json").read_text())
    names = [category["name"] for category in annotations["categories"]]
    for loader in cfg.train_dataloader, cfg.val_dataloader:
        loader.dataset.metainfo = dict(classes=names)
    cfg.train_dataloader.update(batch_size=4, num_workers=2, persistent_workers=True)
    cfg.train_dataloader.dataset.update(indices=8, filter_cfg=dict(min_size=1))
    # mmengine keeps a visualizer, and where it writes, by its name.
    cfg.visualizer.update(name=str(work_dir), vis_backends=[dict(type="LocalVisBackend")])
    cfg.update(work_dir=str(work_dir), randomness=dict(seed=0))  # train.py takes the checkpoint's
    return cfg


def weights_and_scores(cfg, checkpoint=None):
    """Train up to the third epoch, from the start or from a checkpoint."""
    cfg.experiment_name = f"going-on-{next(_runs)}"
    if "Infinite" in cfg.train_dataloader.sampler.type:
        cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=9, val_interval=9)
        cfg.default_hooks.checkpoint.update(interval=3, by_epoch=False)
    else:
        cfg.train_cfg = dict(by_epoch=True, max_epochs=3, val_interval=3)
        cfg.default_hooks.checkpoint.update(interval=1, by_epoch=True)
    if checkpoint:
        cfg.update(load_from=str(checkpoint), resume=True)
    torch.manual_seed(len(cfg.work_dir))  # another process may have drawn other numbers
    runner = Runner.from_cfg(cfg)
    runner.train()
    end_workers(runner)
    timing = ("time", "data_time")
    (scores,) = ({k: v for k, v in record.items() if k not in timing and v == v}
                 for record in read_validations(cfg.work_dir))  # fmt: skip
    return runner.model.state_dict(), scores


def assert_goes_on_bit_for_bit(build, tmp_path):
    whole, scores = weights_and_scores(build(tmp_path / "whole"))
    (first,) = (tmp_path / "whole" / name for name in ("epoch_1.pth", "iter_3.pth")
                if (tmp_path / "whole" / name).exists())  # fmt: skip
    rest, rest_scores = weights_and_scores(build(tmp_path / "a rest"), first)
    assert rest_scores == scores
    differing = [name for name, tensor in whole.items() if not torch.equal(tensor, rest[name])]
    assert not differing


@pytest.mark.parametrize("sampler", ["DefaultSampler", "InfiniteSampler"])
def test_a_classifier_with_augmentation_and_workers_goes_on_bit_for_bit(
    sampler, data_roots, tmp_path
):
    def build(folder):
        cfg = classifier(CONFIGS / "cifar_lt" / "cifar10_bs_nbn_lr.py", data_roots, folder)
        cfg.train_dataloader.sampler.type = sampler
        return cfg

    assert_goes_on_bit_for_bit(build, tmp_path)


def test_a_detector_with_augmentation_and_workers_goes_on_bit_for_bit(mini_lvis, tmp_path):
    assert_goes_on_bit_for_bit(lambda folder: detector(mini_lvis, folder), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("path", DEMOS, ids=lambda path: path.stem)
def test_every_method_of_the_demos_goes_on_bit_for_bit(path, data_roots, tmp_path):
    assert_goes_on_bit_for_bit(lambda folder: classifier(path, data_roots, folder), tmp_path)
