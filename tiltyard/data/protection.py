"""How one raw value of a protected column changes; free of pandas, for the serving worker.

The contract in use says it by `Column.protection`, so that a table, a request and a batch are protected alike. It
happens at the door, on raw values; what is typed is protected already.
"""

import hashlib
import hmac
import math
from collections.abc import Callable, Iterable
from datetime import datetime

from tiltyard.data.contract import Column, Contract, Guard, Kind
from tiltyard.data.values import TextRules, Value, convert, expected, rules_of
from tiltyard.errors import ProjectError
from tiltyard.project.coarsening import Coarsen

HASH_DIGITS = 16
LEAST_KEY = 16
"""Characters of a key of keyed hashes at least."""

Change = Callable[[object], Value]
"""From a raw value to its protected value; a `ValueError` when it cannot be read, which never holds the value."""


def guard_of(column: Column, method: Coarsen | str, key: str | None) -> Guard:
    """Return how raw values of a column are protected.

    Args:
        column: The column as reviewed.
        method: `hash` or how it is made coarser, from the project file.
        key: Key of the keyed hashes.

    Raises:
        ProjectError: The column cannot be made coarser that way, or there is no key for a hash or a short one.
    """
    plain = Guard(method="hash", kind=column.kind, time_format=column.time_format)
    if not isinstance(method, Coarsen):
        return plain.model_copy(update={"key_check": _key_check(column.name, _strong(required_key(key)))})
    unit = method.coarsen
    fits = column.kind is Kind.TIME if isinstance(unit, str) else column.kind in {Kind.NUMBER, Kind.INTEGER}
    if not fits:
        what = f"`data.protect` cannot coarsen `{column.name}` by {unit}: it is {expected(column)}"
        raise ProjectError(what, cure="Numbers take a width; times take `year`, `month` or `day`.")
    return plain.model_copy(update={"method": method})


def changes_of(contract: Contract, columns: Iterable[Column], key: str | None) -> dict[str, Change]:
    """Return how the raw values of the protected ones among some columns change, by their names.

    Args:
        contract: The contract in use.
        columns: Those of its columns that are read.
        key: Key of the keyed hashes.

    Raises:
        ProjectError: A column is hashed, and there is no key, or it is not the one that the model was trained with.
    """
    rules = rules_of(contract)
    return {column.name: _change(column, key, rules) for column in columns if column.protection is not None}


def raw_column(column: Column) -> Column:
    """Return a column as it is before its protection."""
    guard = column.protection
    if guard is None:
        return column
    raw = {"kind": guard.kind, "time_format": guard.time_format, "levels": (), "minimum": None, "maximum": None}
    return column.model_copy(update={**raw, "protection": None})


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


def _strong(key: str) -> str:
    """Refuse a key that could be found by trying; a model that was trained with one is still answered."""
    if len(key) < LEAST_KEY:
        what = f"the key of the keyed hashes has {len(key)} characters, so few that it could be found by trying"
        cure = f"Set TILTYARD_PROTECT_KEY to a random text of {LEAST_KEY} characters or more: `openssl rand -hex 32`."
        raise ProjectError(what, cure=cure)
    return key


def coarser(value: float, width: float) -> float:
    """Return the lower edge of the band of `width` that a number falls into."""
    return math.floor(value / width) * width


def _change(column: Column, key: str | None, rules: TextRules) -> Change:
    """Return how a protected column's raw values change."""
    guard = column.protection
    assert guard is not None
    if isinstance(guard.method, Coarsen):
        return _coarsening(raw_column(column), guard.method.coarsen, rules)
    known = required_key(key)
    if not hmac.compare_digest(_key_check(column.name, known), guard.key_check):
        raise ProjectError(
            f"the key of the keyed hashes is not the one that `{column.name}` was hashed with",
            cure="Set TILTYARD_PROTECT_KEY to the key that the model was trained with.",
        )
    return _hashing(raw_column(column), known, rules)


def _key_check(column: str, key: str) -> str:
    """Return what tells a wrong key from the right one: the hash of a text that is no value."""
    return keyed_hash(column, "\0", key)


def _hashing(column: Column, key: str, rules: TextRules) -> Change:
    as_category = column.model_copy(update={"kind": Kind.CATEGORY})

    def change(raw: object) -> Value:
        text = convert(as_category, convert(column, raw, rules), rules)
        return None if text is None else keyed_hash(column.name, str(text), key)

    return change


def _coarsening(column: Column, unit: float | str, rules: TextRules) -> Change:
    """Return the change for a band width or a unit of time."""

    def change(raw: object) -> Value:
        value = convert(column, raw, rules)
        if value is None:
            return None
        if isinstance(value, datetime):
            return _cut(value, str(unit))
        assert not isinstance(value, str)
        try:
            band = coarser(value, float(unit))
        except OverflowError:
            raise ValueError("it is out of range") from None
        return int(band) if column.kind is Kind.INTEGER and band.is_integer() else band

    return change


def _cut(moment: datetime, unit: str) -> datetime:
    """Return the first moment of a day, month or year."""
    start = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "day":
        return start
    return start.replace(day=1) if unit == "month" else start.replace(day=1, month=1)
