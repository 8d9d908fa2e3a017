"""How the numbers of a table are written as text: decimal mark and thousands separator, or a refusal.

All text columns decide together, because one column alone is often ambiguous: `1,234` may be 1234 or 1.234.
"""

import re
from collections.abc import Mapping, Sequence

from tiltyard.data.contract import NumberFormat
from tiltyard.data.values import SPACES, TextRules, number_pattern, show
from tiltyard.errors import DataError

PLAIN = NumberFormat()
FORMATS = (
    PLAIN,
    NumberFormat(decimal=","),
    NumberFormat(decimal=".", thousands=","),
    NumberFormat(decimal=",", thousands="."),
    NumberFormat(decimal=".", thousands=" "),
    NumberFormat(decimal=",", thousands=" "),
    NumberFormat(decimal=".", thousands="'"),
    NumberFormat(decimal=",", thousands="'"),
)
_PATTERNS = {numbers.decimal + numbers.thousands: re.compile(number_pattern(numbers)) for numbers in FORMATS}
_CODE = re.compile(r"[+-]?0[0-9]+")
MANY = 20
"""So many different values are measurements, not levels."""
_LONGEST = 18
"""Digits of an integer that surely fit into 64 bits; longer ones are identifiers."""


def is_number(text: str, numbers: NumberFormat) -> bool:
    """Whether a stripped text is a number in a format."""
    if not text.isascii():
        text = text.translate(SPACES)
    return _PATTERNS[numbers.decimal + numbers.thousands].fullmatch(text) is not None


def is_code(text: str) -> bool:
    """Whether digits are a code and no number: they begin with a zero, or are longer than a number would be."""
    return _CODE.fullmatch(text) is not None or (text.isdecimal() and len(text) > _LONGEST)


def number_format(columns: Mapping[str, Sequence[str]], *, comma_delimited: bool, where: str) -> NumberFormat:
    """Choose the number format of a table.

    Args:
        columns: Distinct stripped texts of each text column, missing ones left out.
        comma_delimited: Whether the file's delimiter is the comma; a decimal comma is then out of the question where
            another reading is possible.
        where: Name of the source, for errors.

    Returns:
        The format in which most columns are numbers; the plain one when no column speaks against it.

    Raises:
        DataError: Two formats fit and read the same text as different numbers; or a column of many numbers is
            written in another format than the rest.
    """
    odd = [name for name, texts in columns.items() if not _fits(texts, PLAIN) and _formats_of(texts)]
    if not odd:
        return PLAIN
    fitting = {name: _formats_of(texts) for name, texts in columns.items()}
    covered = {numbers: sum(numbers in formats for formats in fitting.values()) for numbers in FORMATS}
    most = max(covered.values())
    best = [numbers for numbers in FORMATS if covered[numbers] == most]
    if comma_delimited and any(numbers.decimal == "." for numbers in best):
        best = [numbers for numbers in best if numbers.decimal == "."]
    for name in odd:
        for text in columns[name]:
            _refuse_two_readings(name, text, [numbers for numbers in best if numbers in fitting[name]], where)
        _refuse_left_out(name, columns[name], best[0] in fitting[name], where)
    return best[0]


def _fits(texts: Sequence[str], numbers: NumberFormat) -> bool:
    return all(is_number(text, numbers) for text in texts)


def _formats_of(texts: Sequence[str]) -> frozenset[NumberFormat]:
    """Return the formats in which every text of a column is a number; none for codes."""
    if not texts or any(is_code(text) for text in texts):
        return frozenset()
    formats = frozenset(FORMATS)
    for text in texts:
        formats = frozenset(numbers for numbers in formats if is_number(text, numbers))
        if not formats:
            break
    return formats


def _refuse_left_out(name: str, texts: Sequence[str], covered: bool, where: str) -> None:
    """Refuse a column of many numbers that the chosen format cannot read: it would pass for a category."""
    if not covered and len(texts) >= MANY:
        raise DataError(
            f"the numbers of column `{name}` ({show(texts[0])}) are written otherwise than those of other columns",
            where=where,
            cure="Write all numbers of the table alike, or set `decimal` and `thousands` of the source.",
        )


def _refuse_two_readings(name: str, text: str, formats: Sequence[NumberFormat], where: str) -> None:
    """Refuse a text that two formats read as different numbers."""
    readings = {float(TextRules(frozenset(), number_pattern(numbers), numbers).number(text)) for numbers in formats}
    if len(readings) > 1:
        low, high = min(readings), max(readings)
        raise DataError(
            f"{show(text)} in column `{name}` may be {low:g} or {high:.15g}, and no other value tells which",
            where=where,
            cure="Set `decimal` and `thousands` of the source.",
        )
