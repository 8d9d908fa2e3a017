"""From one raw value to its typed value: the single rule that every route into the house follows.

A table's columns are typed in bulk by `tiltyard.data.coercion`, which gives exactly what this module gives value by
value. Free of pandas, so that a serving worker can load it.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

import numpy as np

from tiltyard.data.contract import Column, Contract, Kind, NumberFormat
from tiltyard.errors import DataError

Value = str | int | float | bool | datetime | None

MISSING_TEXTS = frozenset(
    {"", "NA", "N/A", "n/a", "#N/A", "<NA>", "NULL", "null", "NaN", "nan", "NaT", "None"},
)
"""Texts that mean a missing value in every table, after white space around them is gone."""

TRUE_TEXTS = frozenset({"true", "yes", "t", "y", "1", "1.0"})
FALSE_TEXTS = frozenset({"false", "no", "f", "n", "0", "0.0"})

SPACES = str.maketrans({"\u00a0": " ", "\u202f": " "})
"""Non-breaking spaces, as thousands separators, read as plain ones."""

_INT64 = 2**63
_INTEGRAL_TEXT = re.compile(r"(-?[0-9]+)\.0+")
_EXPECTED = {
    Kind.NUMBER: "a number",
    Kind.INTEGER: "an integer",
    Kind.BOOLEAN: "true or false",
    Kind.CATEGORY: "a category",
    Kind.TEXT: "a text",
    Kind.TIME: "a time",
}


@dataclass(frozen=True)
class TextRules:
    """How text is read under a contract.

    Attributes:
        missing: Texts that mean a missing value, stripped.
        pattern: Regular expression of a number; the same syntax in `re` and RE2.
        numbers: Decimal mark and thousands separator.
    """

    missing: frozenset[str]
    pattern: str
    numbers: NumberFormat

    def number(self, text: str) -> str:
        """Return a number's text in Python's own notation.

        Raises:
            ValueError: The text is no number in this format.
        """
        text = text.strip().translate(SPACES)
        if not re.fullmatch(self.pattern, text):
            raise ValueError(f"numbers are written like {self.example}")
        if self.numbers.thousands:
            text = text.replace(self.numbers.thousands, "")
        return text.replace(",", ".") if self.numbers.decimal == "," else text

    @property
    def example(self) -> str:
        """A number as this format writes it."""
        return f"1{self.numbers.thousands}234{self.numbers.decimal}5"


def number_pattern(numbers: NumberFormat) -> str:
    """Return the regular expression of a number, valid for `re` and for RE2.

    A group of thousands has three digits and the first group no leading zero, so that `0,123` is no thousands.
    """
    mark = re.escape(numbers.decimal)
    whole = "[0-9]+"
    if numbers.thousands:
        whole = f"(?:[1-9][0-9]{{0,2}}(?:{re.escape(numbers.thousands)}[0-9]{{3}})+|[0-9]+)"
    return rf"[+-]?(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]+)?"


@lru_cache(maxsize=256)
def text_rules(missing: tuple[str, ...], numbers: NumberFormat) -> TextRules:
    """Return the rules of a contract's `missing` and `numbers`."""
    texts = MISSING_TEXTS | {text.strip() for text in missing}
    return TextRules(missing=texts, pattern=number_pattern(numbers), numbers=numbers)


def rules_of(contract: Contract) -> TextRules:
    """Return the rules that a contract sets for text."""
    return text_rules(contract.missing, contract.numbers)


def typed_value(column: Column, raw: object, contract: Contract) -> Value:
    """Type one raw value by the contract.

    Nullability, ranges and levels are not looked at here: they are checks, this is reading.

    Args:
        column: The column it belongs to.
        raw: A value as CSV, Parquet, SQL or JSON delivers it; numpy and pandas scalars too.
        contract: The contract of the table.

    Returns:
        None when missing, else the Python value of the column's kind (see `Kind`).

    Raises:
        DataError: The value is not of the column's kind; names column and value.
    """
    try:
        return convert(column, raw, rules_of(contract))
    except ValueError as error:
        what = f"{show(raw)} in column `{column.name}` is not {expected(column)}"
        raise DataError(what, cure=cure_for(column, str(error))) from None


def convert(column: Column, raw: object, rules: TextRules) -> Value:
    """Type one raw value; as `typed_value`, without its words.

    Raises:
        ValueError: The value is not of the column's kind; the message says what would be, and never holds the value.
    """
    raw = plain(raw)
    if raw is None or (isinstance(raw, str) and raw.strip() in rules.missing):
        return None
    try:
        return _CONVERTERS[column.kind](raw, column, rules)
    except (OverflowError, ArithmeticError):
        raise ValueError("it is out of range") from None


def plain(raw: object) -> object:
    """Return a scalar of numpy or pandas as Python's own, and every form of missing (NaN, NaT, NA) as None."""
    if isinstance(raw, str):
        return raw
    if isinstance(raw, np.datetime64):
        raw = raw.astype("datetime64[us]").item()
    elif isinstance(raw, np.generic):
        raw = raw.item()
    if type(raw).__name__ in {"NAType", "NaTType"}:
        return None
    if isinstance(raw, float | Decimal) and math.isnan(raw):
        return None
    return str(raw) if isinstance(raw, UUID) else raw


