"""Tables and pictures of a sweep: means, and paired differences against the first config."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmdet_ltnorm.lettering import drawable, names_as_text
from mmdet_ltnorm.results.pictures import legend_columns, line_looks
from mmdet_ltnorm.results.scores import Results, difference, means
from mmdet_ltnorm.results.tables import markdown_table
from mmdet_ltnorm.writing import replacing, write_json, write_text


def against_first(results: Results) -> list[tuple[str, str]]:
    """Return the default pairs: every other config against the first."""
    first, *others = results
    return [(name, first) for name in others]


def sweep_table(
    results: Results, metrics: Sequence[str], pairs: Sequence[tuple[str, str]] | None = None
) -> str:
    """Return a Markdown table: mean ± standard deviation, then differences ± standard error.

    Args:
        pairs: which configs to compare with which baseline; by default all with the first.
    """
    mean = {metric: means(results, metric) for metric in metrics}
    rows = []
    for name, by_seed in results.items():
        rows.append([name, str(len(by_seed)), *(mean[metric][name].text() for metric in metrics)])
    for name, baseline in against_first(results) if pairs is None else pairs:
        gaps = [difference(results, metric, name, baseline) for metric in metrics]
        cells = [gap.text("+.1f") for gap in gaps]
        rows.append([f"{name} − {baseline}", str(gaps[0].n), *cells])
    return markdown_table(["", "n", *(_short(metric) for metric in metrics)], rows)


def write_report(results: Results, metrics: Sequence[str], out_dir: str | Path) -> None:
    """Write ``sweep.json``, ``sweep.csv``, ``sweep.md`` and ``sweep.png``."""
    out = Path(out_dir)
    write_text(out / "sweep.md", sweep_table(results, metrics) + "\n")
    content = {
        "runs": results,
        "mean": {
            metric: {name: mean._asdict() for name, mean in means(results, metric).items()}
            for metric in metrics
        },
        "difference": {
            metric: {
                name: difference(results, metric, name, first)._asdict()
                for name, first in against_first(results)
            }
            for metric in metrics
        },
    }
    write_json(out / "sweep.json", content)
    columns = sorted({m for runs in results.values() for scores in runs.values() for m in scores})
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["config", "seed", *columns])
    for name, by_seed in results.items():
        for seed, scores in sorted(by_seed.items()):
            values = [scores.get(column, math.nan) for column in columns]
            writer.writerow([name, seed, *("" if math.isnan(v) else v for v in values)])
    write_text(out / "sweep.csv", text.getvalue())
    plot_sweeps({"": results}, metrics, out / "sweep.png")


@names_as_text()
def plot_sweeps(sweeps: Mapping[str, Results], metrics: Sequence[str], out: str | Path) -> None:
    """Draw each run as a dot and each mean as a bar; below, differences with standard errors.

    Args:
        sweeps: results by title, one column of pictures each; the first names the legend's entries.
        out: picture to write.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4 * len(sweeps), 6.4), layout="constrained")
    grid = figure.subplots(2, len(sweeps), squeeze=False, sharex="col", height_ratios=(3, 2))
    for (title, results), (scores, gaps) in zip(sweeps.items(), grid.T, strict=True):
        _draw_sweep(results, metrics, scores, gaps)
        scores.set_title(drawable(title))
        scores.set_ylabel("accuracy, %" if metrics[0].startswith("accuracy/") else "")
        gaps.set_ylabel(f"difference to {drawable(next(iter(results)), 24)} ± s.e.", fontsize=8)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    columns = legend_columns(labels, 4, figure.get_figwidth(), 9)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, fontsize=9)
    with replacing(out) as partial:
        figure.savefig(partial, dpi=120)


def _draw_sweep(results: Results, metrics: Sequence[str], scores: Any, gaps: Any) -> None:
    """Draw one sweep's scores and differences into two axes, of metrics that have scores."""
    scored = [
        metric
        for metric in metrics
        if any(not math.isnan(mean.mean) for mean in means(results, metric).values())
    ]
    metrics = scored or metrics  # all runs may have diverged
    width = 0.8 / len(results)
    for index, (name, look) in enumerate(line_looks(results)):
        by_seed, colour = results[name], look["color"]
        places = [x + (index + 0.5) * width - 0.4 for x in range(len(metrics))]
        bars = [means(results, metric)[name].mean for metric in metrics]
        scores.bar(places, bars, 0.9 * width, color=colour, alpha=0.45, label=look["label"])
        for x, metric in zip(places, metrics, strict=True):
            dots = [run.get(metric, math.nan) for run in by_seed.values()]
            scores.plot([x] * len(dots), dots, "o", color=colour, markersize=3)
        if index:
            found = [difference(results, metric, name, next(iter(results))) for metric in metrics]
            errors = [0.0 if math.isnan(estimate.spread) else estimate.spread for estimate in found]
            values = [estimate.mean for estimate in found]
            gaps.errorbar(places, values, yerr=errors, fmt="o", color=colour, capsize=3)
    gaps.axhline(0, color="grey", linewidth=0.8)
    gaps.set_xticks(range(len(metrics)), [drawable(_short(metric)) for metric in metrics])
    for axes in scores, gaps:
        axes.grid(axis="y", alpha=0.3)


def _short(metric: str) -> str:
    return metric.rpartition("/")[2]
