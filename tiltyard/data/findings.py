"""What a check of a table has to say: one finding, one sentence, one cure."""

import itertools
from collections.abc import Iterable
from typing import Literal

from tiltyard.project.section import Section

Gravity = Literal["error", "warning", "note"]

_LONGEST = 40


class Finding(Section):
    """One thing that a check noticed about a table.

    Attributes:
        code: Name of the check, such as `leakage` or `constant_target`.
        level: `error` stops a strict run, `warning` deserves a look, `note` is for information.
        blocking: Whether no honest model is possible; such an error stops a lax run too.
        column: Column it concerns; empty when it concerns the whole table.
        count: Rows (or columns, or classes) concerned.
        examples: A few values or row numbers, as text.
        sentence: What was found, with the figures.
        cure: What to do about it.
    """

    code: str
    level: Gravity
    blocking: bool = False
    column: str = ""
    count: int = 0
    examples: tuple[str, ...] = ()
    sentence: str
    cure: str = ""


def counted(count: int, noun: str, plural: str = "") -> str:
    """Write a count with its noun.

    Example:
        >>> counted(1, "row"), counted(12345, "row"), counted(2, "copy", "copies")
        ('1 row', '12,345 rows', '2 copies')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def shown(values: Iterable[object], limit: int = 3) -> tuple[str, ...]:
    """Write the first few values as short texts, quoted like code.

    Example:
        >>> shown([1.0, "basic", 2.5, 4])
        ('`1`', '`basic`', '`2.5`')
    """
    return tuple(f"`{_text(value)}`" for value in itertools.islice(values, limit))


def row_names(rows: Iterable[int], limit: int = 3) -> tuple[str, ...]:
    """Name the first few rows; the first row of a table is row 1.

    Args:
        rows: Row numbers from 0.
        limit: How many to name.

    Example:
        >>> row_names([0, 4])
        ('row 1', 'row 5')
    """
    return tuple(f"row {row + 1}" for row in itertools.islice(rows, limit))


def _text(value: object) -> str:
    """Write a value shortly: whole numbers without a point, long texts cut."""
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
