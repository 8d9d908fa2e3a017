"""Search spaces: what a hyper-parameter may be, and how to move about in it.

A worker process builds models from parameters without importing Optuna, so the dimensions are plain records here;
`tiltyard.training.journal` translates them into Optuna's distributions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Scalar = str | int | float | bool
Parameters = Mapping[str, Scalar]
"""Hyper-parameters by name."""


@dataclass(frozen=True)
class Real:
    """A real number in [low, high].

    Attributes:
        low: Least value.
        high: Largest value.
        log: Whether ratios count rather than differences.
    """

    low: float
    high: float
    log: bool = False

    def at(self, position: float) -> float:
        """Return the value at a position in [0, 1]."""
        position = min(max(position, 0.0), 1.0)
        if self.log:
            value = float(self.low * (self.high / self.low) ** position)
        else:
            value = float(self.low + (self.high - self.low) * position)
        return min(max(value, self.low), self.high)

    def position(self, value: Scalar) -> float:
        """Return where a value stands in [0, 1]; the inverse of `at`."""
        number = min(max(float(value), self.low), self.high)
        if self.high == self.low:
            return 0.0
        if self.log:
            return float(np.log(number / self.low) / np.log(self.high / self.low))
        return (number - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Whole:
    """A whole number in low…high, both included.

    Attributes:
        low: Least value.
        high: Largest value.
        log: Whether ratios count rather than differences.
    """

    low: int
    high: int
    log: bool = False

    def at(self, position: float) -> int:
        """Return the value at a position in [0, 1]."""
        return round(Real(self.low, self.high, self.log).at(position))

    def position(self, value: Scalar) -> float:
        """Return where a value stands in [0, 1]."""
        return Real(self.low, self.high, self.log).position(value)


@dataclass(frozen=True)
class Choice:
    """One of a few values without an order.

    Attributes:
        options: The values.
    """

    options: tuple[Scalar, ...]

    def at(self, position: float) -> Scalar:
        """Return the option at a position in [0, 1]."""
        return self.options[min(int(position * len(self.options)), len(self.options) - 1)]


Dimension = Real | Whole | Choice
Space = Mapping[str, Dimension]
"""Dimensions by name of the hyper-parameter."""


def sample(space: Space, random: np.random.Generator) -> dict[str, Scalar]:
    """Draw parameters uniformly over the (log) ranges."""
    return {name: dimension.at(random.random()) for name, dimension in space.items()}


def neighbour(space: Space, centre: Parameters, step: float, random: np.random.Generator) -> dict[str, Scalar]:
    """Draw parameters near others.

    About half of the dimensions move, at least one: numbers by a normal step reflected into the range, choices by a
    fresh draw. Changing few at a time keeps what made the centre good.

    Args:
        space: Where to move.
        centre: Parameters to start from; dimensions it lacks are drawn afresh.
        step: Standard deviation of a move, as a share of the range.
        random: Source of randomness.
    """
    names = list(space)
    moved = {name for name in names if random.random() < 0.5}
    if names and not moved:
        moved.add(names[int(random.integers(len(names)))])
    return {name: _moved(space[name], centre.get(name), name in moved, step, random) for name in names}


def _moved(dimension: Dimension, value: Scalar | None, move: bool, step: float, random: np.random.Generator) -> Scalar:
    if value is None:
        return dimension.at(random.random())
    if not move:
        return value
    if isinstance(dimension, Choice):
        return dimension.at(random.random())
    position = abs(dimension.position(value) + step * random.standard_normal()) % 2.0
    candidate = dimension.at(2.0 - position if position > 1.0 else position)
    if candidate == value and isinstance(dimension, Whole):
        candidate = min(max(int(value) + (1 if random.random() < 0.5 else -1), dimension.low), dimension.high)
    return candidate


def grid_values(dimension: Dimension, points: int) -> tuple[Scalar, ...]:
    """Return evenly spread values of a dimension: every option, or at most `points` numbers."""
    if isinstance(dimension, Choice):
        return dimension.options
    positions = np.linspace(0.0, 1.0, points + 2)[1:-1] if points > 1 else np.array([0.5])
    return tuple(dict.fromkeys(dimension.at(float(position)) for position in positions))
