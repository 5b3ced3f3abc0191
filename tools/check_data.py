#!/usr/bin/env python
"""Look at a config's data before anything is trained.

`ltnorm check` is the same.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from ltnorm import main  # noqa: E402

main("check")
