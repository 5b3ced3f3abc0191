"""AutoAugment and RandAugment for classification.

mmdet's transforms of these names were made for detection: other policies, other ranges.
"""

import random

from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from mmdet_ltnorm.data import image_ops

# The published policies: 25 pairs of (operation, probability, level from 0 to 9); one is drawn.
Step = tuple[str, float, int]
CIFAR10_POLICY: list[tuple[Step, Step]] = [
    (("invert", 0.1, 7), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("auto_contrast", 0.5, 8), ("equalize", 0.9, 2)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 5), ("equalize", 0.5, 1)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 7), ("auto_contrast", 0.4, 8)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 3)),
    (("equalize", 0.2, 0), ("auto_contrast", 0.6, 0)),
    (("equalize", 0.2, 8), ("equalize", 0.6, 4)),
    (("color", 0.9, 9), ("equalize", 0.6, 6)),
    (("auto_contrast", 0.8, 4), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("auto_contrast", 0.9, 3)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("auto_contrast", 0.9, 2), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 8), ("invert", 0.1, 3)),
    (("translate_y", 0.7, 9), ("auto_contrast", 0.9, 1)),
]
IMAGENET_POLICY: list[tuple[Step, Step]] = [
    (("posterize", 0.4, 8), ("rotate", 0.6, 9)),
    (("solarize", 0.6, 5), ("auto_contrast", 0.6, 5)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
    (("posterize", 0.6, 7), ("posterize", 0.6, 6)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("equalize", 0.4, 4), ("rotate", 0.8, 8)),
    (("solarize", 0.6, 3), ("equalize", 0.6, 7)),
    (("posterize", 0.8, 5), ("equalize", 1.0, 2)),
    (("rotate", 0.2, 3), ("solarize", 0.6, 8)),
    (("equalize", 0.6, 8), ("posterize", 0.4, 6)),
    (("rotate", 0.8, 8), ("color", 0.4, 0)),
    (("rotate", 0.4, 9), ("equalize", 0.6, 2)),
    (("equalize", 0.0, 7), ("equalize", 0.8, 8)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("rotate", 0.8, 8), ("color", 1.0, 2)),
    (("color", 0.8, 8), ("solarize", 0.8, 7)),
    (("sharpness", 0.4, 7), ("invert", 0.6, 8)),
    (("shear_x", 0.6, 5), ("equalize", 1.0, 9)),
    (("color", 0.4, 0), ("equalize", 0.6, 3)),
    (("equalize", 0.4, 7), ("solarize", 0.2, 4)),
    (("solarize", 0.6, 5), ("auto_contrast", 0.6, 5)),
    (("invert", 0.6, 4), ("equalize", 1.0, 8)),
    (("color", 0.6, 4), ("contrast", 1.0, 8)),
    (("equalize", 0.8, 8), ("equalize", 0.6, 3)),
]
POLICIES = {"cifar10": CIFAR10_POLICY, "imagenet": IMAGENET_POLICY}

WITHOUT_ARGUMENT = ("auto_contrast", "equalize", "invert")
FACTORS = ("brightness", "color", "contrast", "sharpness")
RAND_AUGMENT_OPS = (
    *WITHOUT_ARGUMENT,
    *FACTORS,
    *("posterize", "rotate", "shear_x", "shear_y"),
    *("solarize", "solarize_add", "translate_x", "translate_y"),
)


def auto_augment_arguments(name: str, level: int) -> list[tuple[float, ...]]:
    """Return the arguments of an operation at a level from 0 to 9; one of them is drawn."""
    part = level / 9
    if name in WITHOUT_ARGUMENT:
        return [()]
    if name in FACTORS:
        return [(1 - 0.9 * part,), (1 + 0.9 * part,)]
    if name.startswith("shear"):
        return [(-0.3 * part,), (0.3 * part,)]
    if name.startswith("translate"):
        return [(-150 / 331 * part,), (150 / 331 * part,)]
    return {
        "posterize": [(round(8 - 4 * part),)],
        "rotate": [(30 * part,)],
        "solarize": [(256 * (1 - part),)],
    }[name]


def rand_augment_arguments(name: str, magnitude: float) -> tuple[float, ...]:
    """Return the arguments of an operation at a magnitude from 0 to 10; a sign is random."""
    part, sign = magnitude / 10, random.choice((-1, 1))
    if name in WITHOUT_ARGUMENT:
        return ()
    if name in FACTORS:
        return (0.1 + 1.8 * part,)
    if name.startswith("shear"):
        return (0.3 * sign * part,)
    if name.startswith("translate"):
        return (0.45 * sign * part,)
    return {
        "posterize": (int(4 * part),),
        "rotate": (30 * sign * part,),
        "solarize": (int(256 * part),),
        "solarize_add": (int(110 * part),),
    }[name]


@TRANSFORMS.register_module()
class ClsAutoAugment(BaseTransform):
    """AutoAugment (Cubuk et al., CVPR 2019) with the published policy "cifar10" or "imagenet".

    Ranges and interpolation are those of Balanced Softmax's published code; what comes from
    outside the image is grey, 128. CIFAR-100 is trained with CIFAR-10's policy.
    """

    def __init__(self, policy: str) -> None:
        if policy not in POLICIES:
            raise ValueError(f"policy must be one of {sorted(POLICIES)}, got {policy!r}")
        self.policy = [
            [
                (getattr(image_ops, name), probability, auto_augment_arguments(name, level))
                for name, probability, level in pair
            ]
            for pair in POLICIES[policy]
        ]

    def transform(self, results: dict) -> dict:
        """Change `img`."""
        image = results["img"]
        for op, probability, arguments in random.choice(self.policy):
            if random.random() < probability:
                image = op(image, *random.choice(arguments))
        results["img"] = image
        return results


@TRANSFORMS.register_module()
class ClsRandAugment(BaseTransform):
    """RandAugment (Cubuk et al., 2020) in timm's variant, `rand-n{n}-m{m}-mstd{std}`, of BCL.

    Of `num_ops` operations drawn from 15, each is done with probability 0.5, at a magnitude
    drawn from N(magnitude, magnitude_std) and cut to 0 ... 10.
    """

    def __init__(self, num_ops: int = 2, magnitude: float = 10, magnitude_std: float = 0.5) -> None:
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.magnitude_std = magnitude_std

    def transform(self, results: dict) -> dict:
        """Change `img`."""
        image = results["img"]
        for name in random.choices(RAND_AUGMENT_OPS, k=self.num_ops):
            if random.random() < 0.5:
                magnitude = random.gauss(self.magnitude, self.magnitude_std)
                arguments = rand_augment_arguments(name, min(max(magnitude, 0), 10))
                image = getattr(image_ops, name)(image, *arguments)
        results["img"] = image
        return results
