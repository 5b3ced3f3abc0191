"""Folders of generated data: complete or not there, and made by one process at a time."""

import multiprocessing
import os
import signal

import pytest

from mmdet_ltnorm.data.synthetic.made_folder import made_folder


def hold(folder, ready, go_on):
    with made_folder(folder) as partial:
        (partial / "half").write_text("x")
        ready.set()
        go_on.wait(60)
        (partial / "whole").write_text("x")


@pytest.fixture
def maker(tmp_path):
    """A process in the middle of making a folder, and the event that lets it go on."""
    context = multiprocessing.get_context("fork")
    ready, go_on = context.Event(), context.Event()
    process = context.Process(target=hold, args=(tmp_path / "set", ready, go_on))
    process.start()
    assert ready.wait(60)
    yield process, go_on
    process.kill()
    process.join()


def test_a_folder_appears_whole_and_alone(tmp_path):
    with made_folder(tmp_path / "new" / "set") as partial:
        (partial / "file").write_text("x")
        assert not (tmp_path / "new" / "set").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["set"]
    assert [path.name for path in (tmp_path / "new" / "set").iterdir()] == ["file"]


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(KeyError), made_folder(tmp_path / "set") as partial:
        (partial / "file").write_text("x")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_does_not_block_the_next(tmp_path, maker):
    process, _ = maker
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert (tmp_path / ".set.partial" / "half").is_file()
    with made_folder(tmp_path / "set") as partial:
        assert list(partial.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_a_second_maker_at_once_is_refused_and_the_first_goes_on(tmp_path, maker):
    process, go_on = maker
    message = f"another process is making {tmp_path}/set now: wait until"
    with pytest.raises(ValueError, match=message), made_folder(tmp_path / "set"):
        pass
    go_on.set()
    process.join(60)
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["half", "whole"]


def test_a_folder_with_something_in_it_is_not_replaced(tmp_path):
    message = "set cannot be put in place: .*not empty"
    with pytest.raises(ValueError, match=message), made_folder(tmp_path / "set"):
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "mine").write_text("x")
    assert (tmp_path / "set" / "mine").is_file()
