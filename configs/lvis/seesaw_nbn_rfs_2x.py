"""Seesaw loss + NBN, repeat-factor sampling, normalized mask head: seesaw_rfs_2x with NBN.

    python tools/train.py configs/lvis/seesaw_nbn_rfs_2x.py

No row in the papers: compare with seesaw_rfs_2x.
Not measured here.
"""

_base_ = "./seesaw_rfs_2x.py"

model = dict(backbone=dict(norm_cfg=dict(type="NBN")))
