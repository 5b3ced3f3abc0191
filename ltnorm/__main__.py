"""``python -m ltnorm``, and the same by the path of this file."""

import sys
from pathlib import Path

if not __package__:  # by its path: the folder of the file is no place to import from
    sys.path[:1] = []
    sys.path.append(str(Path(__file__).resolve().parents[1]))

from ltnorm import main  # noqa: E402

main()
