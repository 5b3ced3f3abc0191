"""Checkpoints of another model, other classes or a best epoch are refused; the message says why."""

import pytest
import torch
from torch import nn
from toy_runner import ToyData, ToyMetric, ToyModel, toy_runner

from mmdet_ltnorm.engine.loading import CheckCheckpointHook
from mmdet_ltnorm.norms import CBN, NBN
from mmdet_ltnorm.results.checkpoints import (
    CheckpointError,
    check_same_classes,
    check_same_model,
    weights_of,
)

BN = nn.BatchNorm2d


def network(norm=BN, classes=3):
    parts = {"backbone": nn.ModuleDict({"bn": norm(4)}), "head": nn.Linear(4, classes)}
    return nn.ModuleDict(parts).state_dict()


def test_the_same_model_passes_in_whatever_order():
    weights = network(NBN)
    check_same_model(network(NBN), dict(reversed(weights.items())), "a.pth")


@pytest.mark.parametrize(
    ("there", "here", "told"),
    [
        (NBN, BN, "of its norms, backbone.bn is NBN there and batch norm here; it also has"),
        (BN, NBN, "of its norms, backbone.bn is batch norm there and NBN here; it lacks"),
        (CBN, BN, "of its norms, backbone.bn is CBN there and batch norm here"),
        (BN, CBN, "of its norms, backbone.bn is batch norm there and CBN here"),
        (lambda n: nn.GroupNorm(2, n), BN, "it lacks backbone.bn.running_mean"),
        (BN, lambda n: nn.GroupNorm(2, n), "it also has backbone.bn.running_mean"),
    ],
)
def test_other_norms_are_refused_by_their_kind(there, here, told):
    with pytest.raises(CheckpointError, match=rf"a\.pth is of another model than .*{told}"):
        check_same_model(network(here), network(there), "a.pth")


def test_other_shapes_are_refused_with_both():
    with pytest.raises(CheckpointError, match=r"head.weight \(5, 4\) there, \(3, 4\) here"):
        check_same_model(network(), network(classes=5), "a.pth")


def test_a_checkpoint_without_one_matching_key_is_refused():
    prefixed = {f"model.{name}": value for name, value in network().items()}
    with pytest.raises(CheckpointError, match=r"it lacks backbone.bn.weight.*it also has model\."):
        check_same_model(network(), prefixed, "a.pth")


def test_batch_norms_without_a_counter_of_batches_pass():
    weights = network()
    del weights["backbone.bn.num_batches_tracked"]
    check_same_model(network(), weights, "a.pth")
    check_same_model(weights, network(), "a.pth")


def test_the_message_names_the_parts_that_may_differ_and_those_that_are_named_do():
    own, weights = network(NBN, 3), network(BN, 5)
    with pytest.raises(CheckpointError, match=r"may_differ=\['head', 'backbone.bn'\]"):
        check_same_model(own, weights, "a.pth", [])
    check_same_model(own, weights, "a.pth", ["head", "backbone.bn"])
    with pytest.raises(CheckpointError, match=r"may_differ=\['head', 'backbone.bn'\]"):
        check_same_model(own, weights, "a.pth", ["head"])
    with pytest.raises(CheckpointError) as caught:
        check_same_model(own, weights, "a.pth")
    assert "may_differ" not in str(caught.value)


def test_a_part_that_neither_model_has_is_refused():
    with pytest.raises(CheckpointError, match=r"names 'heads'.*parts are backbone, head"):
        check_same_model(network(), network(), "a.pth", ["heads"])


def test_what_holds_no_weights_is_refused_by_what_it_holds():
    for content, got in (
        ({"model": {"w": torch.ones(1)}}, "got model"),
        ({}, "got nothing"),
        ({"state_dict": {}}, "got nothing"),
    ):
        with pytest.raises(CheckpointError, match=rf"a\.pth holds no weights.*{got}"):
            weights_of(content, "a.pth")
    assert list(weights_of({"module.w": torch.ones(1)}, "a.pth")) == ["w"]


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (["b", "a"], "the same classes in another order: class 0 is 'b' there and 'a' in the data"),
        (["a", "x"], "other classes: class 1 is 'x' there and 'b' in the data set"),
        (["a"], r"1 classes \(a\), and the data set has 2 \(a, b\)"),
    ],
)
def test_other_classes_are_refused_by_name(there, told):
    with pytest.raises(CheckpointError, match=rf"a\.pth .*{told}"):
        check_same_classes(there, ToyData(), "a.pth")


# In runs


