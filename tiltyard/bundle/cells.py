"""Reading the cells of one column: from raw values to typed values and the numbers of the matrix, in one step.

What is plain (a number where a number belongs, a level that is known) is taken as it is; anything else goes through
`tiltyard.data.values.convert`, so that every value means here what it means everywhere. A value that breaks the
contract is only refused here: `tiltyard.data.rows` explains it.
"""

from array import array
from collections.abc import Callable, Sequence
from math import nan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiltyard.bundle.encoder import LARGEST, UNKNOWN_LEVEL, ColumnEncoding, text_numbers, time_numbers
from tiltyard.bundle.plain import PlainLevels, PlainNumbers
from tiltyard.data.contract import Column, Kind
from tiltyard.data.protection import Change
from tiltyard.data.rows import column_array
from tiltyard.data.values import TextRules, Value, convert

Raw = Sequence[object] | NDArray[np.generic]
Values = Sequence[Value] | NDArray[np.float64]
"""Typed values of a column; numbers as doubles, NaN for None."""

_INT64 = 2**63


class Notes(NamedTuple):
    """What is noticed of cells that are answered all the same, as in `tiltyard.data.rows.TypedRows`.

    Attributes:
        unknown: Category column → row numbers with a level the contract does not know.
        outside: Numeric column → row numbers outside the contract's range; of single rows only.
        decoded: Whether each raw value of an open column has one of the JSON types its kind is written in.
    """

    unknown: dict[str, list[int]]
    outside: dict[str, list[int]]
    decoded: bool = False


class Cell:
    """Reads one column of time or text; the base of the others.

    Args:
        column: As the contract has it.
        encoding: What it becomes in the matrix.
        rules: How text is read under the contract.
        change: How its raw values are protected; None for an open column.
    """

    def __init__(self, column: Column, encoding: ColumnEncoding, rules: TextRules, change: Change | None) -> None:
        self._column = column
        self._encoding = encoding
        self._rules = rules
        self._change = change
        self._nullable = column.nullable
        self._numbers: Callable[[Any], list[float]] = time_numbers if column.kind is Kind.TIME else text_numbers

    def typed(self, raw: object) -> Value:
        """Protect and type one value.

        Raises:
            ValueError: It breaks the contract.
        """
        value = convert(self._column, raw if self._change is None else self._change(raw), self._rules)
        if value is None and not self._nullable:
            raise ValueError("it is missing")
        return value

    @property
    def plain(self) -> PlainNumbers | PlainLevels | None:
        """Raw values that are taken as they are; None where there are none."""
        return None

    def one(self, raw: object, numbers: list[float], notes: Notes) -> Value:  # noqa: ARG002
        """Read the only row's cell.

        Args:
            raw: The raw value.
            numbers: The row of the matrix so far, double and clipped; appended to.
            notes: Added to.

        Returns:
            The typed value.

        Raises:
            ValueError: It breaks the contract.
        """
        value = self.typed(raw)
        numbers += self._numbers(value)
        return value

    def many(self, raws: Raw, matrix: NDArray[np.float64], notes: Notes) -> Values:  # noqa: ARG002
        """Read the cells of all rows.

        Args:
            raws: Raw values; those of an array are numbers or text.
            matrix: The column's part of the matrix, shape (n, its numbers); written to, not clipped. Infinite numbers
                and missing ones are left to the caller to find.
            notes: Added to, but for `outside`.

        Returns:
            The typed values; NaN may stand for None.

        Raises:
            ValueError: One breaks the contract.
        """
        values = [self.typed(raw) for raw in raws]
        self._encoding.encode(column_array(self._column.kind, values), matrix)
        return values


