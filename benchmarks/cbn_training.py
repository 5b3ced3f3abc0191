"""Does CBN train? Balanced Softmax with batch norm and with CBN on Digits-LT and Shapes-LT.

python benchmarks/cbn_training.py                     # 5 paired seeds, ResNet-8 and -20, 3 lrs
python benchmarks/cbn_training.py --seeds 0 --depths 8 --lrs

Writes table.md, results.json and accuracy.png into --out. For each row it trains the runs and
measures the accuracy on the test images, and there the mutual information of pixels and components
in units of log M, averaged over the layers. A gap is the accuracy with a batch's own statistics
minus that with running statistics. The batch is balanced (250 test images) or as in training (8
test images among 24 training images). "− BN" is the paired difference to batch norm; CBN + SBN +
DPL is compared with batch norm on the same strong views. "NaN" counts logged losses that were not
finite. After a kill the same command continues where it stopped.
"""

import argparse
import copy
import json
import math
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope
from mmengine.runner import load_checkpoint
from torch import Tensor, nn

import mmdet_ltnorm  # noqa: F401, registers the layers
from mmdet_ltnorm.data import make_shapes_lt
from mmdet_ltnorm.norms import CBN
from mmdet_ltnorm.results.logs import read_scalars
from mmdet_ltnorm.results.pictures import COLOURS
from mmdet_ltnorm.results.tables import markdown_table
from mmdet_ltnorm.sweep import Run, plan_runs, train_runs

METHODS = {
    "bs": "batch norm",
    "cbn": "CBN, last norms, T = 1",
    "cbn_all": "CBN, all norms, k = 1",
    "cbn_literal": "CBN, last norms, literal",
    "bs_strong": "batch norm, strong views",
    "cbn_dpl": "CBN + SBN + DPL",
}
BASELINES = {"cbn": "bs", "cbn_all": "bs", "cbn_literal": "bs", "cbn_dpl": "bs_strong"}
DATA = {"digits": "Digits-LT", "shapes": "Shapes-LT"}
DEFAULT_LR = 0.05


def plan(args: argparse.Namespace) -> dict[tuple[str, int, float, str], list[Run]]:
    """Return the runs of each row; only the default lr takes all depths and more than two seeds."""
    lrs = [(depth, DEFAULT_LR, args.seeds) for depth in args.depths]
    lrs += [(args.depths[0], lr, args.seeds[:2]) for lr in args.lrs]
    rows = {}
    for (depth, lr, seeds), data, method in product(lrs, DATA, METHODS):
        config = f"configs/demo/cls_{data}_{method}.py"
        options = [
            f"model.backbone.backbone.depth={depth}",
            f"optim_wrapper.optimizer.lr={lr}",
        ]
        folder = args.out / f"{data}_r{depth}_lr{lr}"
        rows[data, depth, lr, method] = plan_runs([config], seeds, folder, options)
    return rows


def test_batches(cfg: Config, size: int = 250) -> list[dict[str, Any]]:
    """Return the test images in a fixed random order: batch statistics need mixed classes."""
    dataset = DATASETS.build(cfg.test_dataloader.dataset)
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0)).tolist()
    chunks = [order[start : start + size] for start in range(0, len(order), size)]
    return [pseudo_collate([dataset[index] for index in chunk]) for chunk in chunks]


def training_images(cfg: Config, model: nn.Module) -> Tensor:
    """Return the training images, prepared as the test images are."""
    pipeline = cfg.test_dataloader.dataset.pipeline
    dataset = DATASETS.build({**cfg.train_dataloader.dataset, "pipeline": pipeline})
    return model.data_preprocessor(pseudo_collate(list(dataset)))["inputs"]


@torch.no_grad()
def read(run: Run) -> dict[str, float]:
    """Return the accuracies of a trained run and the diagnostics of its CBN layers."""
    init_default_scope("mmdet")
    torch.set_num_threads(1)
    cfg = Config.fromfile(run.config)
    cfg.model.backbone.backbone.depth = next(
        int(o.split("=")[1]) for o in run.options if "depth=" in o
    )
    model = MODELS.build(cfg.model)
    checkpoint = (run.work_dir / "last_checkpoint").read_text()
    load_checkpoint(model, checkpoint, map_location="cpu")
    batches = test_batches(cfg)
    model.eval()
    training = copy.deepcopy(model).train()
    found = dict(running=accuracy(model, batches), batch=accuracy(training, batches))
    others = training_images(cfg, model)
    found["training_batch"] = accuracy(training, test_batches(cfg, 8), others)
    found["few"] = run.result()["accuracy/few"]
    losses = [record["loss"] for record in read_scalars(run.work_dir) if "loss" in record]
    found["not_finite"] = sum(not math.isfinite(loss) for loss in losses)
    reports = list(component_reports(model, batches))
    for name in ("mutual_information", "entropy", "distance"):
        if reports:
            found[name] = mean(report[name].item() for report in reports)
    if reports:
        found["least_prior"] = min(len(r["prior"]) * r["prior"].min().item() for r in reports)
    return found


def accuracy(model: nn.Module, batches: list[dict], others: Tensor | None = None) -> float:
    """Return the top-1 accuracy in percent; each batch starts from the same stored statistics.

    With ``others``, 24 of those images are drawn for each batch and added to it, but not scored.
    """
    correct = total = 0
    before, drawing = copy.deepcopy(model.state_dict()), torch.Generator().manual_seed(0)
    for batch in batches:
        data = model.data_preprocessor(batch)
        labels = torch.cat([sample.gt_label for sample in data["data_samples"]])
        images = data["inputs"]
        if others is not None:
            drawn = torch.randperm(len(others), generator=drawing)[:24]
            images = torch.cat([images, others[drawn]])
        correct += (model(images)[: len(labels)].argmax(1) == labels).sum().item()
        total += len(labels)
        if model.training:
            model.load_state_dict(before)
    return 100 * correct / total


