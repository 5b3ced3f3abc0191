#!/usr/bin/env python
"""Train Seesaw loss with and without NBN on mini-LVIS, and compare: python tools/demo.py."""

import argparse
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
OUT = Path("work_dirs/demo")
TITLES = {"seesaw": "Seesaw", "seesaw_nbn": "Seesaw + NBN"}


def main() -> None:
    """Make the data, train, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    from mmdet_ltnorm.data import make_mini_lvis
    from mmdet_ltnorm.processes import claim_folder, exit_on_sigterm
    from mmdet_ltnorm.reading import read_config
    from mmdet_ltnorm.results import lvis_table
    from mmdet_ltnorm.sweep import plan_runs, train_runs
    from mmdet_ltnorm.writing import write_text

    os.chdir(ROOT)  # where all paths start, wherever it was called
    exit_on_sigterm()
    configs = [f"configs/demo/{name}.py" for name in TITLES]
    cfg = read_config(configs[0])
    try:
        claim_folder(OUT)
        new = make_mini_lvis(cfg.data_root, progress=True)
        print(f"mini-LVIS {'written to' if new else 'stands in'} {cfg.data_root}")
        print("training two models, about 9 minutes on 2 cores", flush=True)
        runs = plan_runs(configs, [0], str(OUT))
        train_runs(runs, [sys.executable, "tools/train.py"], jobs=2)
    except (BlockingIOError, ValueError) as error:
        sys.exit(f"{parser.prog}: {error}")
    scores = {TITLES[run.name]: run.result() for run in runs}
    if None in scores.values():
        sys.exit(f"{parser.prog}: not both models were trained, see above")
    table = lvis_table(scores)
    write_text(OUT / "table.md", table + "\n")
    draw(cfg, {TITLES[run.name]: run for run in runs})
    print(f"\n{table}\n\nOne run of each on 120 small images: no evidence for or against NBN.")
    print(f"See {OUT}/table.md, {OUT}/curves.png and {OUT}/predictions.png")


def draw(cfg, runs) -> None:
    """Draw curves, and what the two models find in validation images."""
    from mmdet.apis import init_detector
    from mmdet.registry import DATASETS

    from mmdet_ltnorm.analysis import draw_predictions, plot_curves

    plot_curves({title: run.work_dir for title, run in runs.items()}, OUT / "curves.png")
    dataset = DATASETS.build(dict(cfg.val_dataloader.dataset, pipeline=[], test_mode=False))
    annotations = json.loads(Path(cfg.val_evaluator.ann_file).read_text())
    images = [dataset.get_data_info(index) for index in range(0, len(dataset), len(dataset) // 4)]
    models = {
        title: init_detector(
            str(run.config), str(run.work_dir / f"epoch_{run.last_step}.pth"), device="cpu"
        )
        for title, run in runs.items()
    }
    draw_predictions(models, images, annotations["categories"], OUT / "predictions.png")


if __name__ == "__main__":
    main()
