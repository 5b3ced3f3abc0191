"""The progress of a sweep in a line: the time that it has taken, and what it may yet take."""

import time
from collections.abc import Collection, Sequence

from mmdet_ltnorm.last_line import LastLine
from mmdet_ltnorm.lettering import literal
from mmdet_ltnorm.results.logs import trained_share
from mmdet_ltnorm.sweep.planning import Run


class Progress:
    """A line with the time left; in a terminal it is the last one, and is written over."""

    def __init__(self, unfinished: Sequence[Run]) -> None:
        self._started = time.monotonic()
        self._before = {run: _share(run) for run in unfinished}  # what earlier processes trained
        self._ended: set[Run] = set()
        self._first: tuple[float, float] | None = None
        self._last_line = LastLine()

    def show(self, running: Collection[Run]) -> None:
        """Tell how far each run is, if nothing was told for a while."""
        # A sweep of many hours tells less often than a demo, where its output is kept in a file.
        if self._last_line.is_due(1, max(10, (time.monotonic() - self._started) / 10)):
            text = f"{self._time()} {', '.join(map(_line, running))}"
            if self._last_line.in_terminal:
                self._last_line.draw(text)
            else:
                self._tell(text)

    def end(self, run: Run, outcome: str) -> None:
        """Tell how a run has ended."""
        self._ended.add(run)
        self._tell(f"{self._time()} {outcome}")

    def _tell(self, text: str) -> None:
        self._last_line.give_way()
        print(text, flush=True)

    def _time(self) -> str:
        took = time.monotonic() - self._started
        shares = {run: 1.0 if run in self._ended else _share(run) for run in self._before}
        done = sum(max(0.0, share - self._before[run]) for run, share in shares.items())
        left = sum(1 - share for share in shares.values())
        if done and self._first is None:
            self._first = took, done
        # Before a run has ended, the time that the first ones took to start is no measure.
        since, before = (0.0, 0.0) if self._ended else self._first or (took, done)
        if not left or done <= before:
            return f"[{_duration(took)}]"
        rest = (took - since) * left / (done - before)
        return f"[{_duration(took)}, about {_duration(rest)} left]"


def _line(run: Run) -> str:
    share = _share(run)
    return f"{literal(run.name)} seed {run.seed} {f'{share:.0%}' if share else 'starting'}"


def _share(run: Run) -> float:
    return trained_share(run.work_dir / "train.log", run.last_step)


def _duration(seconds: float) -> str:
    for size, unit in (3600, "h"), (60, "min"):
        if seconds >= size:
            number = seconds / size
            return f"{number:.{int(number < 9.95)}f} {unit}"
    return f"{seconds:.0f} s"
