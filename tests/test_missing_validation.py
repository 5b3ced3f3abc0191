"""A run that was killed between its checkpoint and its validation validates when it resumes."""

import shutil

import pytest
from toy_runner import ToyMetric, toy_runner

from mmdet_ltnorm.results.logs import read_validations

LOOPS = {
    "epochs": dict(by_epoch=True, max_epochs=2),
    "iterations": dict(type="IterBasedTrainLoop", max_iters=8, val_interval=4),
}
ENDS = {"epochs": (1, 2), "iterations": (4, 8)}


class Killed(Exception):
    pass


class KillingMetric(ToyMetric):
    """Ends the run within its n-th validation."""

    def __init__(self, n):
        super().__init__()
        self.left = n

    def compute_metrics(self, results):
        self.left -= 1
        if not self.left:
            raise Killed
        return super().compute_metrics(results)


def runner(work_dir, loop, metric=None, **overrides):
    by_epoch = loop == "epochs"
    save = dict(type="CheckpointHook", by_epoch=by_epoch, interval=1 if by_epoch else 4)
    return toy_runner(
        work_dir,
        train_cfg=LOOPS[loop],
        param_scheduler=None,
        val_evaluator=[metric or ToyMetric()],
        custom_hooks=[dict(type="MissingValidationHook")],
        default_hooks=dict(
            checkpoint=save,
            logger=dict(type="LoggerHook", interval=1, log_metric_by_epoch=by_epoch),
        ),
        **overrides,
    )


def resume(work_dir, loop, step):
    name = f"{'epoch' if loop == 'epochs' else 'iter'}_{step}.pth"
    again = runner(work_dir, loop, load_from=str(work_dir / name), resume=True)
    again.train()
    return [record["step"] for record in read_validations(work_dir)]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_missing_last_validation_is_run_and_nothing_trained(loop, tmp_path):
    with pytest.raises(Killed):
        runner(tmp_path, loop, KillingMetric(2)).train()
    first, last = ENDS[loop]
    assert resume(tmp_path, loop, last) == [first, last]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_missing_earlier_validation_is_run_before_training_goes_on(loop, tmp_path):
    with pytest.raises(Killed):
        runner(tmp_path, loop, KillingMetric(1)).train()
    first, last = ENDS[loop]
    assert resume(tmp_path, loop, first) == [first, last]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_finished_run_is_not_validated_again_and_says_that_nothing_is_left(loop, tmp_path, capfd):
    runner(tmp_path, loop).train()
    first, last = ENDS[loop]
    assert resume(tmp_path, loop, last) == [first, last]
    unit, longer = ("epoch", "max_epochs") if loop == "epochs" else ("iteration", "max_iters")
    said = capfd.readouterr()
    expected = f"nothing is left to do: {tmp_path} is at {unit} {last} of {last}; to train longer"
    assert expected in said.out + said.err
    assert f"train_cfg.{longer}" in said.out + said.err


def test_scores_that_an_earlier_run_left_in_the_folder_do_not_count(tmp_path):
    runner(tmp_path, "epochs").train()
    (logs,) = (path.parents[1] for path in tmp_path.glob("*/vis_data/scalars.json"))
    shutil.move(logs, tmp_path / "20200101_000000")
    (tmp_path / "epoch_2.pth").unlink()
    with pytest.raises(Killed):
        runner(tmp_path, "epochs", KillingMetric(2)).train()
    assert resume(tmp_path, "epochs", 2) == [1, 2, 1, 2]
