"""A resumed run follows the schedule of its config, whatever that of the checkpoint's run was."""

import pytest
from mmengine.hooks import Hook
from toy_runner import ToyData, toy_runner

COSINE = dict(type="CosineAnnealingLR", convert_to_iter_based=True)
WARM_UP = dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=6)
ADAM = dict(optim_wrapper=dict(optimizer=dict(type="Adam", lr=0.01)))
SEVERAL_GROUPS = dict(
    optim_wrapper=dict(
        optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=0.1),
        paramwise_cfg=dict(bias_lr_mult=2.0, custom_keys={"weight": dict(decay_mult=0.0)}),
    )
)
RECORDED = ("lr", "momentum", "betas", "weight_decay")


class Recorder(Hook):
    """Keeps the options of all groups at every step."""

    def __init__(self):
        self.options = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        groups = runner.optim_wrapper.param_groups
        self.options[runner.iter] = [
            {name: group[name] for name in RECORDED if name in group} for group in groups
        ]


def run(work_dir, checkpoint=None, interval=1, by_epoch=True, **overrides):
    recorder = Recorder()
    save = dict(type="CheckpointHook", interval=interval, by_epoch=by_epoch)
    runner = toy_runner(
        work_dir,
        default_hooks=dict(checkpoint=save, logger=dict(type="LoggerHook", interval=100)),
        custom_hooks=[dict(type="ResumeHook"), recorder],
        load_from=checkpoint and str(checkpoint),
        resume=checkpoint is not None,
        val_dataloader=None,
        val_cfg=None,
        val_evaluator=None,
        **overrides,
    )
    runner.train()
    return recorder.options


def epochs(number, *schedulers, **overrides):
    return dict(
        train_cfg=dict(by_epoch=True, max_epochs=number),
        param_scheduler=[dict(scheduler) for scheduler in schedulers] or None,
        **overrides,
    )


def batches_of(size):
    sampler = dict(type="DefaultSampler")
    return dict(train_dataloader=dict(batch_size=size, dataset=ToyData(), sampler=sampler))


def multi_step(*milestones):
    return dict(type="MultiStepLR", milestones=list(milestones))


def iterations(number, *schedulers):
    return dict(
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=number, val_interval=100),
        param_scheduler=[dict(scheduler, by_epoch=False) for scheduler in schedulers],
        train_dataloader=dict(
            batch_size=2, dataset=ToyData(), sampler=dict(type="InfiniteSampler")
        ),
    )


CHANGES = {
    "longer cosine": (epochs(2, COSINE), epochs(6, COSINE)),
    "longer cosine by epoch": (
        epochs(2, dict(type="CosineAnnealingLR", T_max=2)),
        epochs(6, dict(type="CosineAnnealingLR", T_max=6)),
    ),
    "warm-up and longer cosine": (epochs(2, WARM_UP, COSINE), epochs(5, WARM_UP, COSINE)),
    "longer warm-up": (epochs(2, WARM_UP), epochs(4, dict(WARM_UP, end=12))),
    "later milestones": (epochs(3, multi_step(1, 2)), epochs(6, multi_step(3, 5))),
    "another type": (epochs(3, multi_step(1)), epochs(4, COSINE)),
    "more schedulers": (epochs(2, COSINE), epochs(3, WARM_UP, COSINE)),
    "fewer schedulers": (epochs(2, WARM_UP, COSINE), epochs(3, COSINE)),
    "none any more": (epochs(2, COSINE), epochs(3)),
    "none before": (epochs(2), epochs(4, COSINE)),
    "shorter": (epochs(4, COSINE), epochs(3, COSINE)),
    "larger batches": (epochs(4, COSINE), epochs(4, COSINE, **batches_of(4))),
    "smaller batches": (epochs(4, WARM_UP, COSINE), epochs(4, WARM_UP, COSINE, **batches_of(1))),
    "another rate": (
        epochs(3, WARM_UP, multi_step(2)),
        epochs(3, WARM_UP, multi_step(2), optim_wrapper=dict(optimizer=dict(type="SGD", lr=1.0))),
    ),
    "weight decay": (
        epochs(3, COSINE, optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1))),
        epochs(3, COSINE, optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.1, weight_decay=1))),
    ),
    "several groups": (epochs(2, COSINE, **SEVERAL_GROUPS), epochs(5, COSINE, **SEVERAL_GROUPS)),
    "momentum": (
        epochs(2, dict(type="CosineAnnealingMomentum", eta_min=0.5)),
        epochs(4, dict(type="CosineAnnealingMomentum", eta_min=0.5)),
    ),
    "Adam's momentum": (
        epochs(2, COSINE, dict(type="LinearMomentum", end=2), **ADAM),
        epochs(4, COSINE, dict(type="LinearMomentum", end=4), **ADAM),
    ),
    "iterations": (
        iterations(4, WARM_UP, dict(type="PolyLR", eta_min=1e-4)),
        iterations(9, WARM_UP, dict(type="PolyLR", eta_min=1e-4)),
    ),
}


@pytest.mark.parametrize(("before", "after"), CHANGES.values(), ids=CHANGES)
def test_rates_after_a_resume_are_those_of_a_run_that_had_the_new_schedule_from_the_start(
    before, after, tmp_path
):
    by_epoch = "max_epochs" in before["train_cfg"]
    run(tmp_path / "before", by_epoch=by_epoch, **before)
    name = "epoch_2.pth" if by_epoch else "iter_4.pth"
    resumed = run(tmp_path / "resumed", tmp_path / "before" / name, by_epoch=by_epoch, **after)
    undisturbed = run(tmp_path / "undisturbed", by_epoch=by_epoch, **after)
    start = 2 * len(undisturbed) // after["train_cfg"]["max_epochs"] if by_epoch else 4
    assert sorted(resumed) == list(range(start, len(undisturbed)))
    assert resumed == {step: undisturbed[step] for step in resumed}


def test_an_unchanged_schedule_goes_on_as_the_checkpoint_says(tmp_path, monkeypatch):
    monkeypatch.setattr("mmdet_ltnorm.engine.schedules.ResumeHook._replay", None)
    undisturbed = run(tmp_path / "before", **epochs(4, WARM_UP, COSINE))
    resumed = run(tmp_path / "on", tmp_path / "before/epoch_3.pth", **epochs(4, WARM_UP, COSINE))
    assert resumed == {step: undisturbed[step] for step in range(12, 16)}


def test_a_checkpoint_within_an_epoch_resumes_at_the_start_of_that_epoch(tmp_path):
    setting = epochs(4, WARM_UP, COSINE)
    undisturbed = run(tmp_path / "before", by_epoch=False, interval=3, **setting)
    resumed = run(tmp_path / "on", tmp_path / "before" / "iter_6.pth", by_epoch=False, **setting)
    assert resumed == {step: undisturbed[step] for step in range(4, 16)}


def test_a_changed_schedule_that_follows_scores_is_refused(tmp_path):
    plateau = dict(type="ReduceOnPlateauLR", monitor="toy/acc", rule="greater")
    run(tmp_path / "before", **epochs(2, plateau))
    with pytest.raises(ValueError, match="ReduceOnPlateauLR follows the scores of earlier epochs"):
        run(tmp_path, tmp_path / "before" / "epoch_2.pth", **epochs(3, dict(plateau, factor=0.5)))
