"""What kind a column is, guessed from its raw values."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa

from tiltyard.data.coercion import arrow_column
from tiltyard.data.contract import Kind, NumberFormat
from tiltyard.data.number_format import MANY, is_code, is_number
from tiltyard.data.values import plain, text_of
from tiltyard.errors import DataError

SAMPLE_ROWS = 20_000
MOST_LEVELS = 1000
_FEW = MANY
_BOOLEANS = (frozenset({"true", "false"}), frozenset({"yes", "no"}), frozenset({"t", "f"}), frozenset({"y", "n"}))
_DATES = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y/%m/%d", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%d/%m/%y")
TIME_FORMATS = tuple(f"{day}{clock}" for day in _DATES for clock in ("", " %H:%M", " %H:%M:%S"))
SYMBOLS = frozenset({"?", "-", "--", "---", ".", "*", "\\N", "(null)", "#VALUE!", "#DIV/0!"})
"""Signs that stand for a missing number, whatever the column."""
WORDS = frozenset({"unknown", "missing", "none", "nil", "n.a.", "nd", "not available", "undefined"})
"""Words that stand for a missing number where a column holds many different numbers; compared in lower case."""
ALWAYS_MISSING = frozenset({"?", "\\N", "(null)"})
"""Signs that stand for a missing value in any column of texts."""


@dataclass(frozen=True)
class KindGuess:
    """The guessed kind of a column, and why.

    Attributes:
        kind: The kind.
        why: Reason, as part of a sentence.
        time_format: Form of a time, ISO 8601 when empty.
        empty: Whether every value is missing.
    """

    kind: Kind
    why: str
    time_format: str = ""
    empty: bool = False


def sample_texts(frame: pd.DataFrame) -> dict[str, Counter[str]]:
    """Return the stripped texts of every text column with their counts, from at most 20,000 rows evenly spaced."""
    step = max(1, -(-len(frame) // SAMPLE_ROWS))
    sample = frame.iloc[::step]
    texts: dict[str, Counter[str]] = {}
    for name in frame.columns:
        array = arrow_column(sample[name])
        if array is not None and (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
            counts = sample[name].value_counts()
            texts[str(name)] = _stripped(counts.index, counts.to_numpy())
        elif array is None and not _is_uniform(sample[name]):
            texts[str(name)] = _stripped([_as_text(value, str(name)) for value in sample[name]], None)
    return texts


def missing_markers(texts: Mapping[str, Counter[str]], numbers: NumberFormat, known: frozenset[str]) -> dict[str, str]:
    """Find texts that stand for a missing value beside the known ones.

    Returns:
        Marker → the column that shows it.
    """
    found: dict[str, str] = {}
    for name, counts in texts.items():
        values = [text for text in counts if text not in known]
        strays = [text for text in values if not is_number(text, numbers)]
        amounts = len(values) - len(strays)
        for text in strays:
            alone = len(strays) == 1 and amounts >= 2 and not any(is_code(value) for value in values)
            marks = text in SYMBOLS or (text.lower() in WORDS and amounts >= _FEW)
            if text in ALWAYS_MISSING or (alone and marks):
                found.setdefault(text, name)
    return found


def guess_texts(counts: Mapping[str, int], numbers: NumberFormat) -> KindGuess:
    """Guess the kind of a column of texts.

    Args:
        counts: Distinct stripped texts, missing ones left out, with their counts.
        numbers: Number format of the table.
    """
    values = list(counts)
    if not values:
        return KindGuess(Kind.TEXT, "every value is missing", empty=True)
    lower = {value.lower() for value in values}
    if lower <= _BOOLEANS[0] or lower in _BOOLEANS:
        return KindGuess(Kind.BOOLEAN, f"its values are {' and '.join(sorted(lower))}")
    strays = [value for value in values if not is_number(value, numbers)]
    if not any(is_code(value) for value in values) and _are_numbers(counts, strays):
        return _guess_numbers([value for value in values if is_number(value, numbers)], numbers)
    time_format = _time_format(values)
    if time_format is not None:
        return _guess_times(values, time_format)
    return _guess_words(counts)


def guess_typed(series: "pd.Series[Any]", name: str) -> KindGuess:
    """Guess the kind of a column that is no text.

    Raises:
        DataError: Its type cannot be used (lists, bytes, durations).
    """
    array = arrow_column(series)
    kind = _kind_of_objects(series) if array is None else _kind_of_type(array.type)
    if array is not None and array.null_count == len(array):
        return KindGuess(kind or Kind.TEXT, "every value is missing", empty=True)
    if kind is None:
        what = f"column `{name}` holds values of type {getattr(array, 'type', 'object')}, which no model can use"
        raise DataError(what, cure="Leave the column out of the source.")
    return KindGuess(kind, "the source says so")


def _stripped(values: Any, counts: Any) -> Counter[str]:
    texts: Counter[str] = Counter()
    for position, value in enumerate(values):
        if value is not None:
            texts[str(value).strip()] += 1 if counts is None else int(counts[position])
    return texts


def _as_text(value: object, name: str) -> str | None:
    value = plain(value)
    try:
        return None if value is None else text_of(value)
    except ValueError:
        what = f"column `{name}` holds a {type(value).__name__}, which no model can use"
        raise DataError(what, cure="Leave the column out of the source.") from None


def _is_uniform(series: "pd.Series[Any]") -> bool:
    return _kind_of_objects(series) is not None


def _kind_of_objects(series: "pd.Series[Any]") -> Kind | None:
    """Return the kind of Python objects that Arrow has no one type for: times with zones, numbers of all sorts."""
    values = [value for value in map(plain, series) if value is not None]
    if values and all(isinstance(value, date | datetime) for value in values):
        return Kind.TIME
    numbers = all(isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in values)
    return Kind.NUMBER if values and numbers else None


def _kind_of_type(kind: Any) -> Kind | None:
    """Return the kind of an Arrow type other than text."""
    if pa.types.is_boolean(kind):
        return Kind.BOOLEAN
    if pa.types.is_integer(kind):
        return Kind.INTEGER
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return Kind.NUMBER
    return Kind.TIME if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else None


def _are_numbers(counts: Mapping[str, int], strays: Sequence[str]) -> bool:
    """Whether a column holds numbers, a few stray texts among very many aside: those are to be named, not hidden."""
    if not strays:
        return True
    share = sum(counts[value] for value in strays) / sum(counts.values())
    return len(counts) - len(strays) >= _FEW and share <= 0.05


def _guess_numbers(values: Sequence[str], numbers: NumberFormat) -> KindGuess:
    if any(numbers.decimal in value or "e" in value.lower() for value in values):
        return KindGuess(Kind.NUMBER, "its values are numbers, some with decimals")
    return KindGuess(Kind.INTEGER, "its values are whole numbers")


def _time_format(values: Sequence[str]) -> str | None:
    """Return the form in which all values are times, ISO 8601 as the empty text; None when there is none."""
    if not all(any(character.isdigit() for character in value) for value in values[:100]):
        return None
    candidates = ("", *TIME_FORMATS)
    for value in values:
        candidates = tuple(form for form in candidates if _is_time(value, form))
        if not candidates:
            return None
    return candidates[0]


def _is_time(value: str, form: str) -> bool:
    try:
        if form:
            datetime.strptime(value, form)  # noqa: DTZ007  # only asked whether it is a time
        else:
            datetime.fromisoformat(value)
    except ValueError:
        return False
    return bool(form) or "-" in value or ":" in value


def _guess_times(values: Sequence[str], form: str) -> KindGuess:
    if not form:
        return KindGuess(Kind.TIME, "its values are times in ISO 8601")
    other = form.replace("%d/%m", "%m/%d")
    why = f"its values are times written like {form}"
    if other != form and all(_is_time(value, other) for value in values):
        why += f"; {other} fits as well, so look at it and correct `time_format` if need be"
    return KindGuess(Kind.TIME, why, time_format=form)


def _guess_words(counts: Mapping[str, int]) -> KindGuess:
    """Tell categories from texts by how often values come again, and by their length in words."""
    distinct, rows = len(counts), sum(counts.values())
    words = sum(len(re.findall(r"\S+", value)) for value in counts) / distinct
    rare = distinct > _FEW and distinct > rows / 2
    if rare or distinct > MOST_LEVELS or (words > 5 and distinct > 50):
        return KindGuess(Kind.TEXT, f"it has {distinct} different texts in {rows} rows")
    return KindGuess(Kind.CATEGORY, f"it has {distinct} different values in {rows} rows")
