"""From the rows of a request to the matrix that a version is run on, with what was noticed on the way.

A reader is made when a version is loaded. It decodes the usual body in one step into a struct of the contract's columns
and reads its cells without an array a column; whatever it cannot read it leaves to `tiltyard.data.rows`, whose meaning
it shares to the last bit and whose sentences explain what is wrong.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
from msgspec.structs import astuple, replace
from numpy.typing import NDArray

from tiltyard.bundle.cells import Notes, Raw, Values, cell_of, listed
from tiltyard.bundle.encoder import Encoder
from tiltyard.bundle.plain import PlainRow, single
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.data.protection import changes_of
from tiltyard.data.rows import rows_to_columns
from tiltyard.data.values import Value, rules_of

_PLAIN: dict[Kind, Any] = {
    Kind.NUMBER: float | str,
    Kind.INTEGER: int | float | str,
    Kind.BOOLEAN: bool | int | float | str,
    Kind.CATEGORY: str | int | float | bool,
    Kind.TEXT: str | int | float | bool,
    Kind.TIME: str,
}
"""JSON types that a kind can be written in."""

MOST_COLUMNS = 300
"""Columns of a contract at most whose rows become structs: each key is looked for among the fields one by one, so that
a wide row in another order than the contract's would take long."""


class Typed(msgspec.Struct, frozen=True, gc=False):
    """The rows of a request, typed and protected.

    Attributes:
        rows: How many.
        cells: float32, shape (rows, features of the encoder); of one row alone the numbers as a list.
        by_row: Rows of typed values, in the order of the contract's features; empty where they are given by column.
        unknown_levels: Category column → row numbers whose level the contract does not know.
        unexpected: Names that the contract does not know, sorted.
        outside: Numeric column → row numbers whose value is outside the contract's range.
        others: Raw values of the first row in columns of the contract that are neither features nor the target.
        by_column: Typed values of each feature; numbers as doubles with NaN for None.
    """

    rows: int
    cells: NDArray[np.float32] | list[float]
    by_row: Sequence[Sequence[Value]]
    unknown_levels: Mapping[str, list[int]] = {}
    unexpected: tuple[str, ...] = ()
    outside: Mapping[str, list[int]] = {}
    others: Mapping[str, object] = {}
    by_column: Sequence[Values] = ()

    @property
    def matrix(self) -> NDArray[np.float32]:
        """The cells as a table, shape (rows, features of the encoder)."""
        return np.array((self.cells,), dtype=np.float32) if isinstance(self.cells, list) else self.cells

    @property
    def values(self) -> Sequence[Sequence[Value]]:
        """Rows of typed values, in the order of the contract's features."""
        return list(zip(*map(listed, self.by_column), strict=True)) if self.by_column else self.by_row

    def logged(self) -> Sequence[Sequence[Value]]:
        """Return what the prediction log keeps of the rows: nothing of a protected column is in the clear."""
        return self.values

    def logged_columns(self) -> list[bytes | Sequence[Value]]:
        """Return the same by column; numbers as the bytes of doubles, with NaN for None."""
        if not self.by_column:
            return list(zip(*self.by_row, strict=True))
        return [
            values.astype("<f8", copy=False).tobytes() if isinstance(values, np.ndarray) else values
            for values in self.by_column
        ]


