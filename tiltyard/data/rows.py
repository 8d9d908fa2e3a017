"""From rows of a request to typed columns, by the contract; free of pandas, for the serving worker.

This is the door of a request: protected columns are hashed or made coarser here, before anything else sees them.
Messages name row and column and never hold a value: they go back over the network and into logs. Their cures are for
whoever asks, who cannot change the contract.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.data.contract import Column, Contract, Kind
from tiltyard.data.protection import Change, changes_of, raw_column
from tiltyard.data.values import TextRules, Value, convert, expected, rules_of
from tiltyard.errors import LOOK_ALIKE, DataError, look_alike, near_miss

MOST_COMPARED = 1000
"""Keys that are looked at for a misspelt column; a request may have any number of them."""

LONGEST_COMPARED = 100
"""Letters of a key beyond which it is no misspelt column."""

_RANGED = frozenset({Kind.NUMBER, Kind.INTEGER})


@dataclass(frozen=True)
class TypedRows:
    """Rows after typing.

    Attributes:
        columns: Feature column → array of shape (n,): number, integer and boolean as float64 with NaN; category and
            text as object of `str | None`; time as datetime64[us] with NaT.
        unknown_levels: Category column → row numbers (from 0) whose level the contract does not know.
        unexpected: Keys of the rows that the contract does not know, sorted.
        outside: Number or integer column → row numbers whose value is outside the contract's range.
        values: Feature column → the typed values themselves, from which `columns` are made.
    """

    columns: dict[str, NDArray[Any]]
    unknown_levels: dict[str, list[int]] = field(default_factory=dict)
    unexpected: tuple[str, ...] = ()
    outside: dict[str, list[int]] = field(default_factory=dict)
    values: dict[str, list[Value]] = field(default_factory=dict)


def rows_to_columns(rows: Sequence[Mapping[str, object]], contract: Contract, key: str | None = None) -> TypedRows:
    """Protect and type the rows of a request.

    Only the features of the contract are read; a key that is absent is a missing value.

    Args:
        rows: One mapping per row, column name → raw value, never protected before.
        contract: The contract of the table.
        key: Key of the keyed hashes; needed only where a feature is hashed.

    Raises:
        ProjectError: A feature is hashed, and the key is missing or another than the model was trained with.
        DataError: A value is of the wrong kind, missing where the contract does not allow it, or of a new level
            where the contract refuses those; names row (from 0) and column.
    """
    features = contract.features
    rules, changes = rules_of(contract), changes_of(contract, features, key)
    names = _names(tuple(column.name for column in contract.columns))
    unexpected = sorted({str(key) for row in rows for key in row if key not in names})
    columns: dict[str, NDArray[Any]] = {}
    typed: dict[str, list[Value]] = {}
    unknown: dict[str, list[int]] = {}
    for column in features:
        change = changes.get(column.name)
        values = [_value(column, row, number, rules, change) for number, row in enumerate(rows)]
        if not column.nullable and None in values:
            raise _missing(column, rows, values.index(None), unexpected)
        typed[column.name] = values
        columns[column.name] = column_array(column.kind, values)
        if column.kind is Kind.CATEGORY and (new := _new_levels(column, values)):
            unknown[column.name] = new
    outside = _outside(features, columns)
    return TypedRows(columns, unknown, tuple(unexpected), outside, typed)


def array_to_rows(features: Sequence[object], contract: Contract) -> list[dict[str, object]]:
    """Give positional values their names: `[5.1, 3.5]`, or a list of such lists, in the order of the features.

    Raises:
        DataError: A list is not as long as the contract has features.
    """
    nested = bool(features) and all(isinstance(row, list | tuple) for row in features)
    rows = list(features) if nested else [features]
    names = [column.name for column in contract.features]
    named = []
    for number, row in enumerate(rows):
        assert isinstance(row, Sequence)
        if len(row) != len(names):
            raise DataError(
                f"{len(row)} values where the model has {len(names)} features",
                where=f"row {number}",
                cure=f"Give one value each, in this order: {', '.join(names)}.",
            )
        named.append(dict(zip(names, row, strict=True)))
    return named


def column_array(kind: Kind, values: Sequence[Value]) -> NDArray[Any]:
    """Return typed values of one column as the array that the encoder reads (see `TypedRows.columns`)."""
    if kind in {Kind.CATEGORY, Kind.TEXT}:
        array = np.empty(len(values), dtype=object)
        array[:] = values
        return array
    if kind is Kind.TIME:
        return np.array([np.datetime64("NaT") if value is None else value for value in values], dtype="datetime64[us]")
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _value(column: Column, row: Mapping[str, object], number: int, rules: TextRules, change: Change | None) -> Value:
    """Protect and type one value of one row."""
    raw = row.get(column.name)
    try:
        return convert(column, raw if change is None else change(raw), rules)
    except ValueError as error:
        read = raw_column(column)
        what = f"the value of `{column.name}` is not {expected(read)}"
        raise DataError(what, where=f"row {number}", cure=_cure_for(read, str(error))) from None


def _cure_for(column: Column, hint: str) -> str:
    """Say how to mend a value that could not be read."""
    advice = "Correct it, or send null." if column.nullable else "Correct it."
    return f"{hint[:1].upper()}{hint[1:]}. {advice}" if hint else advice


def _missing(column: Column, rows: Sequence[Mapping[str, object]], number: int, unexpected: Sequence[str]) -> DataError:
    """Explain that a row lacks a value; names the key that was probably meant to be the column."""
    cure = "Send its value: no row was without it in training."
    if column.name in rows[number]:
        return DataError(f"`{column.name}` is missing, and may not be", where=f"row {number}", cure=cure)
    sent = (name for name in unexpected if len(name) <= LONGEST_COMPARED and name in rows[number])
    near = near_miss(column.name, islice(sent, MOST_COMPARED))
    if near is not None:
        same = LOOK_ALIKE if look_alike(near, column.name) else ""
        cure = f"`{near}` was sent, and is probably meant to be `{column.name}`{same}."
    return DataError(f"there is no `{column.name}`", where=f"row {number}", cure=cure)


def _new_levels(column: Column, values: Sequence[Value]) -> list[int]:
    """Return the row numbers with a level that the contract does not know, or refuse them."""
    levels = _names(column.levels)
    new = [number for number, value in enumerate(values) if value is not None and value not in levels]
    if new and column.new_levels == "refuse":
        raise DataError(
            f"`{column.name}` has a level that the contract does not know",
            where=f"row {new[0]}",
            cure="Send one that it knows: `GET /v1/models/NAME` has them.",
        )
    return new


def _outside(features: Sequence[Column], columns: Mapping[str, NDArray[Any]]) -> dict[str, list[int]]:
    """Return the row numbers with a number outside its column's range; a missing one is not.

    All columns are compared at once, since a request often has one row and many columns.
    """
    ranged = [
        column
        for column in features
        if (column.minimum is not None or column.maximum is not None) and column.kind in _RANGED
    ]
    if not ranged:
        return {}
    values = np.concatenate([columns[column.name] for column in ranged]).reshape(len(ranged), -1)
    low = np.array([[-np.inf if column.minimum is None else column.minimum] for column in ranged])
    high = np.array([[np.inf if column.maximum is None else column.maximum] for column in ranged])
    outside = (values < low) | (values > high)
    if not outside.any():
        return {}
    return {
        ranged[index].name: np.flatnonzero(outside[index]).tolist() for index in np.flatnonzero(outside.any(axis=1))
    }


@lru_cache(maxsize=1024)
def _names(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names)
