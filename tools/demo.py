#!/usr/bin/env python
"""Train Seesaw loss with and without NBN on mini-LVIS, and compare: python tools/demo.py."""

import argparse
import json
import os
import sys
import time
from pathlib import Path

from mmdet.apis import init_detector
from mmdet.registry import DATASETS
from mmengine.config import Config

from mmdet_ltnorm.analysis import draw_predictions, plot_curves
from mmdet_ltnorm.data import make_mini_lvis
from mmdet_ltnorm.processes import claim_folder, end_children, exit_on_sigterm, start_child
from mmdet_ltnorm.results import Progress, lvis_table
from mmdet_ltnorm.writing import write_text

OUT = Path("work_dirs/demo")
RUNS = {"Seesaw": OUT / "seesaw", "Seesaw + NBN": OUT / "seesaw_nbn"}
ROOT = Path(__file__).resolve().parents[1]
CONFIG = Config.fromfile(ROOT / "configs/demo/seesaw_nbn.py")


def finished(work_dir: Path) -> bool:
    """Tell whether the run has the score of its last epoch."""
    metrics = Progress.of(work_dir).metrics
    return metrics is not None and metrics["step"] == CONFIG.train_cfg.max_epochs


def train() -> None:
    """Run what is not finished, side by side on one core each, and say where the runs are."""
    environment = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", **os.environ}
    running = {}
    for title, work_dir in RUNS.items():
        if finished(work_dir):
            print(f"{title}: finished earlier; delete {work_dir} to train again")
            continue
        work_dir.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "tools/train.py", f"configs/demo/{work_dir.name}.py"]
        command += ["--work-dir", str(work_dir), "--resume"]
        with (work_dir / "train.log").open("a") as log:
            running[title] = start_child(command, log, environment)
    started = time.monotonic()
    try:
        while running:
            time.sleep(10)
            for title, process in list(running.items()):
                minutes = (time.monotonic() - started) / 60
                print(f"{minutes:4.1f} min  {title}: {Progress.of(RUNS[title]).line()}", flush=True)
                if process.poll() is not None:
                    del running[title]
                    if process.returncode or not finished(RUNS[title]):
                        sys.exit(f"{title} failed: see {RUNS[title]}/train.log")
    finally:
        end_children(list(running.values()))


def draw() -> None:
    """Draw curves, and what the two models find in validation images."""
    plot_curves(RUNS, OUT / "curves.png")
    dataset = DATASETS.build(dict(CONFIG.val_dataloader.dataset, pipeline=[], test_mode=False))
    annotations = json.loads(Path(CONFIG.val_evaluator.ann_file).read_text())
    images = [dataset.get_data_info(index) for index in range(0, len(dataset), len(dataset) // 4)]
    models = {
        title: init_detector(
            f"configs/demo/{work_dir.name}.py",
            str(work_dir / f"epoch_{CONFIG.train_cfg.max_epochs}.pth"),
            device="cpu",
        )
        for title, work_dir in RUNS.items()
    }
    draw_predictions(models, images, annotations["categories"], OUT / "predictions.png")


def main() -> None:
    """Make the data, train, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    os.chdir(ROOT)  # where the paths above start, wherever it was called
    exit_on_sigterm()
    try:
        claim_folder(OUT)
    except BlockingIOError as error:
        sys.exit(f"{parser.prog}: {error}")
    new = make_mini_lvis(CONFIG.data_root, progress=True)
    print(f"mini-LVIS {'written to' if new else 'stands in'} {CONFIG.data_root}")
    print("training two models, about 9 minutes on 2 cores", flush=True)
    train()
    table = lvis_table({title: Progress.of(run).metrics for title, run in RUNS.items()})
    write_text(OUT / "table.md", table + "\n")
    draw()
    print(f"\n{table}\n\nOne run of each on 120 small images: no evidence for or against NBN.")
    print(f"See {OUT}/table.md, {OUT}/curves.png and {OUT}/predictions.png")


if __name__ == "__main__":
    main()