def expected(column: Column) -> str:
    """Name what a column holds, for an error: `a number`."""
    return _EXPECTED[column.kind]


def cure_for(column: Column, hint: str) -> str:
    """Say how to mend a value that could not be read."""
    advice = f"Correct it, or change the column's `kind` ({column.kind}) in the contract"
    return f"{hint[:1].upper()}{hint[1:]}. {advice}." if hint else f"{advice}."


def show(raw: object) -> str:
    """Show a raw value in an error, shortened to 40 characters."""
    text = repr(raw) if isinstance(raw, str) else str(raw)
    text = text if len(text) <= 40 else f"{text[:39]}…"
    return text if isinstance(raw, str) else f"`{text}`"


def text_of(raw: object) -> str:
    """Return the text form of a plain value, the same from every source: `True`, `3` for 3 and 3.0, ISO 8601.

    Raises:
        ValueError: The value has no text form (bytes, lists, non-finite numbers).
    """
    if isinstance(raw, str):
        if not raw.isascii():
            _refuse_half_characters(raw)
        return raw
    if isinstance(raw, bool | int):
        return str(raw)
    if isinstance(raw, float | Decimal):
        number = _finite(float(raw))
        return str(int(number)) if number.is_integer() else repr(number)
    if isinstance(raw, datetime):
        return _utc(raw).isoformat(sep=" ")
    if isinstance(raw, date):
        return raw.isoformat()
    raise ValueError("text, a number, a boolean or a time is expected")


def _refuse_half_characters(text: str) -> None:
    """Refuse lone surrogates, which JSON can carry and no encoding can write."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it holds half of a character") from None


def _number(raw: object, _column: Column, rules: TextRules) -> float:
    if isinstance(raw, str):
        return _finite(float(rules.number(raw)))
    if isinstance(raw, int | float | Decimal) and not isinstance(raw, bool):
        return _finite(float(raw))
    raise ValueError("a number is expected")


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise ValueError("it is not finite")
    return number


def _integer(raw: object, _column: Column, rules: TextRules) -> int:
    if isinstance(raw, str):
        text = rules.number(raw)
        raw = Decimal(text)
    if isinstance(raw, bool) or not isinstance(raw, int | float | Decimal):
        raise ValueError("an integer is expected")
    if abs(_finite(float(raw))) > _INT64:
        raise ValueError("it does not fit into 64 bits")
    number = int(raw)
    if number != raw:
        raise ValueError("it has decimals")
    if not -_INT64 <= number < _INT64:
        raise ValueError("it does not fit into 64 bits")
    return number


def _boolean(raw: object, _column: Column, _rules: TextRules) -> bool:
    if isinstance(raw, str):
        text = raw.strip().lower()
        if text in TRUE_TEXTS or text in FALSE_TEXTS:
            return text in TRUE_TEXTS
    elif isinstance(raw, bool | int | float | Decimal) and raw in (0, 1):
        return bool(raw)
    raise ValueError("true/false, yes/no, t/f, y/n or 1/0 is expected")


def _category(raw: object, _column: Column, _rules: TextRules) -> str:
    text = text_of(raw).strip()
    integral = _INTEGRAL_TEXT.fullmatch(text)  # a column of 3.0 is written "3.0" in CSV and is 3.0 in Parquet
    return integral[1] if integral else text


def _text(raw: object, _column: Column, _rules: TextRules) -> str:
    return text_of(raw)


def _time(raw: object, column: Column, _rules: TextRules) -> datetime:
    if isinstance(raw, str):
        return _time_of_text(raw.strip(), column.time_format)
    if isinstance(raw, datetime):
        return _utc(raw)
    if isinstance(raw, date):
        return datetime(raw.year, raw.month, raw.day)  # noqa: DTZ001  # typed times are naive UTC
    raise ValueError("a time as ISO 8601 text is expected")


def _time_of_text(text: str, time_format: str) -> datetime:
    try:
        if time_format:
            return _utc(datetime.strptime(text, time_format))  # noqa: DTZ007  # naive means UTC here
        return _utc(datetime.fromisoformat(text))
    except ValueError:
        form = f"the form `{time_format}`" if time_format else "ISO 8601, like 2026-01-31 or 2026-01-31T13:45:00"
        raise ValueError(f"times are written in {form}") from None


def _utc(moment: datetime) -> datetime:
    """Return a moment as a naive `datetime` in UTC; what is naive already is taken as UTC."""
    to_python = getattr(moment, "to_pydatetime", None)  # pandas' own carries nanoseconds
    if to_python is not None:
        moment = to_python(warn=False)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


_CONVERTERS: dict[Kind, Callable[[object, Column, TextRules], Value]] = {
    Kind.NUMBER: _number,
    Kind.INTEGER: _integer,
    Kind.BOOLEAN: _boolean,
    Kind.CATEGORY: _category,
    Kind.TEXT: _text,
    Kind.TIME: _time,
}
