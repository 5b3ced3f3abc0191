"""EQL: worked numbers, a float64 reference, and the annotations that tell what is rare."""

import json
import math

import numpy as np
import pytest
import torch
from equalization_cases import LOG_2, RARE, batch, cross_entropies

from mmdet_ltnorm.class_groups import image_counts
from mmdet_ltnorm.losses import EqualizationLoss, eql_weights
from mmdet_ltnorm.losses.sigmoid import PRIOR


def eql(rare=RARE, **options):
    loss = EqualizationLoss(len(rare), ann_file="never read", threshold=0.1, **options)
    loss.rare = torch.from_numpy(np.asarray(rare))
    return loss


def test_eql_by_hand():
    half = torch.full((4, 3), -PRIOR)  # all probabilities are 1/2, all cross entropies log 2
    labels = torch.tensor([0, 1, 2, 3])
    losses = eql([False, False, True], reduction="none")(half, labels)
    # Objects of the frequent classes leave the rare one alone, its own do not, nor background.
    torch.testing.assert_close(losses, LOG_2 * torch.tensor([2.0, 2, 3, 3]))


def test_eql_equals_a_float64_reference():
    logits, labels = batch(5)
    targets, entropies = cross_entropies(logits, labels)
    total = 0.0
    for i, label in enumerate(labels):
        for j in range(5):
            excluded = label < 5 and RARE[j] and targets[i, j] == 0
            total += 0.0 if excluded else entropies[i, j]
    torch.testing.assert_close(eql()(logits, labels).item(), total / 40, rtol=1e-12, atol=0)


def test_eqls_gradients_are_right_and_none_at_rare_classes_of_other_objects():
    logits, labels = batch(5)
    logits.requires_grad_()
    loss = eql()
    assert torch.autograd.gradcheck(lambda z: loss(z, labels), logits)
    loss(logits, labels).backward()
    others = (labels[:, None] != torch.arange(5)) & (labels[:, None] < 5)
    ignored = others & torch.from_numpy(RARE)
    assert (logits.grad[ignored] == 0).all()
    assert (logits.grad[~ignored] != 0).all()


def test_eql_without_rare_classes_is_plain_binary_cross_entropy():
    targets = torch.eye(6)[[0, 3, 5], :5]
    assert (eql_weights(targets, torch.zeros(5)) == 1).all()


def test_training_starts_from_improbable_classes():
    fresh = torch.zeros(1, 1203)
    loss = EqualizationLoss(1203, "never read", 0.1)
    loss.rare = torch.zeros(1203, dtype=torch.bool)
    assert loss(fresh, torch.tensor([1203])).item() == pytest.approx(1203 * -math.log(0.999), 1e-3)
    assert loss.get_activation(fresh)[0, 0].item() == pytest.approx(0.001, 1e-5)


def test_what_is_rare_is_read_from_the_training_annotations(mini_lvis):
    file = mini_lvis / "annotations" / "lvis_v1_train.json"
    content = json.loads(file.read_text())
    shown = [{a["image_id"] for a in content["annotations"] if a["category_id"] == i + 1}
             for i in range(8)]  # fmt: skip
    counts, images = image_counts(file)
    assert counts.tolist() == [len(each) for each in shown]
    assert images == len(set.union(*shown))
    share = counts / images
    threshold = float(np.median(share))
    loss = EqualizationLoss(8, str(file), threshold)
    assert not loss.state_dict()
    loss.init_weights()
    assert loss.rare.tolist() == (share < threshold).tolist()
    assert 0 < loss.rare.sum() < 8
    lazily = EqualizationLoss(8, str(file), threshold)
    logits, labels = torch.randn(9, 8), torch.arange(9)
    assert lazily(logits, labels) == loss(logits, labels)


def test_images_without_annotations_do_not_count(tmp_path):
    content = dict(
        images=[dict(id=1), dict(id=2), dict(id=3)],
        annotations=[dict(id=1, image_id=2), dict(id=2, image_id=2), dict(id=3, image_id=3)],
        categories=[dict(id=5, image_count=2), dict(id=4, image_count=1)],
    )
    (tmp_path / "a.json").write_text(json.dumps(content))
    counts, images = image_counts(tmp_path / "a.json")
    assert (counts.tolist(), images) == ([2, 1], 2)


def test_annotations_that_do_not_tell_the_counts_are_errors(mini_lvis, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.json does not exist: the categories of"):
        EqualizationLoss(8, "nowhere.json", 0.1).init_weights()
    for content in ({"categories": [{"id": 1, "name": "cat"}]}, {"categories": []}, [], {}):
        (tmp_path / "coco.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=r"coco\.json has no image_count in its categories"):
            EqualizationLoss(1, str(tmp_path / "coco.json"), 0.1).init_weights()
    file = mini_lvis / "annotations" / "lvis_v1_train.json"
    with pytest.raises(ValueError, match="has 8 categories and EqualizationLoss has num_classes=9"):
        EqualizationLoss(9, str(file), 0.1).init_weights()
