"""Sweeps: what is trained, what is trained again, and what the tables say."""

import csv
import io
import json
import math
import re
import sys

import pytest
from matplotlib.figure import Figure

from mmdet_ltnorm.sweep import (
    default_metrics,
    difference,
    plan_runs,
    plot_sweeps,
    sweep_table,
    train_runs,
    write_report,
)
from mmdet_ltnorm.sweep.progress import Progress

# Stands in for tools/train.py: notes its call, and writes what mmengine's logger would.
TRAINING = """
import json, pathlib, sys
config, work_dir = sys.argv[1], pathlib.Path(sys.argv[sys.argv.index("--work-dir") + 1])
with (pathlib.Path(config).parent / "calls.txt").open("a") as calls:
    calls.write(" ".join([pathlib.Path(config).stem, *sys.argv[2:]]) + "\\n")
options = sys.argv[sys.argv.index("--cfg-options") + 1:]
seed = int(options[0].removeprefix("randomness.seed="))
if pathlib.Path(config).stem == "fails" and seed == 1:
    sys.exit("a fault")
out = work_dir / "20260101_000000" / "vis_data"
out.mkdir(parents=True)
records = [{"loss": 1.0, "step": 1}, {"accuracy/all": 99.0, "step": 1}, {"loss": 0.5, "step": 2},
           {"accuracy/all": 50.0 + 2 * seed + len(pathlib.Path(config).stem), "step": 2,
            "accuracy/few": float("nan"), "time": 0.1}]
if pathlib.Path(config).stem == "unscored":
    records = [records[0], {"feature_bias/var_mu": 0.1, "step": 50}]  # as FeatureBiasHook logs it
if pathlib.Path(config).stem == "detector":
    records[-1] = {"lvis/bbox_AP": 0.25, "lvis/bbox_APr": 0.125, "step": 2, "time": 0.1}
(out / "scalars.json").write_text("".join(json.dumps(record) + "\\n" for record in records))
(work_dir / "epoch_2.pth").touch()
"""


@pytest.fixture
def command(tmp_path):
    file = tmp_path / "train.py"
    file.write_text(TRAINING)
    return [sys.executable, str(file)]


def config(tmp_path, name, text="lr = 1"):
    file = tmp_path / f"{name}.py"
    file.write_text(text + "\n")
    return str(file)


def calls(tmp_path):
    return (tmp_path / "calls.txt").read_text().splitlines()


def test_every_config_is_trained_with_every_seed_and_scored_at_its_last_epoch(tmp_path, command):
    configs = [config(tmp_path, "ce"), config(tmp_path, "nbn")]
    runs = plan_runs(configs, [0, 3], str(tmp_path / "out"), ["a.b=c"])
    results = train_runs(runs, command, jobs=2)
    assert {name: list(by_seed) for name, by_seed in results.items()} == {
        "ce": [0, 3],
        "nbn": [0, 3],
    }
    assert results["nbn"][3]["accuracy/all"] == 50 + 6 + 3
    assert set(results["nbn"][3]) == {"accuracy/all", "accuracy/few"}
    assert math.isnan(results["nbn"][3]["accuracy/few"])
    work_dir = tmp_path / "out" / "nbn" / "seed_3"
    assert f"nbn --work-dir {work_dir} --cfg-options randomness.seed=3 a.b=c" in calls(tmp_path)


def test_numbers_that_a_hook_logs_are_no_validation(tmp_path, command, capsys):
    runs = plan_runs([config(tmp_path, "unscored")], [0], str(tmp_path / "out"))
    assert train_runs(runs, command) == {"unscored": {}}
    assert "has ended without a validation at its end, see" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "options"), [
    ("train_cfg = dict(max_epochs=3)", []),
    ("train_cfg = dict(max_epochs=2)", ["train_cfg.max_epochs=3"]),
    ("train_cfg = dict(type='IterBasedTrainLoop', max_iters=3)", []),
])  # fmt: skip
def test_the_score_of_an_earlier_epoch_is_not_taken_for_the_last(
    text, options, tmp_path, command, capsys
):
    runs = plan_runs([config(tmp_path, "ce", text)], [0], str(tmp_path / "out"), options)
    assert train_runs(runs, command) == {"ce": {}}
    assert "has ended without a validation at its end, see" in capsys.readouterr().out


