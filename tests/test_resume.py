"""Which checkpoint a killed run resumes from."""

import os
import shutil

from mmdet_ltnorm.engine.resume import latest_complete_checkpoint


def work_dir_with(toy_run, tmp_path, *names, last=None):
    for age, name in enumerate(names):
        shutil.copy(toy_run / "epoch_2.pth", tmp_path / name)
        os.utime(tmp_path / name, (age, age))
    if last:
        (tmp_path / "last_checkpoint").write_text(str(last))
    return tmp_path


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])
    os.utime(path, (1e6, 1e6))


def test_without_a_name_the_newest_checkpoint_is_the_one_of_the_highest_number(toy_run, tmp_path):
    work_dir = work_dir_with(toy_run, tmp_path, "epoch_10.pth", "epoch_9.pth", "epoch_2.pth")
    assert latest_complete_checkpoint(work_dir) == str(work_dir / "epoch_10.pth")


def test_the_checkpoint_that_the_run_names_goes_before_what_an_earlier_run_left(toy_run, tmp_path):
    names = "epoch_3.pth", "epoch_2.pth", "epoch_12.pth"
    work_dir = work_dir_with(toy_run, tmp_path, *names, last=tmp_path / "epoch_3.pth")
    assert latest_complete_checkpoint(work_dir) == str(work_dir / "epoch_3.pth")
    cut(work_dir / "epoch_3.pth")
    assert latest_complete_checkpoint(work_dir) == str(work_dir / "epoch_2.pth")
    cut(work_dir / "epoch_2.pth")
    assert latest_complete_checkpoint(work_dir) == str(work_dir / "epoch_12.pth")


def test_in_a_copied_folder_the_copy_is_resumed_from(toy_run, tmp_path):
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    work_dir_with(toy_run, original, "epoch_9.pth", "epoch_8.pth", last=original / "epoch_9.pth")
    shutil.copytree(original, copy)
    assert latest_complete_checkpoint(copy) == str(copy / "epoch_9.pth")


def test_the_end_of_an_epoch_goes_before_an_iteration_within_the_next(toy_run, tmp_path):
    work_dir = work_dir_with(toy_run, tmp_path, "epoch_3.pth", "iter_900.pth")
    assert latest_complete_checkpoint(work_dir) == str(work_dir / "epoch_3.pth")


def test_a_newest_checkpoint_that_was_cut_short_is_passed_over(toy_run, tmp_path):
    work_dir = work_dir_with(toy_run, tmp_path, "iter_10.pth", "iter_20.pth", "iter_30.pth")
    (work_dir / "last_checkpoint").write_text(str(work_dir / "iter_30.pth"))
    cut(work_dir / "iter_30.pth")
    assert latest_complete_checkpoint(work_dir) == str(work_dir / "iter_20.pth")


def test_the_best_checkpoint_is_not_resumed_from(toy_run, tmp_path):
    work_dir = work_dir_with(toy_run, tmp_path, "epoch_1.pth", "best_toy_acc_epoch_2.pth")
    assert latest_complete_checkpoint(work_dir) == str(work_dir / "epoch_1.pth")


def test_checkpoints_in_an_out_dir_are_found_through_the_hosts_pointer(toy_run, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    work_dir_with(toy_run, elsewhere, "epoch_3.pth")
    (tmp_path / "last_checkpoint").write_text(str(elsewhere / "epoch_3.pth"))
    assert latest_complete_checkpoint(tmp_path) == str(elsewhere / "epoch_3.pth")


def test_a_run_without_a_whole_checkpoint_starts_afresh(toy_run, tmp_path):
    assert latest_complete_checkpoint(tmp_path / "new") is None
    (tmp_path / "last_checkpoint").write_text("")  # killed between opening and writing it
    assert latest_complete_checkpoint(work_dir_with(toy_run, tmp_path)) is None
