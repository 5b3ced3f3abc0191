"""The page: its contents, put into its template."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# torch itself needs Jinja, so it is always there.
from jinja2 import Environment, StrictUndefined

import mmdet_ltnorm
from mmdet_ltnorm.lettering import literal
from mmdet_ltnorm.report import figures
from mmdet_ltnorm.report.figures import Tell
from mmdet_ltnorm.report.runs import (
    LoggedRun,
    by_data,
    config_differences,
    facts,
    find_runs,
    firsts,
    scores,
)
from mmdet_ltnorm.report.template import TEMPLATE
from mmdet_ltnorm.results.data_sets import data_title
from mmdet_ltnorm.results.groups import ACCURACIES
from mmdet_ltnorm.results.pictures import one_look_each
from mmdet_ltnorm.results.scores import Results, default_metrics, difference, over_seeds
from mmdet_ltnorm.writing import write_text


def write_html(
    folders: Sequence[str | Path],
    out: str | Path,
    tell: Tell = lambda text: None,
) -> list[str]:
    """Write a page about the runs in and below the folders; return the omissions.

    The page needs no other file and runs no script, and nothing of the runs is run but registered
    types. Runs on different data get a part each and are not compared.

    Args:
        tell: is called with a line about each picture before it is drawn.

    Raises:
        ValueError: ``out`` is no ``.html``, and what :func:`find_runs` raises.
    """
    if Path(out).suffix.lower() not in (".html", ".htm"):  # it may be a file of a run
        raise ValueError(f"the page must be called NAME.html, got {out}")
    runs = find_runs(folders)
    total = sum(map(len, runs.values()))
    tell(f"{total} {'run' if total == 1 else 'runs'} of {', '.join(map(literal, runs))}")
    parts = [_part(own, tell) for own in by_data(runs)]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = environment.from_string(TEMPLATE).render(
        version=mmdet_ltnorm.__version__,
        title=_title(list(runs)),
        configs=len(runs),
        runs=total,
        parts=parts,
        environments=_environments(firsts(runs)),
    )
    write_text(out, page)
    return [
        f"{figure.title}{' of ' + part['title'] if len(parts) > 1 else ''}: {figure.reason}"
        for part in parts
        for drawn in part["sections"].values()
        for figure in drawn
        if figure.reason
    ]


def _part(runs: Mapping[str, Mapping[int, LoggedRun]], tell: Tell) -> dict[str, Any]:
    """Return the part of the page about runs on the same data."""
    results = scores(runs)
    ended = {
        name: {seed: row for seed, row in by_seed.items() if row}
        for name, by_seed in results.items()
    }
    metrics = _metrics(ended)
    chosen = firsts(runs)
    with one_look_each(runs):
        sections = {
            "Curves": list(figures.curves(runs)),
            "Inside the models": list(figures.analyses(runs, tell)),
        }
    return dict(
        title=data_title(next(iter(chosen.values())).cfg),
        names=list(runs),
        runs=[
            (name, seed, run.work_dir, len(results[name][seed]) > 0)
            for name, by_seed in runs.items()
            for seed, run in sorted(by_seed.items())
        ],
        facts=facts(list(chosen.values())),
        differences=config_differences(chosen),
        several=any(len(by_seed) > 1 for by_seed in runs.values()),
        measure=_measure(metrics),
        metrics=[_heading(metric) for metric in metrics],
        means=[(name, len(ended[name]), _row(ended[name], metrics)) for name in runs],
        gaps=list(_gaps(ended, metrics)),
        sections=sections,
    )


def _title(names: Sequence[str]) -> str:
    if len(names) <= 3:
        return ", ".join(names)
    return f"{names[0]} and {len(names) - 1} other configs"


def _metrics(results: Results) -> list[str]:
    """Return the scores that the runs have, by groups if there are any."""
    rows = [row for by_seed in results.values() for row in by_seed.values()]
    return [
        metric
        for metric in (default_metrics(results) if rows else [])
        if not all(math.isnan(row.get(metric, math.nan)) for row in rows)
    ]


def _measure(metrics: Sequence[str]) -> str:
    """Return what the scores are, if they are known to be percentages."""
    if set(metrics) <= set(ACCURACIES):
        return "accuracy, %"
    return "AP, %" if all("AP" in metric for metric in metrics) else ""


def _heading(metric: str) -> str:
    kinds = {"bbox": "box", "segm": "mask"}
    return " ".join(kinds.get(word, word) for word in metric.rpartition("/")[2].split("_"))


def _row(by_seed: Mapping[int, Mapping[str, float]], metrics: Sequence[str]) -> list[str]:
    return [
        over_seeds([row.get(metric, math.nan) for row in by_seed.values()]) for metric in metrics
    ]


def _gaps(results: Results, metrics: Sequence[str]) -> Iterator[tuple[str, int, list[str]]]:
    """Yield the paired differences of the other configs from the first; they need a common seed."""
    first, *others = results
    for name in others:
        found = [difference(results, metric, name, first) for metric in metrics]
        if found and found[0].n:
            cells = [each.text("+.1f").removesuffix(" ± n/a") for each in found]
            yield f"{name} − {first}", found[0].n, cells


def _environments(runs: Mapping[str, LoggedRun]) -> list[tuple[list[str], dict[str, Any]]]:
    """Return the environments of the runs, each once with the names of its runs."""
    found: list[tuple[list[str], dict[str, Any]]] = []
    for name, run in runs.items():
        environment = run.environment()
        same = next((names for names, other in found if other == environment), None)
        if same is None:
            found.append(([name], environment))
        else:
            same.append(name)
    return found
