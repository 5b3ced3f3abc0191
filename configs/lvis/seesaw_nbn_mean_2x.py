"""Seesaw loss + NBN whose layers all have the length g: seesaw_nbn_2x, Eq. 2 to the letter.

    python tools/train.py configs/lvis/seesaw_nbn_mean_2x.py

No row in the papers: it may be Table XIV's "Seesaw Loss + Ours". Not measured here.
The pretrained γ and β of the four layers are scaled to one length, the mean of those of γ, and the
network starts from another function than the pretrained one.
"""

_base_ = "./seesaw_nbn_2x.py"

model = dict(backbone=dict(norm_cfg=dict(pretrained="mean")))
