"""Findings: problems, which would stop a run or falsify its scores, and notes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from mmengine.logging import MMLogger

from mmdet_ltnorm.lettering import literal

SHOWN = 10  # of each kind


@dataclass
class DataFindings:
    """Problems and notes by subject, each with its images or files."""

    problems: dict[str, list[str]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)

    def problem(self, what: str, place: str) -> None:
        """Add a problem."""
        self.problems.setdefault(what, []).append(place)

    def note(self, what: str, place: str) -> None:
        """Add a note, once: a data set that is built again says it again."""
        places = self.notes.setdefault(what, [])
        if place not in places:
            places.append(place)

    @contextmanager
    def collecting(self, title: str) -> Iterator[None]:
        """Turn errors of the block into problems, and its warnings into notes."""
        logger = MMLogger.get_current_instance()
        handlers, logger.handlers = logger.handlers, [_Noting(self, title)]
        try:
            yield
        except Exception as error:  # data sets of others raise anything
            told = isinstance(error, OSError | ValueError) and str(error)
            self.problem(title, told or f"{type(error).__name__}: {error}")
        finally:
            logger.handlers = handlers

    def text(self) -> str:
        """Return the findings in lines, with long lists shortened."""
        lines = []
        for word, found in ("PROBLEM", self.problems), ("note", self.notes):
            for what, places in found.items():
                number = f" ({len(places)})" if len(places) > 1 else ""
                lines.append(f"{word:8} {what}{number}")
                lines += [f"    {_indented(place)}" for place in places[:SHOWN]]
                if len(places) > SHOWN:
                    lines.append(f"    and {len(places) - SHOWN} more")
        return "\n".join(lines)


class _Noting(logging.Handler):
    def __init__(self, findings: DataFindings, title: str) -> None:
        super().__init__(logging.WARNING)
        self._findings, self._title = findings, title

    def emit(self, record: logging.LogRecord) -> None:
        self._findings.note(self._title, record.getMessage())


def _indented(text: str) -> str:
    return "\n    ".join(map(literal, text.splitlines()))
