"""The page: its contents, put into its template."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# torch itself needs Jinja, so it is always there.
from jinja2 import Environment, StrictUndefined

import mmdet_ltnorm
from mmdet_ltnorm.report import figures
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
from mmdet_ltnorm.results.groups import ACCURACIES, LVIS_APS
from mmdet_ltnorm.results.scores import Estimate, Results, difference, means
from mmdet_ltnorm.writing import write_text


def write_html(folders: Sequence[str | Path], out: str | Path) -> list[str]:
    """Write a page about the runs in and below the folders; return the omissions.

    The page needs no other file and runs no script, and nothing of the runs is run but registered
    types. Runs on different data get a part each and are not compared.

    Raises:
        ValueError: ``out`` is no ``.html``, and what :func:`find_runs` raises.
    """
    if Path(out).suffix.lower() not in (".html", ".htm"):  # it may be a file of a run
        raise ValueError(f"the page must be called NAME.html, got {out}")
    runs = find_runs(folders)
    parts = [_part(own) for own in by_data(runs)]
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = environment.from_string(TEMPLATE).render(
        version=mmdet_ltnorm.__version__,
        title=_title(list(runs)),
        names=list(runs),
        runs=sum(map(len, runs.values())),
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


def _part(runs: Mapping[str, Mapping[int, LoggedRun]]) -> dict[str, Any]:
    """Return the part of the page about runs on the same data."""
    results = scores(runs)
    metrics = _metrics(results)
    chosen = list(firsts(runs).values())
    return dict(
        title=data_title(chosen[0].cfg),
        names=list(runs),
        runs=[
            (name, seed, run.work_dir, len(results[name][seed]) > 0)
            for name, by_seed in runs.items()
            for seed, run in sorted(by_seed.items())
        ],
        facts=facts(chosen),
        differences=config_differences(chosen),
        measure="AP, %" if any(metric in LVIS_APS for metric in metrics) else "accuracy, %",
        metrics=[metric.rpartition("/")[2] for metric in metrics],
        means=[(name, *_row(results, name, metrics)) for name in runs],
        gaps=list(_gaps(results, metrics)),
        sections={
            "Curves": list(figures.curves(runs, metrics)),
            "Inside one model of each config": list(figures.analyses(runs)),
        },
    )


def _title(names: Sequence[str]) -> str:
    if len(names) <= 3:
        return ", ".join(names)
    return f"{names[0]} and {len(names) - 1} other configs"


def _metrics(results: Results) -> list[str]:
    """Return the scores of groups that the runs have, of classifiers or of detectors."""
    known = {key for runs in results.values() for row in runs.values() for key in row}
    return [metric for metric in (*ACCURACIES, *LVIS_APS) if metric in known]


def _row(results: Results, name: str, metrics: Sequence[str]) -> tuple[int, list[str]]:
    found = [means(results, metric)[name] for metric in metrics]
    return len(results[name]), [_cell(estimate, ".1f") for estimate in found]


def _gaps(results: Results, metrics: Sequence[str]) -> Iterator[tuple[str, int, list[str]]]:
    """Yield the paired differences of the other configs from the first; they need a common seed."""
    first, *others = results
    for name in others:
        found = [difference(results, metric, name, first) for metric in metrics]
        if found and found[0].n:
            yield f"{name} − {first}", found[0].n, [_cell(each, "+.1f") for each in found]


def _cell(estimate: Estimate, form: str) -> str:
    """Return a mean with its spread; without one for a single run."""
    return estimate.text(form).removesuffix(" ± n/a")


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
