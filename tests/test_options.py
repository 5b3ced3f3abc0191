"""Options that nothing would read are named before a run starts."""

import logging

import pytest
from mmengine.config import Config
from torch.utils.data import DataLoader

from mmdet_ltnorm.benchmark import benchmark_table
from mmdet_ltnorm.engine import options as module
from mmdet_ltnorm.engine.options import merge_options

CONFIG = """
max_epochs = 12
own_setting = 3
model = dict(type="A", backbone=dict(type="B", depth=18), test_cfg=dict(rcnn=dict(score_thr=0.05)))
train_cfg = dict(by_epoch=True, max_epochs=max_epochs)
train_dataloader = dict(batch_size=4, dataset=dict(type="C", data_root="x"))
val_dataloader = dict(batch_size=2, dataset=dict(type="C"))
custom_hooks = [dict(type="D")]
env_cfg = dict(cudnn_benchmark=False)
"""


@pytest.fixture
def cfg(tmp_path):
    (tmp_path / "c.py").write_text(CONFIG)
    return Config.fromfile(tmp_path / "c.py")


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("max_epochs", r"has used its value already.*did you mean train_cfg\.max_epochs\?"),
        ("trian_cfg.max_epochs", r"no such entry.*did you mean train_cfg\.max_epochs\?"),
        ("max_epoch", r"has no such entry.*did you mean another name"),
        ("batch_size", r"mean train_dataloader\.batch_size or val_dataloader\.batch_size\?"),
        ("modle.backbone.depth", r"did you mean model\.backbone\.depth\?"),
        ("custom_hook", r"did you mean custom_hooks"),
        ("train_cfg.max_epoch", r"nothing reads max_epoch in train_cfg; did you mean max_epochs\?"),
        ("env_cfg.cudnn", r"nothing reads cudnn in env_cfg; did you mean cudnn_benchmark"),
        ("custom_hooks.4.priority", "does not fit"),
    ],
)
def test_an_option_that_nothing_reads_is_refused_with_what_was_perhaps_meant(cfg, key, told):
    with pytest.raises(ValueError, match=rf"--cfg-options {key}=5.*{told}"):
        merge_options(cfg, {key: 5})


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("own_setting", "has used its value already, and nothing reads it at a run"),
        ("model.test_cfg.rcnn.score_threshold", "new in model.test_cfg.rcnn, and is ignored"),
        ("optim_wrapper.paramwise_cfg.bias", ""),
    ],
)
def test_an_option_that_only_custom_code_could_read_is_warned_of(cfg, key, told, monkeypatch):
    said = []
    monkeypatch.setattr(module, "print_log", lambda *args, **kwargs: said.append((args, kwargs)))
    merge_options(cfg, {key: 5})
    assert len(said) == bool(told)
    for (message,), options in said:
        assert told in message and options["level"] == logging.WARNING


@pytest.mark.parametrize(
    "key",
    [
        *("train_cfg.max_epochs", "model.backbone.depth", "randomness.seed", "custom_hooks.0.a"),
        *("train_dataloader.dataset.metainfo.classes", "model_wrapper_cfg.type", "resume"),
        *("val_dataloader.prefetch_factor", "default_hooks.checkpoint.interval", "load_from"),
        *("train_dataloader.dataset.indices", "auto_scale_lr.enable", "train_cfg.val_interval"),
    ],
)
def test_options_that_are_read_pass_without_a_warning(cfg, key, monkeypatch):
    monkeypatch.setattr(module, "print_log", None)
    merge_options(cfg, {key: 5})
    value = cfg
    for name in key.split("."):
        value = value[int(name) if name.isdigit() else name]
    assert value == 5


def test_without_workers_nothing_is_asked_of_them(cfg):
    cfg.train_dataloader.update(persistent_workers=True, prefetch_factor=2, num_workers=2)
    merge_options(cfg, {"train_dataloader.num_workers": 0})
    loader = {key: value for key, value in cfg.train_dataloader.items() if key != "dataset"}
    DataLoader([1, 2], **loader)
    assert loader == dict(batch_size=4, num_workers=0)


def test_a_benchmark_takes_at_least_one_round():
    with pytest.raises(ValueError, match="at least one round of each step, got 0"):
        benchmark_table(["c.py"], 0)
