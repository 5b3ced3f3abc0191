"""Kill trainings at random moments until they are done: benchmarks/kill_storm.py --kills 100.

There are four kinds of tiny run: a classifier, a detector, a sweep, and a training on two ranks.
Each is killed (by SIGKILL, sweeps also by SIGTERM) while it trains, saves or validates for the last
time, and started again with the same command, until it ends. A run passes if no kill costs it more
than one epoch, if no process that it started outlives it, and if its last weights and scores equal,
bit for bit, those of a run that was not killed.
"""

import argparse
import contextlib
import json
import os
import random
import runpy
import shutil
import signal
import socket
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from mmengine.runner import CheckpointLoader

from mmdet_ltnorm.data import make_mini_lvis
from mmdet_ltnorm.engine.resume import latest_complete_checkpoint
from mmdet_ltnorm.results.logs import read_scalars, read_validations

ROOT = Path(__file__).parents[1]
TOOLS = ROOT / "tools"
EPOCHS = 3
KINDS = ("classification", "detection", "two ranks", "sweep")
MOMENTS = ("at any time", "while it saves", "in the last validation")

COMMON = f"""
max_epochs = {EPOCHS}
train_cfg = dict(max_epochs={EPOCHS}, val_interval=1)
param_scheduler = [dict(_scope_="mmengine", type="CosineAnnealingLR", T_max={EPOCHS})]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1))
vis_backends = [dict(type="LocalVisBackend")]
visualizer = dict(vis_backends=vis_backends)
randomness = dict(seed=0)
"""

CLASSIFIER = """
_base_ = "{root}/configs/_base_/cls_image_folder.py"
model = dict(
    backbone=dict(norm_cfg=dict(type="NBN"), backbone=dict(base_channels=8, init_cfg=None)),
    head=dict(num_classes=3, in_channels=64))
load, pack = dict(type="LoadImageFromFile"), dict(type="PackClsInputs")
train_dataloader = dict(batch_size=6, num_workers=2, dataset=dict(
    data_root="{data}/images/train",
    pipeline=[load, dict(type="RandomResizedCrop", size=32), dict(type="HorizontalFlip"), pack]))
val_dataloader = dict(batch_size=6, num_workers=1, dataset=dict(
    data_root="{data}/images/test", pipeline=[load, dict(type="CenterCrop", crop_size=32), pack]))
test_dataloader = val_dataloader
"""

DETECTOR = """
_base_ = "{root}/configs/demo/seesaw_nbn.py"
model = dict(
    backbone=dict(backbone=dict(base_channels=8, stem_channels=8)),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=32),
        mask_roi_extractor=dict(out_channels=16),
        mask_head=dict(num_convs=1, in_channels=16, conv_out_channels=16)),
    train_cfg=dict(rpn_proposal=dict(max_per_img=50), rcnn=dict(sampler=dict(num=16))),
    test_cfg=dict(rpn=dict(max_per_img=30), rcnn=dict(max_per_img=5)))
train_dataloader = dict(batch_size=6, dataset=dict(data_root="{data}/lvis/"))
val_dataloader = dict(batch_size=4, dataset=dict(data_root="{data}/lvis/"))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file="{data}/lvis/annotations/lvis_v1_val.json")
test_evaluator = val_evaluator
"""


def make_data(data: Path) -> None:
    """Write images of noise for a classifier, a miniature LVIS, and the configs."""
    for split, label, index in np.ndindex(2, 3, 8):
        file = data / "images" / ("train", "test")[split] / "abc"[label] / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([split, label, index])
        cv2.imwrite(str(file), rng.integers(0, 120 + 60 * label, (40, 40, 3), dtype=np.uint8))
    make_mini_lvis(data / "lvis", num_train=24, num_val=9, image_size=64, populate_groups=False)
    for name, text in {"classifier": CLASSIFIER, "detector": DETECTOR}.items():
        (data / f"{name}.py").write_text(text.format(root=ROOT, data=data) + COMMON)


