"""From rows of a request to typed columns, by the contract; free of pandas, for the serving worker.

Messages name row and column and never hold a value: they go back over the network and into logs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.data.contract import Column, Contract, Kind
from tiltyard.data.values import TextRules, Value, convert, cure_for, expected, rules_of
from tiltyard.errors import DataError, did_you_mean


@dataclass(frozen=True)
class TypedRows:
    """Rows after typing.

    Attributes:
        columns: Feature column → array of shape (n,): number, integer and boolean as float64 with NaN; category and
            text as object of `str | None`; time as datetime64[us] with NaT.
        unknown_levels: Category column → row numbers (from 0) whose level the contract does not know.
        unexpected: Keys of the rows that the contract does not know, sorted.
    """

    columns: dict[str, NDArray[Any]]
    unknown_levels: dict[str, list[int]] = field(default_factory=dict)
    unexpected: tuple[str, ...] = ()


def rows_to_columns(rows: Sequence[Mapping[str, object]], contract: Contract) -> TypedRows:
    """Type the rows of a request.

    Only the features of the contract are read; a key that is absent is a missing value.

    Args:
        rows: One mapping per row, column name → raw value.
        contract: The contract of the table.

    Raises:
        DataError: A value is of the wrong kind, missing where the contract does not allow it, or of a new level
            where the contract refuses those; names row (from 0) and column.
    """
    rules = rules_of(contract)
    names = _names(tuple(column.name for column in contract.columns))
    unexpected = sorted({str(key) for row in rows for key in row if key not in names})
    columns: dict[str, NDArray[Any]] = {}
    unknown: dict[str, list[int]] = {}
    for column in contract.features:
        values = [_value(column, row, number, rules, unexpected) for number, row in enumerate(rows)]
        columns[column.name] = column_array(column.kind, values)
        if column.kind is Kind.CATEGORY and (new := _new_levels(column, values)):
            unknown[column.name] = new
    return TypedRows(columns=columns, unknown_levels=unknown, unexpected=tuple(unexpected))


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


def _value(
    column: Column, row: Mapping[str, object], number: int, rules: TextRules, unexpected: Sequence[str]
) -> Value:
    """Type one value of one row."""
    try:
        value = convert(column, row.get(column.name), rules)
    except ValueError as error:
        what = f"the value of `{column.name}` is not {expected(column)}"
        raise DataError(what, where=f"row {number}", cure=cure_for(column, str(error))) from None
    if value is None and not column.nullable:
        absent = column.name not in row
        what = f"there is no `{column.name}`" if absent else f"`{column.name}` is missing, and may not be"
        near = did_you_mean(column.name, unexpected) if absent and unexpected else ""
        cure = near if near.startswith("Did") else "Give its value, or make it `nullable` in the contract."
        raise DataError(what, where=f"row {number}", cure=cure)
    return value


def _new_levels(column: Column, values: Sequence[Value]) -> list[int]:
    """Return the row numbers with a level that the contract does not know, or refuse them."""
    levels = _names(column.levels)
    new = [number for number, value in enumerate(values) if value is not None and value not in levels]
    if new and column.new_levels == "refuse":
        raise DataError(
            f"`{column.name}` has a level that the contract does not know",
            where=f"row {new[0]}",
            cure="Give a known level, or set `new_levels: other` in the contract.",
        )
    return new


@lru_cache(maxsize=1024)
def _names(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names)
