"""Constructors of norms, losses, predictors, samplers and hooks refuse wrong numbers in words."""

import inspect
import math
from types import UnionType

import numpy as np
import pytest
import torch
from mmengine.registry import DATA_SAMPLERS, HOOKS, MODELS

import mmdet_ltnorm  # noqa: F401, registers them
from mmdet_ltnorm.arguments import checked_choice, checked_flag, checked_integer, checked_number
from mmdet_ltnorm.losses.seesaw import LTSeesawLoss
from mmdet_ltnorm.norms import BNThen, split_by

ROOMS = ("norms", "losses", "predictors", "data.samplers", "engine", "analysis", "calibration")
ROOMS += ("classification.hooks",)
REQUIRED = dict(
    num_features=4,
    num_classes=5,
    in_features=4,
    out_features=5,
    num_groups=2,
    then=dict(type="ClassPowerSampler", power=0),
    dims=[1],
    loss=dict(type="SoftmaxFocalLoss"),
    ann_file="nowhere.json",
    threshold=0.1,
    power=0.5,
    switch_epoch=1,
    iterations=3,
    alpha=0.1,
    labels=torch.tensor([0, 1]),
)
MAY_BE_NEGATIVE = {"ignore_index", "diversity_factor", "power"}
WRONG = {
    float: [math.nan, math.inf, -math.inf, "2", True, None, torch.tensor(1.0)],
    int: [math.nan, 2.5, "2", True, None],
    bool: ["False", 2, None],
}


class Four(list):
    def get_labels(self):
        return np.zeros(4, int)


REQUIRED["dataset"] = Four(range(4))


def ours(registry):
    for name, found in registry.module_dict.items():
        room = found.__module__.removeprefix("mmdet_ltnorm.")
        if room.startswith(ROOMS) and inspect.isclass(found) and room != found.__module__:
            yield name, found


CLASSES = dict(pair for registry in (MODELS, HOOKS, DATA_SAMPLERS) for pair in ours(registry))
CLASSES |= {"LTSeesawLoss": LTSeesawLoss, "split_by": split_by}


def parameters(found):
    """Return a constructor's parameters, and those that it passes on to our and mmdet's classes."""
    collected = {}
    for base in found.__mro__:
        if "__init__" not in vars(base) or not base.__module__.startswith("mmdet"):
            continue
        own = list(inspect.signature(base.__init__).parameters.values())[1:]
        for parameter in own:
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                collected.setdefault(parameter.name, parameter)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in own):
            return collected
    return collected


def kinds(parameter):
    annotation = parameter.annotation
    return set(annotation.__args__ if isinstance(annotation, UnionType) else [annotation])


def cases():
    for name, found in CLASSES.items():
        for parameter in parameters(found).values():
            allowed = kinds(parameter)
            for kind, wrong in WRONG.items():
                if kind not in allowed:
                    continue
                wrong = [value for value in wrong if type(value) not in allowed - {kind}]
                if kind is not bool and parameter.name not in MAY_BE_NEGATIVE:
                    wrong.append(-1)
                for value in wrong:
                    yield pytest.param(found, parameter.name, value, id=f"{name}-{parameter.name}")


def built(found, **options):
    if "initial_bias_magnitude" in options:
        options["separate_magnitudes"] = True
    if found is split_by:
        options.setdefault("num_classes", 4)
    if found is BNThen:
        options["then"] = dict(type="BN")
    needed = {
        parameter.name: REQUIRED[parameter.name]
        for parameter in parameters(found).values()
        if parameter.default is parameter.empty
    }
    return found(**(needed | options))


@pytest.mark.parametrize("name", CLASSES)
def test_constructors_take_what_is_right(name):
    built(CLASSES[name])


@pytest.mark.parametrize("found, argument, value", cases())
def test_constructors_refuse_a_wrong_number_by_its_name(found, argument, value):
    with pytest.raises((TypeError, ValueError), match=argument) as error:
        built(found, **{argument: value})
    assert " must " in str(error.value) and "got" in str(error.value)


@pytest.mark.parametrize(
    "check, message",
    [
        (lambda: checked_number("x", 0, above=0), "x must be > 0, got 0"),
        (lambda: checked_number("x", -1, at_least=0), "x must be >= 0, got -1"),
        (lambda: checked_number("x", 1.0, at_least=0, below=1), r"x must be in \[0, 1\), got 1.0"),
        (lambda: checked_number("x", 0, above=0, at_most=1), r"x must be in \(0, 1\], got 0"),
        (lambda: checked_number("x", 2, at_most=1), "x must be <= 1, got 2"),
        (lambda: checked_number("x", math.nan), "x must be finite, got nan"),
        (lambda: checked_number("x", torch.ones(1)), "x must be a number, got a Tensor"),
        (lambda: checked_integer("x", 2.0), "x must be an integer, got 2.0"),
        (lambda: checked_flag("x", "no"), "x must be True or False, got 'no'"),
        (lambda: checked_choice("x", 2, ("a", "b")), r"x must be one of \('a', 'b'\), got 2"),
    ],
)
def test_the_checks_say_what_they_expected_and_got(check, message):
    with pytest.raises((TypeError, ValueError), match=message):
        check()


def test_numbers_of_numpy_are_numbers():
    assert checked_number("x", np.float32(0.5), above=0, below=1) == 0.5
    assert checked_integer("x", np.int64(3), at_least=1) == 3