class NumberCell(Cell):
    """Reads one column of numbers."""

    def __init__(self, column: Column, encoding: ColumnEncoding, rules: TextRules, change: Change | None) -> None:
        super().__init__(column, encoding, rules, change)
        self._minimum = -np.inf if column.minimum is None else column.minimum
        self._maximum = np.inf if column.maximum is None else column.maximum
        self._low, self._high = max(self._minimum, -LARGEST), min(self._maximum, LARGEST)
        if change is not None:
            self._low, self._high = np.inf, -np.inf

    @property
    def plain(self) -> PlainNumbers | None:
        """Numbers within their range, and not so huge that they are clipped."""
        return None if self._change else PlainNumbers(float, self._low, self._high, self._nullable)

    def one(self, raw: object, numbers: list[float], notes: Notes) -> Value:
        """Read the only row's cell."""
        if (type(raw) is float or type(raw) is int) and self._low <= raw <= self._high:
            number = float(raw)
            numbers.append(number)
            return number
        return self._careful(raw, numbers, notes)

    def many(self, raws: Raw, matrix: NDArray[np.float64], notes: Notes) -> Values:
        """Read the cells of all rows."""
        if self._change is not None:
            return super().many(raws, matrix, notes)
        numbers = self._decoded(raws) if notes.decoded else None
        if numbers is None:
            if not _types(raws) <= _REALS:
                return super().many(raws, matrix, notes)
            numbers = np.array(raws, dtype=np.float64)
        matrix[:, 0] = numbers
        return numbers

    def _decoded(self, raws: Raw) -> NDArray[np.float64] | None:
        """Return numbers as JSON has them; None where there is a text."""
        if self._nullable:
            raws = [nan if raw is None else raw for raw in raws]
        try:
            return np.frombuffer(array("d", raws))
        except TypeError:
            return None

    def _careful(self, raw: object, numbers: list[float], notes: Notes) -> Value:
        """Read a cell that is missing, outside its range, huge, protected or written otherwise."""
        if raw is None and self._nullable:
            numbers.append(nan)
            return None
        value = self.typed(raw)
        number = nan if value is None else float(value)  # type: ignore[arg-type]  # a number or an integer
        if number < self._minimum or number > self._maximum:
            notes.outside[self._column.name] = [0]
        numbers.append(min(max(number, -LARGEST), LARGEST))
        return value


class IntegerCell(NumberCell):
    """Reads one column of integers, which are typed as Python's own: doubles end at 2**53."""

    @property
    def plain(self) -> PlainNumbers | None:
        """Integers within their range, of 64 bits."""
        low, high = max(self._low, -_INT64), min(self._high, _INT64 - 1)
        return None if self._change else PlainNumbers(int, low, high, self._nullable)

    def one(self, raw: object, numbers: list[float], notes: Notes) -> Value:
        """Read the only row's cell."""
        if type(raw) is int and self._low <= raw <= self._high and -_INT64 <= raw < _INT64:
            numbers.append(float(raw))
            return raw
        return self._careful(raw, numbers, notes)

    def many(self, raws: Raw, matrix: NDArray[np.float64], notes: Notes) -> Values:
        """Read the cells of all rows."""
        if self._change is None and _types(raws) <= _INTEGERS:
            array = np.asarray(raws, dtype=np.float64)
            if not ((np.abs(array) >= _INT64) | (np.trunc(array) < array) | (np.trunc(array) > array)).any():
                matrix[:, 0] = array
                return _integers(raws, array)
        return Cell.many(self, raws, matrix, notes)


class BooleanCell(Cell):
    """Reads one column of booleans."""

    @property
    def plain(self) -> PlainNumbers | None:
        """Booleans."""
        return None if self._change else PlainNumbers(bool, 0, 1, self._nullable)

    def one(self, raw: object, numbers: list[float], notes: Notes) -> Value:  # noqa: ARG002
        """Read the only row's cell."""
        value = raw if type(raw) is bool and self._change is None else self.typed(raw)
        numbers.append(nan if value is None else float(value))  # type: ignore[arg-type]  # a boolean
        return value

    def many(self, raws: Raw, matrix: NDArray[np.float64], notes: Notes) -> Values:
        """Read the cells of all rows."""
        if self._change is None and _types(raws) <= _BOOLEANS:
            matrix[:, 0] = np.asarray(raws, dtype=np.float64)
            return _listed(raws)  # type: ignore[return-value]  # booleans and None
        return super().many(raws, matrix, notes)


