"""Equalization loss: seesaw_2x with EQL.

    python tools/train.py configs/lvis/eql_2x.py

NBN paper Table XIV, EQL: box AP 22.0 (r 10.7, c 18.8, f 30.6),
mask AP 22.7 (r 15.1, c 20.4, f 28.6).
The normalized linear classifier stays; the paper does not say otherwise for this row.
Not measured here.
"""

_base_ = "../_base_/lvis_eql_2x.py"
