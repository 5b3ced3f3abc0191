"""The equalization losses in mmdet's box heads, and a detector that trains with each."""

import copy
import json
import math

import pytest
import torch
from equalization_cases import RARE, batch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import Runner
from tiny_mask_rcnn import CONFIGS, tiny_data, tiny_model

from mmdet_ltnorm.losses import EqualizationLoss
from mmdet_ltnorm.losses.sigmoid import PRIOR

LOSSES = {
    "EqualizationLoss": dict(ann_file="never read", threshold=0.1, num_classes=5),
    "EqualizationLossV2": dict(num_classes=5),
}


def box_head(loss_cls):
    head = MODELS.build(
        dict(
            type="Shared2FCBBoxHead",
            in_channels=4,
            roi_feat_size=2,
            fc_out_channels=8,
            num_classes=5,
            cls_predictor_cfg=dict(type="NormedLinear", tempearture=20),
            loss_cls=loss_cls,
        )
    )
    if isinstance(head.loss_cls, EqualizationLoss):
        head.loss_cls.rare = torch.from_numpy(RARE)
    return head


def scores_of(head, logits, boxes):
    rois = torch.tensor([[0.0, 0, 0, 10, 10]]).repeat(len(logits), 1)
    metas = [dict(img_shape=(20, 20), scale_factor=(1, 1))]
    [result] = head.predict_by_feat((rois,), (logits,), (boxes,), metas)
    return result.scores


@pytest.mark.parametrize("name", LOSSES)
def test_serves_in_an_mmdet_box_head(name):
    head = box_head(dict(type=name, **LOSSES[name]))
    assert head.fc_cls.out_features == {"EqualizationLoss": 5, "EqualizationLossV2": 6}[name]
    logits, boxes = head(torch.randn(6, 4, 2, 2))
    labels, weights = torch.tensor([0, 4, 5, 5, 5, 2]), torch.ones(6)
    alone = copy.deepcopy(head.loss_cls)
    losses = head.loss(logits, boxes, None, labels, weights, torch.zeros(6, 4), torch.ones(6, 4))
    torch.testing.assert_close(losses["loss_cls"], alone(logits.detach(), labels))
    right = (logits[[0, 1, 5], :5].argmax(1) == labels[[0, 1, 5]]).float().mean()
    torch.testing.assert_close(losses["acc_classes"], 100 * right.reshape(1))
    losses["loss_cls"].backward()
    assert head.fc_cls.weight.grad.abs().sum() > 0
    p = torch.sigmoid(logits + PRIOR)
    expected = {
        "EqualizationLoss": lambda: torch.cat([p, torch.zeros(6, 1)], 1),
        "EqualizationLossV2": lambda: torch.cat([p[:, :5] * (1 - p[:, 5:]), p[:, 5:]], 1),
    }[name]()
    torch.testing.assert_close(scores_of(head, logits, boxes), expected)


@pytest.mark.parametrize("name", LOSSES)
def test_the_heads_number_of_classes_is_the_losss(name):
    wrong = dict(type=name, **LOSSES[name]) | dict(num_classes=7)
    with pytest.raises(ValueError, match=f"num_classes=5 and its {name} num_classes=7"):
        box_head(wrong)


@pytest.mark.parametrize("name", LOSSES)
def test_computes_in_float32_under_autocast(name):
    loss = box_head(dict(type=name, **LOSSES[name])).loss_cls
    logits, labels = batch(6 if name.endswith("V2") else 5)
    low = logits.bfloat16().requires_grad_()
    other = copy.deepcopy(loss)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(low, labels)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, other(low.detach().float(), labels))
    value.backward()
    assert torch.isfinite(low.grad).all()


@pytest.mark.parametrize("name", ["eql_2x", "eqlv2_2x"])
def test_a_detector_trains_with_it_and_scores(name, mini_lvis, tmp_path):
    file = mini_lvis / "annotations" / "lvis_v1_train.json"
    options = {**tiny_model(8), **tiny_data(mini_lvis, image_size=64)}
    for loader in ("train_dataloader", "val_dataloader"):
        names = [category["name"] for category in json.loads(file.read_text())["categories"]]
        options[f"{loader}.dataset.metainfo.classes"] = names
    cfg = Config.fromfile(CONFIGS / f"{name}.py")
    cfg.merge_from_dict(options)
    loss = cfg.model.roi_head.bbox_head.loss_cls
    if name == "eql_2x":
        loss.update(ann_file=str(file), threshold=0.4)
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=2, val_interval=2)
    cfg.param_scheduler = cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
    cfg.work_dir, cfg.experiment_name = str(tmp_path), name
    runner = Runner.from_cfg(cfg)
    runner.train()
    scalars = runner.message_hub.log_scalars
    assert math.isfinite(scalars["train/loss_cls"].current())
    assert 0 <= scalars["train/acc_classes"].current() <= 100
    assert scalars["val/lvis/bbox_AP"].current() >= 0
    loss = runner.model.roi_head.bbox_head.loss_cls
    if name == "eql_2x":
        assert 0 < loss.rare.sum() < 8
    else:
        assert (loss.negative > 0).all() and (loss.positive > 0).any()


def test_mmdets_own_loss_is_scored_by_a_softmax_in_its_heads():
    # Why there is EqualizationLossV2: if mmdet fixes this, ours can go.
    head = box_head(dict(type="EQLV2Loss", num_classes=5))
    logits, boxes = head(torch.randn(6, 4, 2, 2))
    torch.testing.assert_close(scores_of(head, logits, boxes), logits.softmax(1))
    assert not torch.allclose(head.loss_cls.get_activation(logits.clone()), logits.softmax(1))
