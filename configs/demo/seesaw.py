"""The demo's baseline: Seesaw loss with batch norm on mini-LVIS.

    make demo        # this and seesaw_nbn.py, side by side

No row in the papers.
Measured, 1 run: box AP 39.2 (r 21.4, c 47.4, f 49.4), mask AP 35.8 (r 14.7, c 44.1, f 49.9).
"""

_base_ = "../_base_/demo_mini_lvis.py"
