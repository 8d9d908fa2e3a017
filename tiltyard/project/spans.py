"""Stretches of time as they are written in the project file and on the command line: `7d`, `24h`, `2w`."""

import re
from datetime import timedelta

_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_MEANING = "a number and `m` (minutes), `h` (hours), `d` (days) or `w` (weeks), such as `7d`"
_LONGEST = timedelta(days=3660)


def parse_span(text: str) -> timedelta:
    """Return a stretch of time.

    Args:
        text: A number and its unit: `m` minutes, `h` hours, `d` days, `w` weeks.

    Raises:
        ValueError: It is none, is not above zero, or is longer than ten years.

    Example:
        >>> parse_span("36h")
        datetime.timedelta(days=1, seconds=43200)
    """
    found = re.fullmatch(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([mhdw])\s*", text)
    if found is None:
        raise ValueError(f"`{text}` is no stretch of time; write {_MEANING}")
    number, unit = float(found[1]), _UNITS[found[2]]
    if number * (unit / _LONGEST) > 1:
        raise ValueError(f"`{text}` is longer than ten years")
    span = number * unit
    if not span:
        raise ValueError(f"`{text}` is no time at all; write {_MEANING}")
    return span
