"""Groups and training counts of classifiers' and detectors' classes."""

import json

import numpy as np
import pytest
import torch
from mmdet.models import RetinaNet
from mmdet.registry import DATASETS
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from torch import nn

import mmdet_ltnorm.data  # noqa: F401
from mmdet_ltnorm.class_groups import class_groups
from mmdet_ltnorm.classification import ImageClassifier
from mmdet_ltnorm.results.groups import (
    counts_and_groups,
    group_means,
    group_of_class,
    tail_and_head,
)
from mmdet_ltnorm.results.trained import is_detector


def test_a_classifiers_classes_are_counted_in_its_training_set():
    train = dict(type="DigitsLT", split="train", imbalance_factor=50, pipeline=[])
    test = DATASETS.build(dict(type="DigitsLT", split="test", pipeline=[]))
    cfg = dict(train_dataloader=dict(dataset=train))
    counts, groups = counts_and_groups(cfg, test)
    assert (counts[0], counts[-1]) == (100, 2)
    assert {name: len(group) for name, group in groups.items()} == {
        "many": 0,
        "medium": 4,
        "few": 6,
    }


def test_lvis_groups_are_those_of_the_annotation_file(mini_lvis):
    file = mini_lvis / "annotations/lvis_v1_val.json"
    categories = json.loads(file.read_text())["categories"]
    dataset = DATASETS.build(
        dict(
            type="mmdet.LVISV1Dataset",
            data_root=str(mini_lvis),
            ann_file="annotations/lvis_v1_val.json",
            data_prefix=dict(img=""),
            metainfo=dict(classes=[c["name"] for c in categories]),
            pipeline=[],
        )
    )
    counts, groups = counts_and_groups({}, dataset)
    assert counts.tolist() == [c["image_count"] for c in categories]
    for name, letter in {"rare": "r", "common": "c", "frequent": "f"}.items():
        assert [categories[i]["frequency"] for i in groups[name]] == [letter] * len(groups[name])


def test_coco_classes_are_counted_in_the_training_images(tmp_path):
    # Category 7 is the second class, and two of its boxes share an image.
    boxes = [(1, 7), (1, 7), (2, 7), (2, 3)]
    content = dict(
        images=[dict(id=i, file_name=f"{i}.png", width=9, height=9) for i in (1, 2)],
        categories=[dict(id=3, name="a"), dict(id=7, name="b")],
        annotations=[
            dict(id=n, image_id=i, category_id=c, bbox=[0, 0, 5, 5], area=25, iscrowd=0)
            for n, (i, c) in enumerate(boxes, 1)
        ],
    )
    (tmp_path / "coco.json").write_text(json.dumps(content))
    coco = dict(
        type="mmdet.CocoDataset",
        data_root=str(tmp_path),
        ann_file="coco.json",
        data_prefix=dict(img=""),
        metainfo=dict(classes=("a", "b")),
        pipeline=[],
    )
    wrapped = dict(type="ClassBalancedDataset", oversample_thr=0.1, dataset=coco)
    cfg = ConfigDict(train_dataloader=dict(dataset=wrapped))
    counts, groups = counts_and_groups(cfg, DATASETS.build(dict(coco)))
    assert counts.tolist() == [1, 2]
    assert groups["few"].tolist() == [0, 1]


def test_every_class_knows_its_group():
    groups = class_groups([5, 300, 50, 200])
    assert torch.equal(group_of_class(groups), torch.tensor([2, 0, 1, 0]))


def test_group_means_skip_untested_classes_and_empty_groups():
    groups = {"a": np.array([0, 1]), "b": np.array([2]), "c": np.array([], int)}
    found = group_means(np.array([[1.0, np.nan, np.nan], [1.0, 3.0, 5.0]]), groups)
    np.testing.assert_array_equal(found["a"], [1, 2])
    np.testing.assert_array_equal(found["b"], [np.nan, 5])
    np.testing.assert_array_equal(found["c"], [np.nan, np.nan])


def test_tail_and_head_are_the_ends_of_the_groups_that_have_classes():
    assert tail_and_head(class_groups([500, 50, 5])) == ("few", "many")
    assert tail_and_head(class_groups([90, 50, 5])) == ("few", "medium")
    with pytest.raises(ValueError, match="two groups to compare, got all in 'few'"):
        tail_and_head(class_groups([5, 3]))


def test_mmdets_models_are_detectors_with_one_stage_too_and_classifiers_are_not():
    assert is_detector(RetinaNet) and not is_detector(ImageClassifier)
    assert not is_detector(MODELS.get("LTNormBackbone"))  # a function
    assert not is_detector(nn.Linear(1, 1))
