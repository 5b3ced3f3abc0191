#!/usr/bin/env python
"""Tell what is wrong with this Python environment, and the line that fixes each fault.

`ltnorm doctor` is the same.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from ltnorm import main  # noqa: E402

main("doctor")
