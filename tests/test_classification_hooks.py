"""The hooks that tell losses and scores the class counts and the epoch, and what they refuse."""

from types import SimpleNamespace

import numpy as np
import pytest
from small_classifiers import RESNET_8, build
from torch import nn

from mmdet_ltnorm.classification import ClassCountsHook, LossEpochHook
from mmdet_ltnorm.data.wrapped import class_counts


class Counted:
    class_counts = np.array([6, 3, 1])


def runner(model, dataset=Counted, loop=None):
    loader = SimpleNamespace(dataset=dataset)
    return SimpleNamespace(model=model, train_dataloader=loader, train_loop=loop, val_loop=None)


class TellMe(nn.Module):
    def set_class_counts(self, counts):
        self.counts = counts

    def set_epoch(self, epoch, max_epochs):
        self.epoch = (epoch, max_epochs)


def test_losses_are_told_the_class_counts_of_the_training_set():
    loss = TellMe()
    ClassCountsHook().before_train(runner(nn.Sequential(loss)))
    assert loss.counts == [6, 3, 1]


def test_a_head_for_another_number_of_classes_is_refused():
    model = build(RESNET_8, num_classes=5)
    with pytest.raises(ValueError, match="has 3 classes and the model's head has num_classes=5"):
        ClassCountsHook().before_train(runner(model))


def test_counts_pass_through_wrapped_and_joined_data_sets():
    repeated = SimpleNamespace(dataset=Counted)
    assert class_counts(SimpleNamespace(datasets=[repeated, Counted])) == [12, 6, 2]


def test_joined_data_sets_with_different_classes_are_refused():
    other = SimpleNamespace(class_counts=[1, 2])
    with pytest.raises(ValueError, match=r"have \[3, 2\] classes"):
        class_counts(SimpleNamespace(datasets=[Counted, other]))


def test_a_data_set_without_counts_is_refused():
    with pytest.raises(ValueError, match="list has no class_counts"):
        class_counts([])


def test_a_test_run_counts_the_training_set_without_reading_an_image():
    loss, metric = TellMe(), TellMe()
    dataset = dict(type="DigitsLT", imbalance_factor=50, pipeline=[dict(type="NoTransform")])
    wrapped = dict(type="RepeatDataset", times=2, dataset=dataset)
    loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=[metric, object()]))
    loop.dataloader = SimpleNamespace(dataset=Counted)
    run = SimpleNamespace(model=nn.Sequential(loss), test_loop=loop)
    run.cfg = dict(train_dataloader=dict(dataset=wrapped))
    ClassCountsHook().before_test(run)
    assert loss.counts == metric.counts
    assert (len(loss.counts), loss.counts[0], loss.counts[-1]) == (10, 100, 2)


@pytest.mark.parametrize(
    ("tested", "message"),
    [
        ("ab", r"2 classes are not the training set's 3: only one of them has \['c'\]\. Give both"),
        ("abcd", r"4 classes .* only one of them has \['d'\]"),
        ("bac", "the order differs. Give both metainfo"),
    ],
)
def test_a_test_set_with_other_classes_is_refused_before_training(tested, message):
    def counted(names):
        return SimpleNamespace(class_counts=[6, 3, 1], metainfo={"classes": tuple(names)})

    run = runner(nn.Identity(), counted("abc"))
    run.val_loop, run.val_dataloader = object(), SimpleNamespace(dataset=counted(tested))
    with pytest.raises(ValueError, match=message):
        ClassCountsHook().before_train(run)
    for same in "abc", "012", "":  # a list's classes are numbers
        run.val_dataloader.dataset = counted(same)
        ClassCountsHook().before_train(run)


def test_a_test_run_without_a_training_set_says_so():
    hook, run = ClassCountsHook(), runner(nn.Identity())
    run.cfg, run.test_loop = {}, None
    with pytest.raises(ValueError, match="has no train_dataloader.dataset: keep it"):
        hook.before_test(run)


def test_losses_are_told_the_epoch():
    loss = TellMe()
    run = runner(nn.Sequential(loss))
    run.epoch, run.max_epochs = 3, 8
    LossEpochHook().before_train_epoch(run)
    assert loss.epoch == (3, 8)


def test_a_scheduled_loss_in_a_run_by_iterations_is_refused():
    with pytest.raises(ValueError, match=r"TellMe follows the epochs, .*\(by_epoch=True"):
        LossEpochHook().before_train(runner(nn.Sequential(TellMe()), loop=object()))
    LossEpochHook().before_train(runner(nn.Identity(), loop=object()))