class CategoryCell(Cell):
    """Reads one column of levels."""

    def __init__(self, column: Column, encoding: ColumnEncoding, rules: TextRules, change: Change | None) -> None:
        super().__init__(column, encoding, rules, change)
        self._known = frozenset(column.levels)
        self._codes = {level: float(code) for code, level in enumerate(encoding.levels)}
        self._plain: dict[object, float] = {level: code for level, code in self._codes.items() if self._is_plain(level)}
        if column.nullable:
            self._plain[None] = nan

    @property
    def plain(self) -> PlainLevels | None:
        """Known levels."""
        return None if self._change else self._plain

    def one(self, raw: object, numbers: list[float], notes: Notes) -> Value:
        """Read the only row's cell."""
        code = self._plain.get(raw)
        if code is None:
            raw, code = self._careful(raw, 0, notes)
        numbers.append(code)
        return raw  # type: ignore[return-value]  # a text or None

    def many(self, raws: Raw, matrix: NDArray[np.float64], notes: Notes) -> Values:
        """Read the cells of all rows."""
        values = _listed(raws)
        codes = list(map(self._plain.get, values))
        try:
            matrix[:, 0] = np.frombuffer(array("d", codes))  # type: ignore[type-var]  # numbers, or the TypeError
        except TypeError:
            values = list(values)
            for row in [row for row, code in enumerate(codes) if code is None]:
                values[row], codes[row] = self._careful(values[row], row, notes)
            matrix[:, 0] = codes
        return values  # type: ignore[return-value]  # texts and None

    def _careful(self, raw: object, row: int, notes: Notes) -> tuple[str | None, float]:
        """Return value and code of a cell that is unknown, protected or written otherwise."""
        value = self.typed(raw)
        if value is None:
            return None, nan
        assert isinstance(value, str)
        if value not in self._known:
            if self._column.new_levels == "refuse":
                raise ValueError("it is a new level")
            notes.unknown.setdefault(self._column.name, []).append(row)
        return value, self._codes.get(value, UNKNOWN_LEVEL)

    def _is_plain(self, level: str) -> bool:
        """Whether a raw text that equals a level is that level."""
        try:
            return self._change is None and level in self._known and self.typed(level) == level
        except ValueError:
            return False


_FLOATS: frozenset[type] = frozenset({float, type(None)})
_REALS: frozenset[type] = frozenset({float, int, type(None), np.floating, np.integer})
_INTEGERS: frozenset[type] = frozenset({int, type(None), np.floating, np.integer})
_BOOLEANS: frozenset[type] = frozenset({bool, type(None), np.bool_})
_CELLS: dict[Kind, type[Cell]] = {
    Kind.NUMBER: NumberCell,
    Kind.INTEGER: IntegerCell,
    Kind.BOOLEAN: BooleanCell,
    Kind.CATEGORY: CategoryCell,
}


def cell_of(column: Column, encoding: ColumnEncoding, rules: TextRules, change: Change | None) -> Cell:
    """Return what reads a column's cells; the arguments are those of `Cell`."""
    return _CELLS.get(column.kind, Cell)(column, encoding, rules, change)


def _types(raws: Raw) -> set[type]:
    """Return the types of the values; of an array its kind of numbers, as numpy's own type."""
    if isinstance(raws, np.ndarray):
        kinds = (kind for kind in (np.floating, np.integer, np.bool_) if np.issubdtype(raws.dtype, kind))
        return {next(kinds, np.generic)}
    return set(map(type, raws))


def _listed(raws: Raw) -> Sequence[object]:
    """Return the values as Python's own; times stay numpy's, of which `tolist` would make numbers."""
    if not isinstance(raws, np.ndarray):
        return raws
    listed: list[object] = list(raws) if raws.dtype.kind in "mM" else raws.tolist()
    return listed


def _integers(raws: Raw, array: NDArray[np.float64]) -> Sequence[Value]:
    """Return integers from the raw values, since doubles end at 2**53; NaN may be among them."""
    if not isinstance(raws, np.ndarray):
        return raws  # type: ignore[return-value]  # integers and None
    if raws.dtype.kind != "f":
        listed: list[Value] = raws.tolist()
        return listed
    return [value if value != value else int(value) for value in array.tolist()]  # noqa: PLR0124  # NaN


def listed(values: Values) -> Sequence[Value]:
    """Return typed values of a column as Python's own.

    Args:
        values: The same, or doubles with NaN for None.
    """
    if not isinstance(values, np.ndarray):
        return values
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124  # NaN
