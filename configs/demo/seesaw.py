"""The demo's baseline: Seesaw loss with batch norm on mini-LVIS.

    make demo        # this and seesaw_nbn.py, side by side

No row in the papers.
Measured, 1 run: box AP 40.0 (r 25.0, c 47.5, f 47.4), mask AP 37.5 (r 15.9, c 47.9, f 49.0).
"""

_base_ = "../_base_/demo_mini_lvis.py"
