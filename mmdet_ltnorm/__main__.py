"""``python -m mmdet_ltnorm`` is the command ``ltnorm``."""

import runpy
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
runpy.run_module("ltnorm", run_name="__main__", alter_sys=True)