def runner_of(tmp_path, file, may_differ=(), **options):
    runner = toy_runner(tmp_path / "run", load_from=str(file), **options)
    runner.register_hook(CheckCheckpointHook(may_differ))
    return runner


def for_test(tmp_path, file, *args, **options):
    loader = dict(batch_size=2, dataset=ToyData(), sampler=dict(type="DefaultSampler"))
    test = dict(test_dataloader=loader, test_cfg=dict(), test_evaluator=[ToyMetric()])
    return runner_of(tmp_path, file, *args, **test, **options)


def edited(toy_run, tmp_path, edit, name="epoch_1.pth"):
    content = torch.load(toy_run / name, weights_only=False)
    edit(content)
    torch.save(content, tmp_path / "edited.pth")
    return tmp_path / "edited.pth"


def renamed(content):
    content["meta"]["dataset_meta"] = {"classes": ("a", "c")}


def widened(content):
    content["state_dict"]["linear.weight"] = torch.ones(1, 5)


def test_a_test_refuses_another_model_and_other_classes(toy_run, tmp_path):
    file = toy_run / "epoch_1.pth"
    assert for_test(tmp_path, file).test()
    with pytest.raises(CheckpointError, match=r"epoch_1\.pth is of another.*lacks norm\.weight"):
        for_test(tmp_path, file, ["norm"], model=ToyModel(NBN(4))).test()
    other = edited(toy_run, tmp_path, renamed)
    with pytest.raises(CheckpointError, match=r"'c' there and 'b'.*may_differ=\[classes"):
        for_test(tmp_path, other).test()
    assert for_test(tmp_path, other, ["classes"]).test()


def test_training_starts_from_another_model_only_where_it_may_differ(toy_run, tmp_path):
    file = edited(toy_run, tmp_path, lambda content: (renamed(content), widened(content)))
    with pytest.raises(CheckpointError, match=r"linear.weight \(1, 5\) there.*=\['linear'\]"):
        runner_of(tmp_path, file).train()
    runner_of(tmp_path, file, ["linear"]).train()


def test_training_from_other_classes_with_nothing_else_different_is_refused(toy_run, tmp_path):
    file = edited(toy_run, tmp_path, renamed)
    with pytest.raises(CheckpointError, match="class 1 is 'c' there"):
        runner_of(tmp_path, file).train()
    runner_of(tmp_path, file, ["classes"]).train()


def test_plain_batch_norm_starts_nbn_where_the_config_says_so(tmp_path):
    plain = ToyModel(BN(4))
    nn.init.uniform_(plain.norm.weight, 0.5, 2)
    torch.save(plain.state_dict(), tmp_path / "plain.pth")
    with pytest.raises(CheckpointError, match="norm is batch norm there and NBN here"):
        runner_of(tmp_path, tmp_path / "plain.pth", model=ToyModel(NBN(4))).train()
    model = ToyModel(NBN(4))
    options = dict(model=model, optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.0)))
    runner_of(tmp_path, tmp_path / "plain.pth", ["norm"], **options).train()
    torch.testing.assert_close(model.norm.weight, plain.norm.weight)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (widened, r"another model.*linear.weight \(1, 5\) there"),
        (lambda content: content.pop("message_hub"), "cannot be resumed: it lacks message_hub"),
        (lambda content: content["meta"].pop("iter"), r"resumed: it lacks meta\['iter'\]"),
        (lambda content: content.pop("param_schedulers"), "it lacks param_schedulers"),
        (
            lambda content: content["optimizer"]["state"][0].update(
                momentum_buffer=torch.ones(1, 5)
            ),
            "its optimizer is for 2 parameters, this run's for 2, or for some of other shapes",
        ),
        (
            lambda content: content["optimizer"]["param_groups"][0]["params"].pop(),
            "its optimizer is for 1 parameters, this run's for 2",
        ),
        (renamed, "other classes: class 1 is 'c' there"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_not_resumed(edit, told, toy_run, tmp_path):
    file = edited(toy_run, tmp_path, edit)
    with pytest.raises(CheckpointError, match=rf"edited\.pth .*{told}"):
        runner_of(tmp_path, file, resume=True).train()


def test_a_best_checkpoint_which_lacks_the_optimizer_is_not_resumed(toy_run, tmp_path):
    file = toy_run / "best_toy_acc_epoch_1.pth"
    with pytest.raises(CheckpointError, match="lacks optimizer, param_schedulers.*load_from="):
        runner_of(tmp_path, file, resume=True).train()
