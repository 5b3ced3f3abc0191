"""Cross entropy + NBN, NBN paper Table XIV: ce_2x with NBN in the last stage's residuals.

    python tools/train.py configs/lvis/ce_nbn_2x.py

NBN paper Table XIV, Cross Entropy + Ours: box AP 23.5 (r 9.2, c 21.0, f 32.4),
mask AP 22.5 (r 10.3, c 21.0, f 29.6).
Not measured here.
"""

_base_ = "./ce_2x.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN")))
