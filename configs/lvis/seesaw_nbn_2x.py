"""Seesaw loss + NBN, NBN paper Table XIV: seesaw_2x with NBN in the last stage's residuals.

    python tools/train.py configs/lvis/seesaw_nbn_2x.py

NBN paper Table XIV, Seesaw Loss + Ours: box AP 26.0 (r 14.4, c 24.5, f 32.6),
mask AP 25.3 (r 16.1, c 25.8, f 29.9).
Not measured here.
"""

_base_ = "../_base_/lvis_seesaw_2x.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN")))