def component_reports(
    model: nn.Module, batches: list[dict[str, Any]]
) -> Iterator[dict[str, Tensor]]:
    """Yield each CBN layer's diagnostics over the pixels of the batches."""
    layers = [layer for layer in model.modules() if isinstance(layer, CBN)]
    rows: dict[CBN, list[Tensor]] = {layer: [] for layer in layers}

    def record(layer: CBN, inputs: tuple[Tensor, ...]) -> None:
        weights = layer.responsibilities(inputs[0]).movedim(1, -1)
        rows[layer].append(weights.flatten(0, -2))

    handles = [layer.register_forward_pre_hook(record) for layer in layers]
    accuracy(model, batches)
    for handle in handles:
        handle.remove()
    for layer in layers:
        yield layer.diagnostics(torch.cat(rows[layer]))


def table(results: dict[tuple[str, int, float, str], dict[int, dict[str, float]]]) -> str:
    """Return a table with a line for each row, and its paired differences to its baseline."""
    header = ["", "n", "all", "few", "− BN", "balanced batches", "gap − BN's"]
    header += ["training batches", "gap − BN's", "MI", "dist", "NaN"]
    lines = []
    for (data, depth, lr, method), seeds in results.items():
        if not seeds:
            continue
        baseline = results.get((data, depth, lr, BASELINES.get(method, "")), {})
        pairs = [(scores, baseline[seed]) for seed, scores in seeds.items() if seed in baseline]
        cells = [f"{DATA[data]}, ResNet-{depth}, lr {lr}, {METHODS[method]}", str(len(seeds))]
        cells += [_spread([s[key] for s in seeds.values()]) for key in ("running", "few")]
        cells.append(_error([ours["running"] - theirs["running"] for ours, theirs in pairs]))
        for key in ("batch", "training_batch"):
            cells.append(_spread([s[key] for s in seeds.values()]))
            gaps = [a[key] - a["running"] - (b[key] - b["running"]) for a, b in pairs]
            cells.append(_error(gaps))
        for key in ("mutual_information", "distance"):
            values = [s[key] for s in seeds.values() if key in s]
            cells.append(f"{mean(values):.2f}" if values else "")
        cells.append(str(sum(s["not_finite"] for s in seeds.values())))
        lines.append(cells)
    return markdown_table(header, lines)


def _spread(values: list[float]) -> str:
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def _error(values: list[float]) -> str:
    if not values:
        return ""
    error = f" ± {stdev(values) / math.sqrt(len(values)):.1f}" if len(values) > 1 else ""
    return f"{mean(values):+.1f}{error}"


def draw(
    results: dict[tuple[str, int, float, str], dict[int, dict[str, float]]], out: Path
) -> None:
    """Draw the accuracy of every seed at the default lr, methods side by side."""
    from matplotlib.figure import Figure

    panels = list(
        dict.fromkeys((data, depth) for data, depth, lr, _ in results if lr == DEFAULT_LR)
    )
    figure = Figure(figsize=(3.4 * len(panels), 3.6), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (data, depth) in zip(grid, panels, strict=True):
        for place, method in enumerate(METHODS):
            seeds = results.get((data, depth, DEFAULT_LR, method), {})
            scores = [score["running"] for score in seeds.values()]
            if not scores:
                continue
            colour = COLOURS[BASELINES.get(method) is not None]
            axes.plot([place] * len(scores), scores, "o", color=colour, mfc="none", ms=5)
            axes.plot([place - 0.25, place + 0.25], [mean(scores)] * 2, color=colour, lw=2)
        axes.set_xticks(range(len(METHODS)), METHODS.values(), rotation=35, ha="right", fontsize=8)
        axes.set_title(f"{DATA[data]}, ResNet-{depth}", fontsize=10)
        axes.grid(axis="y", alpha=0.3)
    figure.axes[0].set_ylabel("test accuracy, %")
    figure.savefig(out, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--depths", nargs="+", type=int, default=[8, 20])
    parser.add_argument(
        "--lrs", nargs="*", type=float, default=[0.01, 0.1], help="others than 0.05"
    )
    parser.add_argument("--jobs", type=int, default=2, help="trainings at a time")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/cbn_training"))
    args = parser.parse_args()
    make_shapes_lt("data/shapes_lt")
    rows = plan(args)
    runs = [run for row in rows.values() for run in row]
    train_runs(runs, [sys.executable, "tools/train.py"], args.jobs)
    ended = [run for run in runs if run.result()]
    with ProcessPoolExecutor(args.jobs) as pool:
        found = dict(zip((run.work_dir for run in ended), pool.map(read, ended), strict=True))
    results = {
        row: {run.seed: found[run.work_dir] for run in its if run.work_dir in found}
        for row, its in rows.items()
    }
    text = table(results)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "table.md").write_text(text + "\n")
    plain = {"/".join(map(str, row)): scores for row, scores in results.items()}
    (args.out / "results.json").write_text(json.dumps(plain, indent=1) + "\n")
    draw(results, args.out / "accuracy.png")
    print(text)


if __name__ == "__main__":
    main()
