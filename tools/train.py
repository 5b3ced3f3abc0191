#!/usr/bin/env python
"""Train a model from a config.

`ltnorm train` is the same.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from ltnorm import main  # noqa: E402

main("train")
