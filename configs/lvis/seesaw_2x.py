"""Seesaw loss, the baseline of NBN paper Table XIV: Mask R-CNN R50-FPN, random sampler, 2x.

    python tools/train.py configs/lvis/seesaw_2x.py

NBN paper Table XIV, Seesaw Loss: box AP 25.3 (r 12.7, c 23.7, f 32.6),
mask AP 24.7 (r 14.9, c 23.9, f 29.8).
The own run of mmdet at batch 16: 25.6 and 25.0.
Not measured here.
"""

_base_ = "../_base_/lvis_seesaw_2x.py"
