"""The demo's baseline: Seesaw loss with batch norm on mini-LVIS.

make demo        # this and seesaw_nbn.py, side by side
"""

_base_ = "../_base_/demo_mini_lvis.py"