def command(kind: str, data: Path, work_dir: Path) -> list[str]:
    """Return the command that starts or resumes a run."""
    if kind == "sweep":
        places = ["--seeds", "0", "1", "--jobs", "2", "--work-dir", str(work_dir)]
        return [str(TOOLS / "sweep.py"), str(data / "classifier.py"), *places]
    config = data / ("detector.py" if kind == "detection" else "classifier.py")
    options = ["--work-dir", str(work_dir), "--resume"]
    if kind != "two ranks":
        return [str(TOOLS / "train.py"), str(config), *options]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        os.environ["PORT"] = str(free.getsockname()[1])
    return [str(TOOLS / "dist_train.sh"), str(config), "2", *options]


def start(arguments: list[str], log: Path) -> int:
    """Start a command in a fork of this process, which has imported everything already."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        os.setsid()
        with log.open("a") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        if arguments[0].endswith(".sh"):
            os.execv(arguments[0], arguments)
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        print(ended.code, flush=True)
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(status)


def trainings(kind: str, work_dir: Path) -> list[Path]:
    """Return the work directories of the trainings of a run."""
    return sorted(work_dir.glob("*/seed_*")) if kind == "sweep" else [work_dir]


def is_moment(moment: str, folders: list[Path]) -> Callable[[], bool]:
    """Return a function that tells whether the moment to kill a run has come."""
    if moment == "while it saves":
        return lambda: any(list(folder.glob(".partial-*.pth")) for folder in folders)
    last = f"epoch_{EPOCHS}.pth"
    return lambda: any((f / last).exists() and not scores_of(f) for f in folders)


def scores_of(folder: Path) -> dict[str, float]:
    """Return the scores of the last epoch."""
    found = [record for record in read_validations(folder) if record["step"] == EPOCHS]
    timing = ("time", "data_time")
    return {k: v for k, v in found[-1].items() if k not in timing and v == v} if found else {}


def outcome(kind: str, work_dir: Path) -> list:
    """Return the final weights and scores of all trainings of a run."""
    results = []
    for folder in trainings(kind, work_dir):
        file = folder / f"epoch_{EPOCHS}.pth"
        weights = CheckpointLoader.load_checkpoint(str(file), "cpu")["state_dict"]
        results.append((scores_of(folder), {name: w.tolist() for name, w in weights.items()}))
    if kind == "sweep":
        results.append(json.loads((work_dir / "sweep.json").read_text())["runs"])
    return results


def outlives(child: int, work_dir: Path) -> bool:
    """Tell whether a process that the killed one had started still runs."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, 0)
        return True
    for process in Path("/proc").glob("[0-9]*"):  # ranks have groups of their own
        with contextlib.suppress(OSError):
            if str(work_dir).encode() in (process / "cmdline").read_bytes().split(b"\0"):
                return True
    return False


def lost(kind: str, folder: Path) -> int:
    """Return how many finished epochs a training has lost by a kill."""
    length = 2 if kind == "two ranks" else 4
    steps = [record["step"] for record in read_scalars(folder) if "loss" in record]
    checkpoint = latest_complete_checkpoint(folder)
    number = int(Path(checkpoint).stem.removeprefix("epoch_")) if checkpoint else 0
    return max(steps, default=0) // length - number


