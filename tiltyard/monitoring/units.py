"""Shifted units: a column whose values were converted before they came, from kilograms to pounds or euros to cents.

A conversion moves every value far and leaves the shape as it was. Both are measured by the statistic of Kolmogorov and
Smirnov, the largest distance of two distribution functions: far apart before the conversion is undone, close after it.
Ordinary drift (another mean, another spread) fails one of the two.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FAR = 0.5
"""Distance from the reference below which nothing was converted; a normal column that moved by one spread has 0.38."""

_FAR_FOR_SMALL = 0.7
"""The same for factors below `_SMALL`, which a heavy tail that drifts can come near to."""

_SMALL = 6.0

CLOSE = 0.08
"""Distance that may remain after the conversion, beside what chance makes; moving a normal column by 0.2 standard
deviations makes as much."""

_ELSEWHERE = 0.9
"""Distance at which hardly a value is where values were; powers of ten may then explain it with drift beside them."""

_NEAR = 0.3
"""Distance that may remain after a power of ten is undone; a window much narrower than the reference leaves more."""

_FEWEST_VALUES = 5
"""Different values in the reference below which any column fits some conversion."""


class Conversion(NamedTuple):
    """What was done to the values of the reference: `factor` times, plus `offset`.

    Attributes:
        factor: What they were multiplied by.
        offset: What was then added.
        words: As a sentence says it, such as `100 times as large`.
    """

    factor: float
    offset: float
    words: str


def _both_ways(factor: float, larger: str, smaller: str) -> tuple[Conversion, Conversion]:
    return Conversion(factor, 0.0, larger), Conversion(1 / factor, 0.0, smaller)


def _times(factor: int) -> tuple[Conversion, Conversion]:
    return _both_ways(factor, f"{factor:,} times as large", f"{factor:,} times as small")


_DECIMAL = tuple(conversion for power in (1, 2, 3, 6, 9) for conversion in _times(10**power))

_PHYSICAL = (
    *_both_ways(0.45359237, "as from pounds to kilograms", "as from kilograms to pounds"),
    *_both_ways(0.3048, "as from feet to metres", "as from metres to feet"),
    *_both_ways(1.609344, "as from miles to kilometres", "as from kilometres to miles"),
    *_both_ways(2.54, "as from inches to centimetres", "as from centimetres to inches"),
    *_both_ways(25.4, "as from inches to millimetres", "as from millimetres to inches"),
    *_both_ways(3.785411784, "as from gallons to litres", "as from litres to gallons"),
    *_both_ways(28.349523125, "as from ounces to grams", "as from grams to ounces"),
    *_both_ways(1.8, "times 1.8", "divided by 1.8"),
    Conversion(1.8, 32.0, "as from degrees Celsius to Fahrenheit"),
    Conversion(1 / 1.8, -32.0 / 1.8, "as from degrees Fahrenheit to Celsius"),
    Conversion(1.0, 273.15, "as from degrees Celsius to kelvin"),
    Conversion(1.0, -273.15, "as from kelvin to degrees Celsius"),
)

_TEMPORAL = tuple(conversion for factor in (7, 12, 24, 60, 3600, 86_400) for conversion in _times(factor))

CONVERSIONS = (*_DECIMAL, *_PHYSICAL, *_TEMPORAL, Conversion(-1.0, 0.0, "of the opposite sign"))
"""Those looked for, the likelier first."""


def distance(one: Floats, other: Floats) -> float:
    """Return the largest distance of two empirical distribution functions, between 0 and 1 (Smirnov 1948).

    Args:
        one: Finite values, sorted, shape (n,), at least one.
        other: Finite values, sorted, shape (m,), at least one.

    Example:
        >>> distance(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
        0.5
    """
    points = np.concatenate([one, other])
    gaps = np.searchsorted(one, points, "right") / len(one) - np.searchsorted(other, points, "right") / len(other)
    return float(np.abs(gaps).max())


def find_conversion(reference: NDArray[Any], current: NDArray[Any]) -> Conversion | None:
    """Return the conversion that the current values went through; None when there is none, or it cannot be told.

    Args:
        reference: Values of the reference without missing ones, shape (n,).
        current: Values of the window without missing ones, shape (m,).

    Example:
        >>> grams = np.random.default_rng(0).normal(500, 80, 2000)
        >>> find_conversion(grams[:1000], grams[1000:] / 1000).words
        '1,000 times as small'
        >>> find_conversion(grams[:1000], grams[1000:] + 80) is None
        True
    """
    before, now = _finite(reference), _finite(current)
    if not len(now) or len(np.unique(before)) < _FEWEST_VALUES:
        return None
    far = max(distance(before, now), distance(np.sort(np.abs(before)), np.sort(np.abs(now))))
    if far < FAR:
        return None
    chance = 1.36 * np.sqrt(1 / len(before) + 1 / len(now))
    allowed = min(CLOSE + chance, far / 5)
    with np.errstate(over="ignore"):
        left = [distance(np.sort(before * found.factor + found.offset), now) for found in CONVERSIONS]
    best = int(np.argmin(left))
    needed = FAR if abs(np.log(abs(CONVERSIONS[best].factor))) >= np.log(_SMALL) else _FAR_FOR_SMALL
    if left[best] <= allowed and far >= needed:
        return CONVERSIONS[best]
    best = int(np.argmin(left[: len(_DECIMAL)]))
    return CONVERSIONS[best] if left[best] <= _NEAR and far >= _ELSEWHERE else None


def _finite(values: NDArray[Any]) -> Floats:
    plain = np.asarray(values, dtype=np.float64)
    return np.sort(plain[np.isfinite(plain)])
