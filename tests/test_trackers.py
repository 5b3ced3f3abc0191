"""Trackers get what the log has, and their failures are told in words."""

import re
import sys

import pytest
from mmengine.config import Config
from mmengine.visualization import TensorboardVisBackend
from test_group_accuracy_runs import SureModel
from toy_runner import toy_runner

from mmdet_ltnorm.engine.trackers import tracker_errors_in_words
from mmdet_ltnorm.evaluation import GroupAccuracy

LOGGED = {"loss", "accuracy/all", "accuracy/many"}
VALUE = b"\x82\x01"  # what comes between a name and its value in wandb's file


def tracked_runner(work_dir, **backend):
    return toy_runner(
        work_dir,
        SureModel(),
        val_evaluator=[GroupAccuracy(class_counts=[500, 50])],
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1)),
        visualizer=dict(
            type="Visualizer", vis_backends=[dict(type="LocalVisBackend"), dict(**backend)]
        ),
    )


@pytest.mark.slow
def test_wandb_gets_losses_and_scores_and_a_resumed_run_goes_on(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    options = dict(id="street-1", resume="allow", allow_val_change=True)
    for epochs in 2, 3:
        runner = tracked_runner(tmp_path, type="WandbVisBackend", init_kwargs=options)
        runner.train_loop._max_epochs = epochs
        if epochs == 3:
            runner.resume(str(tmp_path / "epoch_2.pth"))
        runner.train()
    files = sorted(tmp_path.glob("*/vis_data/wandb/offline-run-*/run-street-1.wandb"))
    assert len(files) == 2
    for file, last in zip(files, (b"8", b"12"), strict=True):
        content = file.read_bytes()  # names and values are texts in it
        assert all(name.encode() + VALUE in content for name in LOGGED)
        assert re.search(rb"accuracy/all" + VALUE + rb".100\b", content)
        assert re.search(rb"iter" + VALUE + rb"." + last + rb"\b", content)


@pytest.mark.slow
def test_mlflow_gets_losses_by_iteration_and_scores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where it writes files to
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("sqlalchemy")
    store = f"sqlite:///{tmp_path}/mlflow.db"
    runner = tracked_runner(tmp_path, type="MLflowVisBackend", tracking_uri=store)
    runner.visualizer.add_config(Config(dict(work_dir=str(tmp_path))))
    runner.train()
    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs(["0"])
    assert run.data.metrics.keys() >= LOGGED and run.data.metrics["accuracy/all"] == 100
    steps = [entry.step for entry in client.get_metric_history(run.info.run_id, "loss")]
    assert steps == [4, 8]


def test_a_tracker_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with (
        pytest.raises(
            ConnectionError, match="WandbVisBackend failed: .*pip install wandb.*offline"
        ),
        tracker_errors_in_words(),
    ):
        tracked_runner(tmp_path, type="WandbVisBackend").train()


def test_a_tracker_that_fails_amid_a_run_is_named_with_how_to_go_on(tmp_path, monkeypatch):
    def unreachable(self, *args, **options):
        raise TimeoutError("no answer\nfrom the server")

    monkeypatch.setattr(TensorboardVisBackend, "add_scalars", unreachable)
    runner = tracked_runner(tmp_path, type="TensorboardVisBackend")
    message = "TensorboardVisBackend failed: no answer. .*--resume goes on"
    with pytest.raises(ConnectionError, match=message), tracker_errors_in_words():
        runner.train()


def test_other_errors_of_a_run_stay_what_they_are():
    with pytest.raises(ZeroDivisionError), tracker_errors_in_words():
        1 / 0  # noqa: B018