def test_a_note_that_a_full_disk_left_empty_does_not_stop_a_restart(tmp_path, command, capsys):
    plan = [config(tmp_path, "ce")], [0], str(tmp_path / "out")
    note = tmp_path / "out" / "ce" / "seed_0" / "sweep_run.json"
    note.parent.mkdir(parents=True)
    note.touch()
    results = train_runs(plan_runs(*plan), command)
    assert f"{note} is damaged" in capsys.readouterr().out
    assert list(results["ce"]) == [0]
    assert json.loads(note.read_text())["scores"]["accuracy/all"] == 52


def test_a_second_sweep_trains_only_what_has_not_ended(tmp_path, command, capsys):
    configs = [config(tmp_path, "ce"), config(tmp_path, "nbn")]
    first = train_runs(plan_runs(configs[:1], [0, 1], str(tmp_path / "out")), command)
    interrupted = tmp_path / "out" / "nbn" / "seed_1"
    interrupted.mkdir(parents=True)
    (interrupted / "epoch_1.pth").touch()
    both = train_runs(plan_runs(configs, [0, 1], str(tmp_path / "out")), command)
    assert str(both["ce"]) == str(first["ce"])
    assert [call.split()[0] for call in calls(tmp_path)] == ["ce", "ce", "nbn", "nbn"]
    assert ["--resume" in call for call in calls(tmp_path)] == [False, False, False, True]
    assert "2 of them ended earlier" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["config", "options"])
def test_a_work_dir_of_another_config_or_other_options_is_refused(tmp_path, command, change):
    out = str(tmp_path / "out")
    train_runs(plan_runs([config(tmp_path, "ce")], [0], out), command)
    changed = config(tmp_path, "ce", "lr = 2" if change == "config" else "lr = 1")
    runs = plan_runs([changed], [0], out, ["lr=3"] if change == "options" else [])
    with pytest.raises(ValueError, match=r"ce/seed_0 holds a run of another config .* delete it"):
        train_runs(runs, command)


def test_a_run_that_fails_is_named_and_the_others_go_on(tmp_path, command, capsys):
    configs = [config(tmp_path, "fails"), config(tmp_path, "ce")]
    results = train_runs(plan_runs(configs, [0, 1], str(tmp_path / "out")), command)
    assert {name: list(by_seed) for name, by_seed in results.items()} == {
        "fails": [0],
        "ce": [0, 1],
    }
    said = r"run 2/4  fails seed 1  \d+ s  failed with exit code 1, see"
    printed = capsys.readouterr().out
    assert re.search(said, printed) and re.search(r"ce seed 0  \d+ s  all 52.0\n", printed)
    log = tmp_path / "out" / "fails" / "seed_1" / "train.log"
    assert "a fault" in log.read_text()


def test_a_line_tells_how_far_the_runs_are_and_the_time_that_is_left(tmp_path, monkeypatch, capsys):
    text = "train_cfg = dict(max_epochs=4)"
    out = str(tmp_path / "out")
    done, resumed, later = plan_runs([config(tmp_path, "ce", text)], [0, 1, 2], out)

    def log(run, line):
        run.work_dir.mkdir(parents=True, exist_ok=True)
        with (run.work_dir / "train.log").open("a") as file:
            file.write(f"11/28 10:00:00 - mmengine - INFO - {line}  lr: 1.0e-01  loss: 2.0\n")

    log(resumed, "Epoch(train)  [2][ 5/10]")  # before the sweep: 1.5 of 4 epochs
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    progress = Progress([done, resumed, later])
    now[0] = 5.0
    progress.show([done, resumed])
    assert capsys.readouterr().out == ""
    now[0] = 12.0
    progress.show([done, resumed])
    assert capsys.readouterr().out == "[12 s] ce seed 0 starting, ce seed 1 38%\n"
    log(resumed, "Epoch(train)  [2][10/10]")
    now[0] = 40.0  # most of it is the start, which is no measure
    progress.show([done, resumed])
    assert capsys.readouterr().out == "[40 s] ce seed 0 starting, ce seed 1 50%\n"
    log(resumed, "Epoch(train)  [3][ 5/10]")
    now[0] = 60.0  # 0.125 of a run in 20 s, 2.375 left
    progress.show([done, resumed])
    told = "[1.0 min, about 6.3 min left] ce seed 0 starting, ce seed 1 62%\n"
    assert capsys.readouterr().out == told
    now[0] = 600.0  # 1.25 of 2.625 runs done: 1.375 of them left
    progress.end(done, "ended")
    assert capsys.readouterr().out == "[10 min, about 11 min left] ended\n"
    log(later, "Iter(train) [ 25/100]")
    log(later, "training 50/100, 0:00:40 left")
    now[0] = 9000.0
    progress.show([resumed, later])
    told = "[2.5 h, about 1.2 h left] ce seed 1 62%, ce seed 2 50%\n"
    assert capsys.readouterr().out == told


