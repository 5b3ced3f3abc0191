"""What a run shows in its terminal: no pages, how far it is, and means, not last values."""

import io
import itertools
import sys
import time

import pytest
import toy_runner as toy
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.registry import MODELS, RUNNERS
from mmengine.runner import LogProcessor, Runner

from mmdet_ltnorm.engine import terminal
from mmdet_ltnorm.engine.launch import unknown_types_in_words
from mmdet_ltnorm.engine.terminal import MEANS, ProgressHook, RefusedRun, quiet_runner
from mmdet_ltnorm.results.checkpoints import CheckpointError


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Train the toy, and return what it printed."""

    def run(out, **overrides):
        monkeypatch.setattr(toy, "Runner", quiet_runner({}))
        monkeypatch.setattr(sys, "stdout", out)
        runner = toy.toy_runner(tmp_path, **overrides)
        runner.register_hook(ProgressHook())
        runner.train()
        return runner, out.getvalue()

    return run


def test_pages_are_in_the_file_alone_and_the_first_useful_line_comes_soon(run, tmp_path):
    _, printed = run(io.StringIO(), cfg=Config(dict(own_entry=17)))
    before = printed.partition("Epoch(train)")[0]
    assert before.count("\n") < 15
    [file] = tmp_path.glob("*/*.log")
    for page in "Exp name", "System environment", "own_entry", "Hooks will be executed":
        assert page not in printed and page in file.read_text()
    assert f"config, environment and hooks are in {file}" in printed
    assert "FileClient" not in printed and "HardDiskBackend" not in printed


def test_a_terminal_has_a_last_line_that_gives_way_to_the_log(run, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr(terminal.time, "monotonic", lambda: next(clock))
    _, printed = run(Terminal())
    assert "\r\033[K[######..................] training 2/8, 0:" in printed
    assert "validation 1/4, 0:" in printed
    drawn = [text for text in printed.split("\n") if "] training" in text]
    assert drawn and all("\r\033[K" in text.rpartition("left")[2] for text in drawn)
    assert printed.rstrip("\n").rpartition("\r\033[K")[2].count("left") == 0


def test_elsewhere_a_line_of_the_log_tells_after_a_minute_of_silence(run, monkeypatch):
    _, printed = run(io.StringIO())
    assert " left" not in printed.replace("time left", "")
    monkeypatch.setattr(terminal, "_SILENCE", -1)
    runner, printed = run(io.StringIO())
    assert "training 3/8, 0:00:0" in printed and "validation 2/4, 0:00:0" in printed
    assert "\r" not in printed


def test_a_resumed_run_counts_from_where_it_was():
    stage = terminal._Stage("training", 100, earlier=40)
    stage.started, stage.done = 0.0, 60
    assert stage.line(10.0) == "training 60/100, 0:00:20 left"


def test_validation_takes_nothing_from_the_time_that_training_is_said_to_take(run, monkeypatch):
    monkeypatch.setattr(terminal, "_SILENCE", -1)
    process = toy.ToyMetric.process
    monkeypatch.setattr(toy.ToyMetric, "process", lambda *a: (time.sleep(0.7), process(*a)))
    _, printed = run(io.StringIO())
    assert "training 5/8, 0:00:00 left" in printed  # after 2.8 s of validation


def test_accuracy_is_logged_as_a_mean_and_scores_as_they_are(run):
    hub = MessageHub.get_instance("means")
    for value in 0.0, 100.0:
        for name in "train/accuracy", "train/s0.acc", "train/lr", "val/accuracy/all", "val/acc_x":
            hub.update_scalar(name, value)
    processor = LogProcessor(mean_pattern=MEANS)
    runner = type("Runner", (), {"message_hub": hub})()
    told = {
        mode: processor._collect_scalars([], runner, mode, reserve_prefix=mode == "val")
        for mode in ("train", "val")
    }
    assert told["train"] == {"accuracy": 50, "s0.acc": 50, "lr": 100}
    assert told["val"] == {"val/accuracy/all": 100, "val/acc_x": 100}


@pytest.mark.parametrize(
    ("when", "kind", "raised"),
    [
        ("before_train", ValueError, RefusedRun),
        ("before_val", ValueError, RefusedRun),
        ("before_train", CheckpointError, CheckpointError),  # has a line of its own
        ("before_train_iter", ValueError, ValueError),  # a fault of the program
    ],
)
def test_what_a_hook_refuses_before_a_loop_is_told_from_a_fault(
    when, kind, raised, tmp_path, monkeypatch
):
    def refuse(self, *args, **kwargs):
        raise kind("set num_classes to 4")

    monkeypatch.setattr(toy, "Runner", quiet_runner({}))
    runner = toy.toy_runner(tmp_path)
    runner.register_hook(type("Check", (Hook,), {when: refuse})())
    with pytest.raises(ValueError, match="set num_classes to 4") as found:
        runner.train()
    assert found.type is raised


def test_a_type_that_no_registry_has_is_refused_and_another_missing_key_is_a_fault():
    told = "BalancedSoftmaxLos is not in the .* registry"
    with pytest.raises(RefusedRun, match=told), unknown_types_in_words():
        MODELS.build(dict(type="BalancedSoftmaxLos"))
    with pytest.raises(KeyError, match="a key"), unknown_types_in_words():
        raise KeyError("a key")


@pytest.mark.parametrize(
    ("source", "raised"), [("mmdet_ltnorm.data", RefusedRun), ("own", ValueError)]
)
def test_what_a_data_set_of_this_package_refuses_is_told_from_a_fault_of_another(
    source, raised, monkeypatch
):
    names = {"__name__": source}
    exec("def build(runner, loop):\n    raise ValueError('no images')", names)

    class Loading(Runner):
        build_train_loop = staticmethod(names["build"])

    monkeypatch.setitem(RUNNERS.module_dict, "Loading", Loading)
    kind = quiet_runner(dict(runner_type="Loading"))
    with pytest.raises(ValueError, match="no images") as found:
        kind.build_train_loop(None, None)
    assert found.type is raised
