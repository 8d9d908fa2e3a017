"""Reading one row in which every value is as the contract has it, the usual request, in a single pass."""

from array import array
from collections.abc import Mapping, Sequence
from math import nan
from typing import NamedTuple


class PlainNumbers(NamedTuple):
    """What is plain in a column of numbers.

    Attributes:
        kind: Type of the raw values: `float`, `int` or `bool`.
        low: The least.
        high: The greatest.
        nullable: Whether one may be missing.
    """

    kind: type
    low: float
    high: float
    nullable: bool


PlainLevels = Mapping[object, float]
"""What is plain in a column of categories: level → code; None → NaN where it may be missing."""


class PlainRow:
    """Reads rows of a contract of which each column becomes one number.

    Args:
        columns: What is plain, by column.

    Example:
        >>> PlainRow([PlainNumbers(float, 0, 9, True), {"red": 0.0, "blue": 1.0}]).read((2.5, "blue", "not a feature"))
        [2.5, 1.0]
    """

    def __init__(self, columns: Sequence[PlainNumbers | PlainLevels]) -> None:
        self._missing = [nan] * len(columns)
        self._numbers = [(at, *one) for at, one in enumerate(columns) if isinstance(one, PlainNumbers)]
        self._levels = [(at, one) for at, one in enumerate(columns) if not isinstance(one, PlainNumbers)]

    def read(self, raws: Sequence[object]) -> list[float] | None:
        """Return the row of the matrix, rounded to float32; None where a value is not plain.

        Args:
            raws: One JSON value a column, no list and no object; what follows is not looked at.
        """
        cells = self._missing.copy()
        for at, kind, low, high, nullable in self._numbers:
            raw = raws[at]
            if type(raw) is kind and low <= raw <= high:  # type: ignore[operator]  # a number
                cells[at] = raw  # type: ignore[call-overload]
            elif raw is not None or not nullable:
                return None
        for at, codes in self._levels:
            code = codes.get(raws[at])
            if code is None:
                return None
            cells[at] = code
        return single(cells)


def single(cells: Sequence[float]) -> list[float]:
    """Return numbers rounded to float32."""
    return array("f", cells).tolist()
