"""The second stage of decoupled training: what is learned, what is kept, what is in train mode."""

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import save_checkpoint
from mmengine.structures import BaseDataElement

import mmdet_ltnorm.classification  # noqa: F401
import mmdet_ltnorm.predictors  # noqa: F401

PREDICTOR = {"head.predictor.weight", "head.predictor.bias"}
LWS = dict(
    predictor="LWSLinear",
    kept=["backbone.*", "head.predictor.weight", "head.predictor.bias"],
    trainable=["head.predictor.scale"],
)


def build(kind="SecondStageClassifier", predictor="Linear", norm="NBN", **kwargs):
    DefaultScope.get_instance("test", scope_name="mmdet")
    host = dict(type="ResNetCIFAR", depth=8)
    backbone = dict(type="LTNormBackbone", backbone=host, norm_cfg=dict(type=norm))
    head = dict(type="ClsHead", num_classes=3, predictor=dict(type=predictor))
    model = MODELS.build(dict(type=kind, backbone=backbone, head=head, **kwargs))
    model.init_weights()
    return model


def changed_by_training(model):
    """Take three steps, weight decay included, and return the names of what they changed."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.9, weight_decay=0.1)
    wrapper = OptimWrapper(optimizer)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    for _ in range(3):
        data_samples = [BaseDataElement() for _ in range(6)]
        for label, sample in enumerate(data_samples):
            sample.gt_label = torch.tensor([label % 3])
        model.train_step(dict(inputs=torch.randn(6, 3, 32, 32), data_samples=data_samples), wrapper)
    return {name for name, tensor in model.state_dict().items() if (tensor != before[name]).any()}


def statistics(model):
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    return {name for name in model.state_dict() if name.endswith(buffers)}


def save(model, folder):
    file = str(folder / "epoch_1.pth")
    save_checkpoint({"state_dict": model.state_dict()}, file)
    return file


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    model = build("ImageClassifier")
    assert set(dict(model.named_parameters())) <= changed_by_training(model)
    return model


@pytest.fixture(scope="module")
def checkpoint(first, tmp_path_factory):
    return save(first, tmp_path_factory.mktemp("first"))


def test_crt_learns_a_new_classifier_on_the_features_of_the_first_stage(first, checkpoint):
    model = build(first_stage=checkpoint)
    for name, tensor in first.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], tensor)
    assert not torch.equal(model.head.predictor.weight, first.head.predictor.weight)
    assert changed_by_training(model) - statistics(model) == PREDICTOR


def test_all_modules_are_in_train_mode_and_statistics_are_estimated_anew(checkpoint):
    model = build(first_stage=checkpoint)
    changed = changed_by_training(model)
    assert all(module.training for module in model.modules())
    assert statistics(model) <= changed


def test_backbone_eval_keeps_the_statistics_and_leaves_the_head_in_train_mode(checkpoint):
    model = build(first_stage=checkpoint, backbone_eval=True)
    assert changed_by_training(model) == PREDICTOR
    model.eval()
    model.train()
    assert not any(module.training for module in model.backbone.modules())
    assert all(module.training for module in model.head.modules())


def test_nbn_star_also_learns_the_magnitude(checkpoint):
    model = build(first_stage=checkpoint, trainable=["head.predictor.*", "*.magnitude"])
    changed = changed_by_training(model) - statistics(model)
    assert changed == PREDICTOR | {"backbone.layer3.0.bn2.magnitude"}


def test_lws_starts_as_the_first_stage_and_learns_one_scale_a_class(first, checkpoint):
    model = build(first_stage=checkpoint, **LWS)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model.eval()(images), first.eval()(images))
    assert changed_by_training(model) - statistics(model) == {"head.predictor.scale"}


def test_what_is_frozen_is_frozen_when_the_model_is_built(checkpoint):
    model = build(first_stage=checkpoint)  # DDP wraps it, and only then hooks run
    assert {name for name, p in model.named_parameters() if p.requires_grad} == PREDICTOR


def test_testing_needs_no_first_stage():
    DefaultScope.get_instance("test", scope_name="mmdet")
    backbone, head = dict(type="ResNetCIFAR", depth=8), dict(type="ClsHead", num_classes=3)
    cfg = dict(type="SecondStageClassifier", backbone=backbone, head=head, first_stage="gone.pth")
    model = MODELS.build(cfg).eval()
    assert model(torch.randn(1, 3, 32, 32)).shape == (1, 3)
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        model.init_weights()


def test_a_first_stage_with_other_norms_is_refused(tmp_path):
    plain = save(build("ImageClassifier", norm="BN"), tmp_path)
    with pytest.raises(ValueError, match=r"layer3.0.bn2 is batch norm there and NBN here"):
        build(first_stage=plain)


def test_a_pattern_that_matches_no_parameter_is_refused():
    with pytest.raises(ValueError, match=r"'head.fc.\*' matches no parameter; there are head.pred"):
        build(first_stage="unread.pth", trainable=["head.fc.*"])
