"""`protect:` of the project file: drop, keyed hash or coarsen a column before anything else sees it.

It works on raw values, before they are typed, and gives the same for a table and for a row of a request.
"""

import hashlib
import hmac
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from tiltyard.data.coercion import EXAMPLES, arrow_column
from tiltyard.data.contract import Column, Contract, Kind
from tiltyard.data.origin import place_of
from tiltyard.data.values import TextRules, Value, convert, cure_for, expected, rules_of
from tiltyard.errors import DataError, ProjectError, did_you_mean
from tiltyard.project.model import Coarsen, Protection

HASH_DIGITS = 16

_Change = Callable[[object], Value]


def protect_frame(
    frame: pd.DataFrame, protect: Mapping[str, Protection], contract: Contract, key: str | None
) -> pd.DataFrame:
    """Protect the columns of a raw table.

    Args:
        frame: Raw frame; not changed.
        protect: What to do, by column.
        contract: The contract as reviewed; says how numbers, times and missing values are written.
        key: Key of the keyed hashes.

    Returns:
        A new frame without the dropped columns, with hashes and coarser values in the others.

    Raises:
        ProjectError: A protected column is not in the contract, cannot be coarsened, or the key is missing.
        DataError: A value that is to be coarsened cannot be read; names the place and never the value.
    """
    changes = _changes(protect, contract, key)
    protected = frame.copy(deep=False)
    for name, change in changes.items():
        if name not in protected.columns:
            continue
        if change is None:
            protected = protected.drop(columns=name)
        else:
            protected[name] = _changed(protected[name], change, contract.column(name), frame)
    return protected


def protect_row(
    row: Mapping[str, object], protect: Mapping[str, Protection], contract: Contract, key: str | None
) -> dict[str, object]:
    """Protect one row, exactly as `protect_frame` protects a table.

    Raises:
        ProjectError: As `protect_frame`.
        DataError: As `protect_frame`.
    """
    changes = _changes(protect, contract, key)
    protected = dict(row)
    for name, change in changes.items():
        if name not in row:
            continue
        if change is None:
            del protected[name]
            continue
        try:
            protected[name] = change(row[name])
        except ValueError as error:
            raise _unreadable(contract.column(name), "the row", str(error)) from None
    return protected


def keyed_hash(column: str, text: str, key: str) -> str:
    """Return 16 hex digits that stand for a value; without the key they cannot be traced back by trying values.

    HMAC-SHA256 (RFC 2104) over the column's name and the text, cut to 64 bits.
    """
    message = f"{column}\0{text}".encode()
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()[:HASH_DIGITS]


def required_key(key: str | None) -> str:
    """Return the key of the keyed hashes.

    Raises:
        ProjectError: There is none.
    """
    if not key:
        raise ProjectError(
            "`data.protect` asks for a keyed hash and there is no key",
            cure="Set TILTYARD_PROTECT_KEY in the environment to a long random text, the same for every run.",
        )
    return key


def coarser(value: float, width: float) -> float:
    """Return the lower edge of the band of `width` that a number falls into."""
    return math.floor(value / width) * width


def _changes(protect: Mapping[str, Protection], contract: Contract, key: str | None) -> dict[str, _Change | None]:
    """Return per column how a raw value changes; None drops the column."""
    rules = rules_of(contract)
    names = [column.name for column in contract.columns]
    changes: dict[str, _Change | None] = {}
    for name, protection in protect.items():
        if protection == "drop":
            changes[name] = None
            continue
        if name not in names:
            what = f"`data.protect` names `{name}`, which is not a column of the contract"
            raise ProjectError(what, cure=did_you_mean(name, names))
        column = contract.column(name)
        if isinstance(protection, Coarsen):
            changes[name] = _coarsening(column, protection.coarsen, rules)
        else:
            changes[name] = _hashing(column, required_key(key), rules)
    return changes


def _hashing(column: Column, key: str, rules: TextRules) -> _Change:
    as_category = column.model_copy(update={"kind": Kind.CATEGORY, "levels": ()})

    def change(raw: object) -> Value:
        text = convert(as_category, raw, rules)
        return None if text is None else keyed_hash(column.name, str(text), key)

    return change


def _coarsening(column: Column, unit: float | str, rules: TextRules) -> _Change:
    """Return the change for a band width or a unit of time."""
    fits = column.kind is Kind.TIME if isinstance(unit, str) else column.kind in {Kind.NUMBER, Kind.INTEGER}
    if not fits:
        what = f"`data.protect` cannot coarsen `{column.name}` by {unit}: it is {expected(column)}"
        raise ProjectError(what, cure="Numbers take a width; times take `year`, `month` or `day`.")

    def change(raw: object) -> Value:
        value = convert(column, raw, rules)
        if value is None:
            return None
        if isinstance(value, datetime):
            return _cut(value, str(unit))
        assert not isinstance(value, str)
        band = coarser(value, float(unit))
        return int(band) if column.kind is Kind.INTEGER and band.is_integer() else band

    return change


def _cut(moment: datetime, unit: str) -> datetime:
    """Return the first moment of a day, month or year."""
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "day":
        return start
    return start.replace(day=1) if unit == "month" else start.replace(day=1, month=1)


def _changed(series: "pd.Series[Any]", change: _Change, column: Column, frame: pd.DataFrame) -> "pd.Series[Any]":
    """Change a raw column, each distinct value once where values are of one type."""
    array = arrow_column(series)
    values = list(series) if array is None else array.dictionary_encode().dictionary.to_pylist()
    codes = np.arange(len(series)) if array is None else _row_codes(array)
    changed: list[Value] = []
    for code, value in enumerate(values):
        try:
            changed.append(change(value))
        except ValueError as error:
            rows = np.flatnonzero(codes == code)[:EXAMPLES]
            places = ", ".join(place_of(frame, int(row), "the table") for row in rows)
            raise _unreadable(column, places, str(error)) from None
    result = np.array([*changed, None], dtype=object)[codes]
    return pd.Series(result, index=series.index, dtype=object)


def _row_codes(array: Any) -> Any:
    """Return the code of each row's value; -1, the last, for missing."""
    return array.dictionary_encode().indices.fill_null(-1).to_numpy(zero_copy_only=False)


def _unreadable(column: Column, places: str, hint: str) -> DataError:
    what = f"a value of the protected column `{column.name}` is not {expected(column)}"
    return DataError(what, where=places, cure=cure_for(column, hint))
