"""The demo's baseline: Seesaw loss with batch norm on mini-LVIS.

    make demo        # this and seesaw_nbn.py, side by side

No row in the papers.
Measured, 1 run: box AP 38.2 (r 23.3, c 43.0, f 50.1), mask AP 36.5 (r 15.9, c 44.9, f 49.9).
"""

_base_ = "../_base_/demo_mini_lvis.py"