def test_in_a_terminal_the_line_is_written_over_and_does_not_wrap(tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    runs = plan_runs([config(tmp_path, "x" * 60)], [0, 1], str(tmp_path / "out"))
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout", Terminal())
    progress = Progress(runs)
    now[0] = 2.0
    progress.show(runs)
    progress.end(runs[0], "ended")
    drawn, erased, told = sys.stdout.getvalue().split("\r\033[K")[1:] + [""]
    assert drawn.startswith("[2 s] xxx") and len(drawn) == 79
    assert erased == "[2 s, about 2 s left] ended\n" and told == ""


SECOND_STAGE = "load_from = 'work_dirs/fails/epoch_9.pth'"


def test_a_second_stage_continues_the_first_stage_of_its_seed(tmp_path, command, capsys):
    # Named first, so that it has to wait; of the first stages, that of seed 1 fails.
    configs = [config(tmp_path, "crt", SECOND_STAGE), config(tmp_path, "fails")]
    results = train_runs(plan_runs(configs, [0, 1], str(tmp_path / "out")), command, jobs=2)
    assert list(results["crt"]) == [0]
    last = calls(tmp_path)[-1]
    checkpoint = tmp_path / "out" / "fails" / "seed_0" / "epoch_9.pth"
    assert last.startswith("crt ")
    assert last.endswith(f" load_from={checkpoint}")
    assert "crt seed 1 was not started: its first stage failed" in capsys.readouterr().out


def test_a_second_stage_without_its_first_in_the_sweep_keeps_its_checkpoint(tmp_path):
    (run,) = plan_runs([config(tmp_path, "crt", SECOND_STAGE)], [0], str(tmp_path))
    assert run.options == ("randomness.seed=0",)


@pytest.mark.parametrize(
    ("names", "seeds", "message"),
    [
        (["a/ce", "b/ce"], [0], "different names, got ce, ce"),
        (["a/ce"], [1, 1], "seeds must differ, got 1, 1"),
    ],
)
def test_runs_that_would_share_a_folder_are_refused(names, seeds, message):
    with pytest.raises(ValueError, match=message):
        plan_runs(names, seeds, "out")


RESULTS = {
    "ce": {s: {"accuracy/all": a, "accuracy/many": math.nan} for s, a in enumerate([60, 64, 62])},
    "nbn": {s: {"accuracy/all": a, "accuracy/many": math.nan} for s, a in enumerate([61, 64, 66])},
}


def test_differences_are_paired_by_seed():
    # d = 1, 0, 4: mean 5/3, variance (1 + 0 + 16 - 25/3) / 2 = 13/3, error sqrt(13/9).
    found = difference(RESULTS, "accuracy/all", "nbn", "ce")
    assert found.mean == pytest.approx(5 / 3)
    assert found.spread == pytest.approx(math.sqrt(13 / 9))
    assert found.n == 3


def test_the_table_shows_means_deviations_and_differences():
    table = sweep_table(RESULTS, ["accuracy/all", "accuracy/many"])
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert rows[0] == ["", "n", "all", "many"]
    assert rows[2:] == [
        ["ce", "3", "62.0 ± 2.0", "n/a"],
        ["nbn", "3", "63.7 ± 2.5", "n/a"],
        ["nbn − ce", "3", "+1.7 ± 1.2", "n/a"],
    ]


def test_other_pairs_can_be_compared():
    table = sweep_table(RESULTS, ["accuracy/all"], pairs=[("ce", "nbn")])
    assert table.splitlines()[-1].split() == [
        "|",
        "ce",
        "−",
        "nbn",
        "|",
        "3",
        "|",
        "-1.7",
        "±",
        "1.2",
        "|",
    ]


def test_a_seed_that_one_config_lacks_is_left_out_of_the_pairs():
    results = {"ce": RESULTS["ce"], "nbn": {2: RESULTS["nbn"][2]}}
    found = difference(results, "accuracy/all", "nbn", "ce")
    assert (found.mean, found.n) == (4, 1)
    assert found.text("+.1f") == "+4.0 ± n/a"


def test_the_report_holds_every_run_in_every_format(tmp_path):
    write_report(RESULTS, ["accuracy/all", "accuracy/many"], tmp_path)
    content = json.loads((tmp_path / "sweep.json").read_text())
    assert content["runs"]["nbn"]["1"] == {"accuracy/all": 64, "accuracy/many": None}
    assert content["mean"]["accuracy/all"]["ce"] == {"mean": 62, "spread": 2, "n": 3}
    assert content["difference"]["accuracy/many"]["nbn"]["mean"] is None
    rows = list(csv.reader((tmp_path / "sweep.csv").open()))
    assert rows[0] == ["config", "seed", "accuracy/all", "accuracy/many"]
    assert rows[1] == ["ce", "0", "60", ""]
    assert len(rows) == 7
    assert "+1.7 ± 1.2" in (tmp_path / "sweep.md").read_text()
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_has_no_place_for_a_group_without_classes(tmp_path, monkeypatch):
    figures, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda *a, **k: [figures.append(a[0]), save(*a, **k)])
    scores = {"accuracy/all": 60.0, "accuracy/few": math.nan, "accuracy/many": 70.0}
    plot_sweeps({"": {"ce": {0: scores}, "nbn": {0: scores}}}, list(scores), tmp_path / "means.png")
    diverged = dict.fromkeys(scores, math.nan)
    plot_sweeps({"": {"ce": {0: diverged}}}, list(scores), tmp_path / "means.png")
    shown = [[label.get_text() for label in f.axes[-1].get_xticklabels()] for f in figures]
    assert shown == [["all", "many"], ["all", "few", "many"]]


