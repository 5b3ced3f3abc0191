"""A run with another number of classes than its model has does not start."""

import json
from types import SimpleNamespace

import pytest
from mmdet.registry import DATASETS
from torch import nn

from mmdet_ltnorm.engine.checks import (
    check_classes,
)


class Categories:
    ann_file = "annotations.json"

    def __init__(self, count, names=None):
        self.cat_ids = list(range(1, count + 1))
        self.metainfo = {"classes": ["a"] * (count if names is None else names)}


class Heads(nn.Module):
    def __init__(self, box=3, mask=3, loss=3, class_agnostic=False):
        super().__init__()
        self.rpn_head = nn.Identity()
        self.rpn_head.num_classes = 1
        self.bbox_head = nn.Identity()
        self.bbox_head.num_classes = box
        self.bbox_head.loss_cls = nn.Identity()
        self.bbox_head.loss_cls.num_classes = loss
        self.mask_head = nn.Identity()
        self.mask_head.num_classes = mask
        self.mask_head.class_agnostic = class_agnostic


def test_equal_numbers_of_categories_and_classes_pass():
    check_classes(Heads(), Categories(3), "train_dataloader")
    check_classes(Heads(mask=80, class_agnostic=True), Categories(3), "train_dataloader")


@pytest.mark.parametrize("count", [2, 4])
def test_more_or_fewer_categories_than_classes_are_refused_with_the_keys_to_change(count):
    with pytest.raises(ValueError) as caught:
        check_classes(Heads(), Categories(count), "val_dataloader")
    message = str(caught.value)
    assert f"val_dataloader: annotations.json has {count} categories" in message
    for key in ("bbox_head", "bbox_head.loss_cls", "mask_head"):
        assert f"model.{key}.num_classes=3" in message
    assert "rpn_head" not in message and f"set them to {count}" in message


@pytest.mark.parametrize("head", ["box", "mask", "loss"])
def test_one_wrong_head_is_enough(head):
    key = {"box": "bbox_head", "mask": "mask_head", "loss": r"bbox_head\.loss_cls"}[head]
    with pytest.raises(ValueError, match=rf"has model\.{key}\.num_classes=80: set"):
        check_classes(Heads(**{head: 80}), Categories(3), "train_dataloader")


def test_names_that_do_not_belong_to_the_categories_are_refused():
    with pytest.raises(ValueError, match=r"has 3 categories, and metainfo names 1203 classes"):
        check_classes(Heads(), Categories(3, names=1203), "train_dataloader")


@pytest.mark.parametrize(
    "wrapper",
    [
        dict(type="ClassBalancedDataset", oversample_thr=1e-3),
        dict(type="RepeatDataset", times=2),
        dict(type="ConcatDataset"),
    ],
    ids=lambda wrapper: wrapper["type"],
)
def test_categories_are_found_inside_wrappers(wrapper, mini_lvis):
    file = mini_lvis / "annotations" / "lvis_v1_val.json"
    names = [category["name"] for category in json.loads(file.read_text())["categories"]]
    plain = dict(type="LVISV1Dataset", ann_file=str(file), data_prefix=dict(img=""))
    plain["metainfo"] = dict(classes=names)
    several = wrapper["type"] == "ConcatDataset"
    inner = {"datasets": [plain, plain]} if several else {"dataset": plain}
    with DATASETS.switch_scope_and_registry("mmdet") as registry:
        dataset = registry.build({**wrapper, **inner})
    check_classes(Heads(8, 8, 8), dataset, "train_dataloader")
    with pytest.raises(ValueError, match="has 8 categories, but the config has"):
        check_classes(Heads(), dataset, "train_dataloader")


def test_validation_categories_are_checked_before_training():
    heads, hook = Heads(), toy_hook("CheckClassesHook")
    runner = SimpleNamespace(
        model=heads,
        train_dataloader=SimpleNamespace(dataset=Categories(3)),
        val_dataloader=SimpleNamespace(dataset=Categories(4)),
        test_dataloader=SimpleNamespace(dataset=Categories(5)),
        val_loop=object(),
    )
    with pytest.raises(ValueError, match="val_dataloader.*4 categories"):
        hook.before_train(runner)
    with pytest.raises(ValueError, match="val_dataloader.*4 categories"):
        hook.before_val(runner)
    with pytest.raises(ValueError, match="test_dataloader.*5 categories"):
        hook.before_test(runner)
    runner.val_loop = None
    hook.before_train(runner)


def toy_hook(name):
    from mmengine.registry import HOOKS

    return HOOKS.build(dict(type=name))
