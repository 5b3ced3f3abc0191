"""Cross entropy, the baseline of NBN paper Table XIV: seesaw_2x with the plain loss.

    python tools/train.py configs/lvis/ce_2x.py

NBN paper Table XIV, Cross Entropy: box AP 19.9 (r 1.3, c 16.7, f 29.3),
mask AP 19.2 (r 0.0, c 17.2, f 29.5).
The normalized linear classifier stays; the paper does not say otherwise for this row.
Not measured here.
"""

_base_ = "../_base_/lvis_seesaw_2x.py"

model = dict(
    roi_head=dict(
        bbox_head=dict(loss_cls=dict(_delete_=True, type="CrossEntropyLoss", use_sigmoid=False))
    )
)