class Reader:
    """Reads requests for one version.

    Args:
        contract: Its contract.
        encoder: Its encoder.
        key: Key of the keyed hashes; needed where a feature is hashed.

    Raises:
        ProjectError: A feature is hashed, and the key is missing or another than the model was trained with.
    """

    def __init__(self, contract: Contract, encoder: Encoder, key: str | None = None) -> None:
        self._contract = contract
        self._encoder = encoder
        self._key = key
        rules, changes = rules_of(contract), changes_of(contract, contract.features, key)
        self._cells = [
            cell_of(column, encoding, rules, changes.get(column.name))
            for column, encoding in zip(contract.features, encoder.columns, strict=True)
        ]
        plain = [cell.plain for cell in self._cells]
        self._plain = None if None in plain else PlainRow(plain)  # type: ignore[arg-type]  # None is not among them
        self._expected = frozenset(column.name for column in contract.columns)
        self._others = tuple(column.name for column in _others(contract) if column.role is not Role.TARGET)
        self._decoder = _decoder_of(contract)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The features, in order."""
        return tuple(column.name for column in self._contract.features)

    def read(self, body: bytes, most_rows: int) -> Typed | None:
        """Read a body `{"rows": […]}` in one step.

        Args:
            body: Of a request.
            most_rows: Limit of rows.

        Returns:
            The rows; None where the body is of another form, has a column that the contract does not know or more rows
            than allowed, or breaks the contract: `type` and those before it say what is so.
        """
        if self._decoder is None:
            return None
        try:
            rows = self._decoder.decode(body).rows
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if len(rows) == 1:
            first = astuple(rows[0])
            typed = self._one_plain(first) or self._one(first)
        elif 0 < len(rows) <= most_rows:
            columns = list(zip(*map(astuple, rows), strict=True))
            first = tuple(column[0] for column in columns) if self._others else ()
            typed = self._many(columns, len(rows), may_be_nan=False)
        else:
            return None
        return self._with_others(typed, first[len(self._cells) :]) if typed and self._others else typed

    def type(self, rows: Sequence[Mapping[str, object]]) -> Typed:
        """Type rows with raw values.

        Raises:
            DataError: A value breaks the contract; names row and column.
        """
        unexpected = sorted({str(key) for row in rows for key in row if key not in self._expected})
        columns = [[row.get(name) for row in rows] for name in self.names]
        typed = self._read(columns, len(rows), tuple(unexpected)) or self._explained(rows)
        return self._with_others(typed, [row.get(name) for row in rows[:1] for name in self._others])

    def type_columns(self, columns: Mapping[str, Raw], rows: int) -> Typed:
        """Type columns of raw values.

        Args:
            columns: Name → one value a row; arrays of numbers are taken as they are.
            rows: How many rows.

        Raises:
            DataError: A value breaks the contract; names row and column.
        """
        absent = [None] * rows
        unexpected = sorted(str(name) for name in columns if name not in self._expected)
        typed = self._read([columns.get(name, absent) for name in self.names], rows, tuple(unexpected))
        if typed is None:
            names = list(columns)
            values = zip(*columns.values(), strict=True) if names else (() for _ in range(rows))
            typed = self._explained([dict(zip(names, row, strict=True)) for row in values])
        return self._with_others(typed, [columns.get(name, absent)[0] for name in self._others if rows])

    def _read(self, columns: Sequence[Raw], rows: int, unexpected: tuple[str, ...]) -> Typed | None:
        """Read raw values by column; None where one breaks the contract."""
        typed = (
            self._one([column[0] for column in columns]) if rows == 1 else self._many(columns, rows, may_be_nan=True)
        )
        return replace(typed, unexpected=unexpected) if typed and unexpected else typed

    def _with_others(self, typed: Typed, raws: Sequence[object]) -> Typed:
        """Add what the first row holds in the columns that are not read."""
        others = {name: raw for name, raw in zip(self._others, raws, strict=False) if raw is not None}
        return replace(typed, others=others) if others else typed

    def _one_plain(self, raws: Sequence[Any]) -> Typed | None:
        """Read a single row of JSON values; None where one is not plain."""
        cells = None if self._plain is None else self._plain.read(raws)
        return None if cells is None else Typed(1, cells, (raws[: len(cells)],))

    def _one(self, raws: Sequence[object]) -> Typed | None:
        """Read a single row; what follows its features in `raws` is not looked at."""
        numbers: list[float] = []
        notes = Notes({}, {})
        try:
            values = [cell.one(raw, numbers, notes) for cell, raw in zip(self._cells, raws, strict=False)]
        except (ValueError, TypeError, ArithmeticError):
            return None
        return Typed(1, single(numbers), (values,), notes.unknown, (), notes.outside)

    def _many(self, columns: Sequence[Raw], rows: int, *, may_be_nan: bool) -> Typed | None:
        """Read several rows by column; what follows the features in `columns` is not looked at.

        Args:
            columns: Raw values.
            rows: How many.
            may_be_nan: Whether there can be NaN among them, which JSON has not.
        """
        matrix = np.empty((rows, len(self._encoder.features)))
        notes = Notes({}, {}, decoded=not may_be_nan)
        try:
            values = [
                cell.many(raws, matrix[:, place], notes)
                for cell, raws, place in zip(self._cells, columns, self._encoder.places, strict=False)
            ]
        except (ValueError, TypeError, ArithmeticError):
            return None
        finite = np.isfinite(matrix)
        if not finite.all():
            if np.isinf(matrix).any() or not finite[:, self._required].all():
                return None
            values = [_with_none(column) for column in values] if may_be_nan else values
        outside = self._outside(matrix)
        cells = self._encoder.single(matrix)
        return Typed(rows, cells, (), notes.unknown, (), outside, by_column=values)

    def _outside(self, matrix: NDArray[np.float64]) -> dict[str, list[int]]:
        """Return the row numbers outside their columns' ranges."""
        names, places, low, high = self._ranges
        if not names:
            return {}
        values = matrix[:, places]
        outside = (values < low) | (values > high)
        if not outside.any():
            return {}
        return {
            name: np.flatnonzero(found).tolist() for name, found in zip(names, outside.T, strict=True) if found.any()
        }

    def _explained(self, rows: Sequence[Mapping[str, object]]) -> Typed:
        """Read rows in the way that says what is wrong with them."""
        typed = rows_to_columns(rows, self._contract, self._key)
        values = list(zip(*typed.values.values(), strict=True))
        matrix = self._encoder.encode(typed.columns)
        return Typed(len(rows), matrix, values, typed.unknown_levels, typed.unexpected, typed.outside)

    @cached_property
    def _required(self) -> list[int]:
        """Columns of the matrix that may not be missing."""
        places = zip(self._contract.features, self._encoder.places, strict=True)
        return [place.start for column, place in places if not column.nullable]

    @cached_property
    def _ranges(self) -> tuple[list[str], list[int], NDArray[np.float64], NDArray[np.float64]]:
        """Names and places of the columns with a range, and the least and largest values."""
        ranged = [
            (column, place.start)
            for column, place in zip(self._contract.features, self._encoder.places, strict=True)
            if column.minimum is not None or column.maximum is not None
        ]
        low = [-np.inf if column.minimum is None else column.minimum for column, _ in ranged]
        high = [np.inf if column.maximum is None else column.maximum for column, _ in ranged]
        return [column.name for column, _ in ranged], [place for _, place in ranged], np.array(low), np.array(high)


