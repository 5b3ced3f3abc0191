"""The last line of a terminal, in which a process tells how far it is."""

import shutil
import sys
import time


class LastLine:
    """A line about the progress, which is written over, and gives way to other lines.

    Where the output is no terminal, nothing can be written over: a line is due after silence.
    """

    def __init__(self) -> None:
        self.in_terminal = sys.stdout.isatty()
        self._drawn, self._said = False, time.monotonic()

    def is_due(self, every: float, silence: float) -> bool:
        """Tell whether to show the progress again: after seconds in a terminal, and elsewhere."""
        return time.monotonic() - self._said > (every if self.in_terminal else silence)

    def draw(self, text: str) -> None:
        """Write over the line, in a terminal."""
        self._said, self._drawn = time.monotonic(), True
        columns = shutil.get_terminal_size().columns  # of what wraps only the last row is erased
        print(f"\r\033[K{text[: columns - 1]}", end="", flush=True)

    def give_way(self) -> None:
        """Erase the line, for another one is printed now."""
        self._said = time.monotonic()
        if self._drawn:
            self._drawn = False
            print("\r\033[K", end="", flush=True)
