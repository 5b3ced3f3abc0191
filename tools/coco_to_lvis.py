#!/usr/bin/env python
"""Prepare a COCO-format data set for LVIS's scores by frequency.

`ltnorm coco-to-lvis` is the same.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from ltnorm import main  # noqa: E402

main("coco-to-lvis")