def _with_none(values: Values) -> Values:
    """Return values with None for NaN, but for doubles."""
    if isinstance(values, np.ndarray):
        return values
    return [None if value != value else value for value in values]  # noqa: PLR0124  # NaN


def _decoder_of(contract: Contract) -> msgspec.json.Decoder[Any] | None:
    """Return the decoder of bodies: the features in their order, then the other columns, which are not read.

    None for a very wide contract, and for one with a name that msgspec takes for no field: with a quotation mark, a
    backslash or a control character.
    """
    columns = [*contract.features, *_others(contract)]
    if len(columns) > MOST_COLUMNS:
        return None
    fields = [(f"c{at}", *_field(column, is_read=at < len(contract.features))) for at, column in enumerate(columns)]
    try:
        row = msgspec.defstruct("Row", fields, kw_only=True, forbid_unknown_fields=True, gc=False)
    except ValueError:
        return None
    body = msgspec.defstruct("Body", [("rows", list[row])], forbid_unknown_fields=True, gc=False)  # type: ignore[valid-type]
    return msgspec.json.Decoder(body)


def _others(contract: Contract) -> list[Column]:
    """Return the columns that are no features, the target last."""
    others = [column for column in contract.columns if column.role not in {Role.FEATURE, Role.TARGET}]
    return [*others, contract.target]


def _field(column: Column, *, is_read: bool) -> tuple[Any, Any]:
    """Return type and field of a column; one that need not be sent is missing when it is not."""
    kind = _PLAIN[column.kind] if column.protection is None and is_read else Any
    if column.nullable or not is_read:
        return kind | None if kind is not Any else Any, msgspec.field(name=column.name, default=None)
    return kind, msgspec.field(name=column.name)
