"""Checks of constructor arguments: wrong values are refused when a config is built.

NaN passes every comparison that asks whether a number is too small, and ``True`` and ``"2"`` pass
for others until something is computed with them, hours into a run.
"""

import math
from collections.abc import Collection
from numbers import Integral, Real
from typing import Any

from torch import Tensor


def checked_number(
    name: str,
    value: Any,
    *,
    above: float = -math.inf,
    at_least: float = -math.inf,
    below: float = math.inf,
    at_most: float = math.inf,
) -> Any:
    """Return a finite number within its bounds.

    Raises:
        TypeError: it is no number.
        ValueError: it is not finite, or out of bounds.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, got {_shown(value)}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, got {value!r}")
    if not (above < value < below and at_least <= value <= at_most):
        bounds = _described((above, at_least), (below, at_most))
        raise ValueError(f"{name} must be {bounds}, got {value!r}")
    return value


def checked_integer(
    name: str, value: Any, *, at_least: float = -math.inf, at_most: float = math.inf
) -> Any:
    """Return an integer within its bounds.

    Raises:
        TypeError: it is no integer.
        ValueError: it is out of bounds.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {_shown(value)}")
    return checked_number(name, value, at_least=at_least, at_most=at_most)


def check_norm(num_features: Any, eps: Any) -> None:
    """Check the first two arguments of a norm layer.

    Raises:
        TypeError, ValueError: no positive integer, or no number of at least 0.
    """
    checked_integer("num_features", num_features, at_least=1)
    checked_number("eps", eps, at_least=0)


def checked_flag(name: str, value: Any) -> bool:
    """Return ``True`` or ``False``.

    Raises:
        TypeError: it is neither; a text such as 'False' would count as true.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {_shown(value)}")
    return value


def checked_choice(name: str, value: Any, choices: Collection[Any]) -> Any:
    """Return one of the choices.

    Raises:
        ValueError: the value is not one of the choices.
    """
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ValueError(f"{name} must be one of {tuple(choices)}, got {_shown(value)}")
    return value


def _described(low: tuple[float, float], high: tuple[float, float]) -> str:
    """Return bounds in words; each bound is a pair: excluded, included."""
    open_left, open_right = math.isfinite(low[0]), math.isfinite(high[0])
    least, most = low[not open_left], high[not open_right]
    if math.isinf(most):
        return f"{'>' if open_left else '>='} {least:g}"
    if math.isinf(least):
        return f"{'<' if open_right else '<='} {most:g}"
    return f"in {'(['[not open_left]}{least:g}, {most:g}{'])'[open_right]}"


def _shown(value: Any) -> str:
    """Return a short value as a config writes it, or the type of a long one."""
    return f"a {type(value).__name__}" if isinstance(value, Tensor) else repr(value)
