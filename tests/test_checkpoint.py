"""Checkpoints load without running code, training resumes, and broken files are recognized."""

import os
import pickle
import shutil
import urllib.error
import zipfile

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader
from toy_runner import toy_runner


class RunsACommand:
    """A hostile object: unpickling it runs a command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


class FetchesAnAttribute:
    def __init__(self, owner, name):
        self.owner, self.name = owner, name

    def __reduce__(self):
        return getattr, (self.owner, self.name)


def load(path):
    return CheckpointLoader.load_checkpoint(str(path))


def hostile_file(tmp_path):
    """Write a checkpoint that creates the second path when it is unpickled."""
    path, sign = tmp_path / "hostile.pth", tmp_path / "it_ran"
    torch.save({"state_dict": {}, "extra": RunsACommand(f"touch {sign}")}, path)
    return path, sign


def test_a_training_checkpoint_loads_whole(toy_run):
    checkpoint = load(toy_run / "epoch_2.pth")
    assert {"meta", "state_dict", "message_hub", "optimizer", "param_schedulers"} <= set(checkpoint)
    history = checkpoint["message_hub"]["log_scalars"]["train/loss"]
    values, counts = history.data
    assert len(values) == len(counts) == 8
    assert history.mean() == pytest.approx(np.mean(values))
    assert checkpoint["message_hub"]["runtime_info"]["best_score"] == 0.5


def test_a_resumed_run_ends_as_one_that_never_stopped(toy_run, tmp_path):
    shutil.copy(toy_run / "epoch_1.pth", tmp_path)
    runner = toy_runner(tmp_path, load_from=str(tmp_path / "epoch_1.pth"), resume=True)
    runner.train()
    whole, resumed = load(toy_run / "epoch_2.pth"), load(tmp_path / "epoch_2.pth")
    assert resumed["meta"]["iter"] == whole["meta"]["iter"] == 8
    for name, value in whole["state_dict"].items():
        torch.testing.assert_close(resumed["state_dict"][name], value, rtol=0, atol=0)
    for key, value in whole["optimizer"]["state"].items():
        assert torch.equal(
            resumed["optimizer"]["state"][key]["momentum_buffer"], value["momentum_buffer"]
        )


def test_a_hostile_file_is_refused_by_name_and_does_not_run(tmp_path):
    path, sign = hostile_file(tmp_path)
    with pytest.raises(
        ValueError, match=r"hostile\.pth needs 'posix\.system' to load.*extract the"
    ):
        load(path)
    assert not sign.exists()


def test_the_hostile_file_would_run_without_the_guard(tmp_path):
    path, sign = hostile_file(tmp_path)
    torch.load(path, weights_only=False)
    assert sign.exists()


def test_switching_torchs_safety_off_by_environment_does_not_reach_checkpoints(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path, sign = hostile_file(tmp_path)
    with pytest.raises(ValueError, match=r"posix\.system"):
        load(path)
    assert not sign.exists()
    assert os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] == "1"
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


@pytest.mark.parametrize("scheme", ["https://example.org/", "torchvision://"])
def test_a_downloaded_file_does_not_run_either(scheme, tmp_path, monkeypatch):
    path, sign = hostile_file(tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    for name in ("hostile.pth", "resnet50-0676ba61.pth"):  # as if downloaded before
        shutil.copy(path, tmp_path / "checkpoints" / name)
    with pytest.raises(ValueError, match=r"posix\.system"):
        load(scheme + {"torchvision://": "resnet50"}.get(scheme, "hostile.pth"))
    assert not sign.exists()


@pytest.mark.parametrize(
    ("owner", "name"), [(HistoryBuffer, "__setstate__"), (HistoryBuffer, "__init__"), (dict, "get")]
)
def test_getattr_is_allowed_for_log_histories_only(owner, name, tmp_path):
    torch.save(FetchesAnAttribute(owner, name), tmp_path / "walk.pth")
    with pytest.raises(ValueError, match=r"walk\.pth needs '(builtins\.getattr|dict)'"):
        load(tmp_path / "walk.pth")


def test_text_that_the_host_would_run_on_resume_is_dropped(tmp_path):
    torch.save({"meta": {"config": "import os", "epoch": 3}, "state_dict": {}}, tmp_path / "a.pth")
    assert load(tmp_path / "a.pth")["meta"] == {"epoch": 3}


def test_the_allow_list_does_not_outlive_a_load(toy_run):
    load(toy_run / "epoch_1.pth")
    assert HistoryBuffer not in torch.serialization.get_safe_globals()
    with pytest.raises(pickle.UnpicklingError, match="HistoryBuffer|scalar"):
        torch.load(toy_run / "epoch_1.pth", weights_only=True)


def test_arrays_from_before_and_after_numpy_2_load(tmp_path):
    for here, there in (("numpy._core", "numpy.core"), ("numpy.core", "numpy._core")):
        torch.save({"a": np.arange(3.0), "b": np.float32(2)}, tmp_path / "new.pth")
        with (
            zipfile.ZipFile(tmp_path / "new.pth") as source,
            zipfile.ZipFile(tmp_path / "old.pth", "w") as target,
        ):
            for item in source.infolist():
                data = source.read(item)
                if item.filename.endswith("data.pkl"):
                    data = data.replace(f"c{here}.".encode(), f"c{there}.".encode())
                target.writestr(item, data)
        loaded = load(tmp_path / "old.pth")
        np.testing.assert_array_equal(loaded["a"], [0.0, 1.0, 2.0])
        assert loaded["b"] == 2


@pytest.mark.parametrize("length", [0, 1, 100, 2000, -1])
def test_a_file_that_was_cut_short_is_named(length, toy_run, tmp_path):
    whole = (toy_run / "epoch_1.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[:length])
    with pytest.raises(ValueError, match=r"cut\.pth is not a (complete )?checkpoint"):
        load(tmp_path / "cut.pth")


def test_an_array_of_something_else_than_numbers_is_refused_by_its_type(tmp_path):
    torch.save({"names": np.array(["a", "bb"])}, tmp_path / "text.pth")
    with pytest.raises(ValueError, match=r"text\.pth needs 'numpy\.dtypes\.StrDType' to load"):
        load(tmp_path / "text.pth")


def test_another_kind_of_file_is_named(tmp_path):
    (tmp_path / "page.pth").write_text("<html>404</html>")
    with pytest.raises(ValueError, match=r"page\.pth is not a checkpoint: cut short, or a file of"):
        load(tmp_path / "page.pth")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load(tmp_path / "nowhere.pth")


def test_an_error_that_is_not_about_the_file_passes_through(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "a.pth")

    def location(storage, place):
        raise RuntimeError("out of memory")

    torch.save({"x": torch.ones(2)}, tmp_path / "b.pth")
    with pytest.raises(RuntimeError, match="out of memory"):
        CheckpointLoader.load_checkpoint(str(tmp_path / "b.pth"), map_location=location)


def test_without_a_network_the_error_says_where_to_put_the_file(tmp_path, monkeypatch):
    def download(*args, **kwargs):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    message = r"resnet50 \(no route to host\): fetch https://.*/resnet50-.*\.pth .*/checkpoints"
    with pytest.raises(ConnectionError, match=message):
        load("torchvision://resnet50")


def test_pretrained_weights_are_found_without_torchvision(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)
    (tmp_path / "checkpoints").mkdir()
    torch.save({"conv1.weight": torch.ones(2)}, tmp_path / "checkpoints" / "resnet50-0676ba61.pth")
    assert list(load("torchvision://resnet50")) == ["conv1.weight"]
