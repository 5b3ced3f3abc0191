"""Equalization loss + NBN: eql_2x with NBN in the last stage's residuals.

    python tools/train.py configs/lvis/eql_nbn_2x.py

No row in the papers: NBN's Table XIV has EQL alone. Compare with eql_2x. Not measured here.
"""

_base_ = "../_base_/lvis_eql_2x.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN")))
