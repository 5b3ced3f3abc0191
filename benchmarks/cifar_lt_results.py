"""The scores of trained runs and the tables of benchmarks/cifar_lt.py."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from cbn_training import component_reports
from paired_training import PairedRun

from mmdet_ltnorm.analysis.gamma import effective_affine, last_norm
from mmdet_ltnorm.engine.checks import magnitudes
from mmdet_ltnorm.results.tables import markdown_table
from mmdet_ltnorm.sweep import Results, means, sweep_table, write_report
from mmdet_ltnorm.writing import write_text

INSIDE = {
    "g": "g",
    "bias_g": "g of β",
    "classifier": "‖W‖",
    "gamma_spread": "spread of γ",
    "mutual_information": "MI of CBN",
}


def score_names(rarest: int) -> list[str]:
    """Return the names of the scores that the tables show."""
    groups = ("all", "many", "medium", "few", f"rarest {rarest}")
    return [f"accuracy/{group}" for group in groups]


def inside(run: PairedRun) -> dict[str, float]:
    """Return a run's loss, NBN's magnitudes and the length of the classifier's weights."""
    found = {"loss": run.loss.item()}
    for key, name in ("g", "magnitude"), ("bias_g", "bias_magnitude"):
        values = [p.item() for path, p in magnitudes(run.model) if path.split(".")[-1] == name]
        if values:
            found[key] = mean(values)
    predictor = getattr(run.model.head, "predictor", None)
    if predictor is not None:
        found["classifier"] = predictor.weight.norm().item()
    return found


def measured(run: PairedRun, rarest: int) -> dict[str, float]:
    """Return the scores of a trained run, and measurements of its layers.

    γ's spread is its standard deviation over the channels of the last norm, divided by its mean.
    Mutual information is in units of log M, averaged over CBN's layers, on the first test batch.
    """
    scores = dict(run.runner.val_loop.run())
    classes = json.loads(Path(run.runner.work_dir, "classes.json").read_text())
    classes.sort(key=lambda row: row["train_samples"])
    scores[score_names(rarest)[-1]] = mean(row["accuracy"] for row in classes[:rarest])
    gamma = effective_affine(run.model)[last_norm(run.model)][0]
    scores["gamma_spread"] = float(np.mean(gamma.std(1) / np.abs(gamma.mean(1))))
    with torch.no_grad():
        reports = list(component_reports(run.model, [next(iter(run.runner.val_dataloader))]))
    if reports:
        scores["mutual_information"] = mean(r["mutual_information"].item() for r in reports)
    return scores | inside(run)


def report(
    experiments: Mapping[str, Iterable[str]],
    ended: Results,
    opening: str,
    rarest: int,
    out: Path,
) -> str:
    """Write all that has been measured so far, and return it as a page.

    Args:
        experiments: the labels of each experiment's runs.
        ended: scores by label and seed.
    """
    page, metrics = [opening], score_names(rarest)
    for title, labels in experiments.items():
        results = {label: ended[label] for label in labels if ended.get(label)}
        if results:
            write_report(results, metrics, out / title)
            page += [f"## {title}", sweep_table(results, metrics), inside_table(results)]
    text = "\n\n".join(page) + "\n"
    write_text(out / "results.md", text)
    return text


def inside_table(results: Results) -> str:
    """Return a table of the means of g, ‖W‖ and the other INSIDE columns, and of the CPU time."""
    columns = {key: means(results, key) for key in (*INSIDE, "cpu_seconds")}
    rows = []
    for label in results:
        found = [columns[key][label] for key in INSIDE]
        cells = [
            "" if f.mean != f.mean else f"{f.mean:.2f}" + f" ± {f.spread:.2f}" * (f.n > 1)
            for f in found
        ]
        rows.append([label, *cells, f"{columns['cpu_seconds'][label].mean / 60:.1f}"])
    return markdown_table(["", *INSIDE.values(), "CPU min"], rows)
