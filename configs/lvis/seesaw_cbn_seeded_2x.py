"""Seesaw loss + CBN, experimental: seesaw_cbn_2x whose components start from class groups.

    python tools/train.py configs/lvis/seesaw_cbn_seeded_2x.py

No row in the papers: CBN's has no detection. Not measured here.
In the first 1000 iterations each image belongs to the component of its dominant class's group.
"""

_base_ = "./seesaw_cbn_2x.py"

custom_hooks = [*_base_.custom_hooks, dict(type="SplitSeedingHook", iterations=1000)]
