"""Long-tail methods with and without NBN on Shapes-LT, paired seeds: python benchmarks/methods.py.

Cross entropy, Balanced Softmax, LDAM-DRW, cRT, RIDE and BCL; ResNet-8, last epoch. Writes table.md,
sweep.json and comparison.png into --out. Killed, it goes on where it stopped.
"""

import argparse
import sys
from pathlib import Path

from mmdet_ltnorm.data import make_shapes_lt
from mmdet_ltnorm.sweep import plan_runs, plot_sweeps, sweep_table, train_runs, write_report

METHODS = {
    "ce": "cross entropy",
    "bs": "Balanced Softmax",
    "ldam_drw": "LDAM-DRW",
    "crt": "cRT",
    "ride": "RIDE, 3 experts",
    "bcl": "BCL",
}
METRICS = ["accuracy/all", "accuracy/many", "accuracy/medium", "accuracy/few"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/methods"))
    args = parser.parse_args()
    make_shapes_lt("data/shapes_lt")
    labels = {f"cls_shapes_{key}": label for key, label in METHODS.items()}
    labels |= {f"{name}_nbn": f"{label} + NBN" for name, label in labels.items()}
    # Second stages start from the others' checkpoints, so all are one sweep.
    runs = plan_runs([f"configs/demo/{name}.py" for name in labels], args.seeds, str(args.out))
    scores = train_runs(runs, [sys.executable, "tools/train.py"], args.jobs)
    results = {label: scores[name] for name, label in labels.items()}
    write_report(results, METRICS, args.out)
    pairs = [(label, "cross entropy") for label in list(METHODS.values())[1:]]
    pairs += [(f"{label} + NBN", label) for label in METHODS.values()]
    table = sweep_table(results, METRICS, pairs)
    (args.out / "table.md").write_text(table + "\n")
    plot_sweeps({"Shapes-LT": results}, METRICS, args.out / "comparison.png")
    print(f"\n{table}\n\nMethods: mean ± standard deviation; differences: mean ± standard error.")
    return int(any(len(by_seed) < len(args.seeds) for by_seed in scores.values()))


if __name__ == "__main__":
    sys.exit(main())