def wait(child: int, until: Callable[[], bool], seconds: float) -> int | None:
    """Wait for a process to end, for ``until``, or some seconds; return the status if it ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not until():
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.003)
    return None


class Storm:
    """Runs of all kinds that are killed in turn; counts kills, passed runs and faults."""

    def __init__(self, folder: Path, kills: int, seed: int) -> None:
        self.folder, self.kills = folder, kills
        self.rng = random.Random(seed)
        self.killed: Counter[str] = Counter()
        self.faults: list[str] = []
        self.passed: Counter[str] = Counter()

    def fault(self, kind: str, work_dir: Path, what: str) -> None:
        """Note a fault, with the folder that shows it, and print it."""
        self.faults.append(f"{kind} in {work_dir}: {what}")
        print(self.faults[-1], flush=True)

    def undisturbed(self, kind: str) -> tuple[list, float]:
        """Train without a kill; return the final weights and scores, and the seconds."""
        work_dir = self.folder / f"undisturbed {kind}".replace(" ", "_")
        work_dir.mkdir(parents=True)
        started = time.monotonic()
        child = start(command(kind, self.folder / "data", work_dir), work_dir / "log.txt")
        status = wait(child, lambda: False, 900)
        if status != 0:
            raise RuntimeError(f"{kind} ended with {status}: see {work_dir}/log.txt")
        return outcome(kind, work_dir), time.monotonic() - started

    def run(self, kind: str, number: int, expected: list, seconds: float) -> None:
        """Start, kill and start again until the run has ended; compare its weights and scores."""
        work_dir = self.folder / f"{kind} {number}".replace(" ", "_")
        work_dir.mkdir()
        while True:
            arguments = command(kind, self.folder / "data", work_dir)
            child = start(arguments, work_dir / "log.txt")
            moment = self.rng.choice(MOMENTS)
            enough = sum(self.killed.values()) >= self.kills
            if enough:
                status = wait(child, lambda: False, 900)
            elif moment == "at any time":
                status = wait(child, lambda: False, self.rng.uniform(0.1, 1.2) * seconds)
            else:
                chosen = is_moment(moment, trainings(kind, work_dir) or [work_dir])
                status = wait(child, chosen, 3 * seconds)
                if status is None and moment == "in the last validation":
                    time.sleep(self.rng.uniform(0, 0.1))
            if status == 0:
                break
            if status is not None or enough:
                self.fault(kind, work_dir, f"ended with {status}, see log.txt")
                return
            with_term = kind == "sweep" and self.rng.random() < 0.5
            os.kill(child, signal.SIGTERM if with_term else signal.SIGKILL)
            os.waitpid(child, 0)
            self.killed[f"{kind}, {moment}"] += 1
            self.look(kind, work_dir, child)
        if outcome(kind, work_dir) == expected:
            self.passed[kind] += 1
            shutil.rmtree(work_dir)
        else:
            self.fault(kind, work_dir, "last weights or scores are not the undisturbed run's")

    def look(self, kind: str, work_dir: Path, child: int) -> None:
        """Check that a kill has cost at most an epoch, and that no process outlives it."""
        for folder in trainings(kind, work_dir):
            if lost(kind, folder) > 1:
                self.fault(kind, work_dir, f"{lost(kind, folder)} epochs of {folder} are lost")
        if self.rng.random() < 0.5:
            return  # the run starts again at once
        # A training that is still importing looks for its parent only later.
        deadline = time.monotonic() + 40
        while outlives(child, work_dir):
            if time.monotonic() > deadline:
                self.fault(kind, work_dir, "a process outlives the kill of the one that started it")
                return
            time.sleep(0.1)


def main() -> int:
    """Make the data, train each kind without kills, and then with kills."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work-dir", default="work_dirs/kill_storm", help="must be new")
    args = parser.parse_args()
    folder = Path(args.work_dir).absolute()
    folder.mkdir(parents=True)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", PYTHONPATH=str(ROOT), PATH=path)
    make_data(folder / "data")
    storm = Storm(folder, args.kills, args.seed)
    expected = {kind: storm.undisturbed(kind) for kind in args.kinds}
    for kind, (_, seconds) in expected.items():
        print(f"{kind}: undisturbed in {seconds:.0f} s", flush=True)
    number = 0
    while sum(storm.killed.values()) < args.kills:
        for kind in args.kinds:
            storm.run(kind, number, *expected[kind])
            kills = sum(storm.killed.values())
            print(
                f"{kills} kills, {dict(storm.passed)} passed, {len(storm.faults)} faults",
                flush=True,
            )
        number += 1
    print("\n".join(f"{count:4d} {what}" for what, count in sorted(storm.killed.items())))
    print(*storm.faults, sep="\n")
    return int(bool(storm.faults))


if __name__ == "__main__":
    sys.exit(main())
