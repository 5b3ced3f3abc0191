#!/usr/bin/env python
"""Draw predictions on images.

`ltnorm predict` is the same.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from ltnorm import main  # noqa: E402

main("predict")
