#!/usr/bin/env python
"""Train four methods on two small long-tailed sets and compare: python tools/demo_cls.py."""

import argparse
import os
import sys
from pathlib import Path

OUT = Path("work_dirs/demo_cls")
SETS = {"Digits-LT": "digits", "Shapes-LT": "shapes"}
METHODS = {
    "ce": "cross entropy",
    "ce_nbn": "cross entropy + NBN",
    "bs": "Balanced Softmax",
    "bs_nbn_lr": "Balanced Softmax + NBN + LR",
}
PAIRS = [("ce_nbn", "ce"), ("bs", "ce"), ("bs_nbn_lr", "ce"), ("bs_nbn_lr", "bs")]
METRICS = ["accuracy/all", "accuracy/many", "accuracy/medium", "accuracy/few"]
NOTES = """\
Accuracy in percent on balanced test sets; many: > 100 training images, few: < 20; n/a: no class.
Methods: mean ± standard deviation over seeds, after the last epoch. Differences: mean of the pairs
with the same seed ± standard error; of three seeds, four standard errors can still be chance.
Digits-LT are real images. On Shapes-LT, which is drawn, LR loses because its logits cannot grow,
and NBN most likely because its bias starts as long as γ: see docs/experiments.md."""


def main() -> int:
    """Make the data, train, compare, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    from mmdet_ltnorm.data import make_shapes_lt
    from mmdet_ltnorm.processes import claim_folder, exit_on_sigterm
    from mmdet_ltnorm.sweep import plan_runs, plot_sweeps, sweep_table, train_runs, write_report
    from mmdet_ltnorm.writing import write_text

    os.chdir(Path(__file__).resolve().parents[1])  # where all paths start, wherever it was called
    exit_on_sigterm()
    try:
        claim_folder(OUT)
    except BlockingIOError as error:
        sys.exit(f"{parser.prog}: {error}")
    new = make_shapes_lt("data/shapes_lt")
    print(f"Shapes-LT {'written to' if new else 'stands in'} data/shapes_lt")
    runs = []
    for name in SETS.values():
        configs = [f"configs/demo/cls_{name}_{method}.py" for method in METHODS]
        runs += plan_runs(configs, [0, 1, 2], str(OUT / name))
    print(f"{len(runs)} small trainings, two at a time: about 4 minutes on 2 cores", flush=True)
    scores = train_runs(runs, [sys.executable, "tools/train.py"], jobs=2)
    sweeps, tables = {}, []
    for title, name in SETS.items():
        results = {label: scores[f"cls_{name}_{key}"] for key, label in METHODS.items()}
        write_report(results, METRICS, OUT / name)
        pairs = [(METHODS[key], METHODS[baseline]) for key, baseline in PAIRS]
        tables.append(f"{title}\n\n{sweep_table(results, METRICS, pairs)}\n")
        sweeps[title] = results
    write_text(OUT / "table.md", "\n".join([*tables, NOTES, ""]))
    plot_sweeps(sweeps, METRICS, OUT / "comparison.png")
    print("", *tables, NOTES, f"\nSee {OUT}/table.md and {OUT}/comparison.png", sep="\n")
    return int(any(len(by_seed) < 3 for by_seed in scores.values()))


if __name__ == "__main__":
    sys.exit(main())
