"""Long-tail methods with and without NBN on Shapes-LT, paired seeds: python benchmarks/methods.py.

The methods are cross entropy, Balanced Softmax, LDAM-DRW, cRT, RIDE and BCL, with ResNet-8 and the
scores of the last epoch. Writes table.md, sweep.json and comparison.png into --out. After a kill
the same command continues.
"""

import argparse
import sys
from pathlib import Path

from mmdet_ltnorm.data import make_shapes_lt
from mmdet_ltnorm.results.pictures import COLOURS, MARKERS, picture, shared_legend
from mmdet_ltnorm.sweep import Results, means, plan_runs, sweep_table, train_runs, write_report

METHODS = {
    "ce": "cross entropy",
    "bs": "Balanced Softmax",
    "ldam_drw": "LDAM-DRW",
    "crt": "cRT",
    "ride": "RIDE, 3 experts",
    "bcl": "BCL",
}
METRICS = ["accuracy/all", "accuracy/many", "accuracy/medium", "accuracy/few"]


def draw(results: Results, out: Path) -> None:
    """Draw the accuracy of all classes and of the few-shot ones, each method without and with NBN.

    A small mark is a seed, a large one the mean.
    """
    with picture(out, 2.6, width=7) as figure:
        for axes, group in zip(figure.subplots(1, 2), ("all", "few"), strict=True):
            metric = f"accuracy/{group}"
            for side, (suffix, label) in enumerate({"": "batch norm", " + NBN": "NBN"}.items()):
                look = dict(color=COLOURS[side], marker=MARKERS[side], linestyle="none")
                for place, method in enumerate(METHODS.values()):
                    x, name = place + 0.3 * (side - 0.5), f"{method}{suffix}"
                    scores = [by_metric[metric] for by_metric in results[name].values()]
                    axes.plot([x] * len(scores), scores, **look, alpha=0.4, markeredgewidth=0)
                    mean = means(results, metric)[name].mean
                    axes.plot(x, mean, **look, ms=6, label=None if place else label)
            axes.set_xticks(range(len(METHODS)), METHODS.values(), rotation=25, ha="right")
            axes.set_ylabel(f"accuracy of {group} classes, %")
        shared_legend(figure)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/methods"))
    args = parser.parse_args()
    make_shapes_lt("data/shapes_lt")
    labels = {f"cls_shapes_{key}": label for key, label in METHODS.items()}
    labels |= {f"{name}_nbn": f"{label} + NBN" for name, label in labels.items()}
    # The classifier is the same with and without NBN; cls_shapes_ride_nbn has LR, as in the papers.
    labels["cls_shapes_ride_nbn_cosine"] = labels.pop("cls_shapes_ride_nbn")
    # One sweep, because second stages start from the checkpoints of other runs.
    runs = plan_runs([f"configs/demo/{name}.py" for name in labels], args.seeds, str(args.out))
    scores = train_runs(runs, [sys.executable, "tools/train.py"], args.jobs)
    results = {label: scores[name] for name, label in labels.items()}
    write_report(results, METRICS, args.out)
    pairs = [(label, "cross entropy") for label in list(METHODS.values())[1:]]
    pairs += [(f"{label} + NBN", label) for label in METHODS.values()]
    table = sweep_table(results, METRICS, pairs)
    (args.out / "table.md").write_text(table + "\n")
    draw(results, args.out / "comparison.png")
    print(f"\n{table}\n\nMethods: mean ± standard deviation; differences: mean ± standard error.")
    return int(any(len(by_seed) < len(args.seeds) for by_seed in scores.values()))


if __name__ == "__main__":
    sys.exit(main())