def test_configs_of_different_data_are_no_sweep(tmp_path):
    for name, kind in {"a": "DigitsLT", "b": "ShapesLT"}.items():
        loader = f"dict(dataset=dict(type={kind!r}))"
        (tmp_path / f"{name}.py").write_text(f"train_dataloader = val_dataloader = {loader}")
    files = [str(tmp_path / "a.py"), str(tmp_path / "b.py")]
    with pytest.raises(ValueError, match="a and b are of different data, which are not compared"):
        plan_runs(files, [0], "work")
    assert len(plan_runs(files[:1], [0, 1], "work")) == 2


def test_a_detectors_scores_are_shown_in_percent(tmp_path, command, capsys):
    runs = plan_runs([config(tmp_path, "detector")], [0], str(tmp_path / "out"))
    results = train_runs(runs, command)
    assert results["detector"][0] == {"lvis/bbox_AP": 25, "lvis/bbox_APr": 12.5}
    assert "bbox_AP 25.0, bbox_APr 12.5" in capsys.readouterr().out
    assert train_runs(runs, command) == results
    assert default_metrics(results) == ["lvis/bbox_AP", "lvis/bbox_APr"]


@pytest.mark.parametrize(
    ("scored", "shown"),
    [
        (["accuracy/few", "accuracy/ece", "accuracy/all"], ["accuracy/all", "accuracy/few"]),
        (
            ["lvis/segm_APr", "lvis/segm_AP", "lvis/bbox_AP50", "lvis/bbox_AP"],
            ["lvis/bbox_AP", "lvis/segm_AP", "lvis/segm_APr"],
        ),
        (["coco/bbox_mAP_50", "coco/bbox_mAP"], ["coco/bbox_mAP"]),
        (["other/score"], ["other/score"]),
        ([], ["accuracy/all", "accuracy/many", "accuracy/medium", "accuracy/few"]),
    ],
)
def test_a_table_shows_the_groups_of_what_was_scored(scored, shown):
    results = {"failed": {}, "ce": {0: dict.fromkeys(scored, 1.0)}}
    assert default_metrics(results) == shown


def test_no_training_at_a_time_is_refused():
    with pytest.raises(ValueError, match="at least one training runs at a time, got jobs=0"):
        train_runs([], ["python"], jobs=0)
