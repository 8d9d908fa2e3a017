"""The simulated clock: windows of equal length, one after the other."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

from tiltyard.errors import UsageError

MOST_WINDOWS = 5_000


class Window(NamedTuple):
    """A stretch of time in which rows were answered; at its end the clock stands still for a look at them.

    Attributes:
        number: Its place, from 0.
        start: Its first moment, UTC.
        end: The moment after its last, UTC.
    """

    number: int
    start: datetime
    end: datetime


def windows_between(start: datetime, end: datetime, span: timedelta) -> Iterator[Window]:
    """Yield windows of equal length that cover a time, the last as long as the others.

    Args:
        start: First moment, UTC.
        end: Last moment that must be covered, UTC.
        span: Length of a window, above zero.

    Raises:
        UsageError: There would be thousands of windows.

    Example:
        >>> monday = datetime(2026, 1, 5, tzinfo=UTC)
        >>> [window.end.day for window in windows_between(monday, monday + timedelta(days=8), timedelta(days=7))]
        [12, 19]
    """
    count = int((end - start) / span) + 1
    if count > MOST_WINDOWS:
        raise UsageError(
            f"the history from {start:%Y-%m-%d} to {end:%Y-%m-%d} has {count:,} windows of {span}",
            cure="Take longer windows, such as --window 7d.",
        )
    for number in range(count):
        yield Window(number, start + number * span, start + (number + 1) * span)


def stamp(moment: datetime) -> np.datetime64:
    """Return a moment as tables hold it: naive, in UTC, in microseconds.

    Example:
        >>> stamp(datetime(2026, 1, 5, tzinfo=UTC))
        np.datetime64('2026-01-05T00:00:00.000000')
    """
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def moment(time: np.datetime64) -> datetime:
    """Return a time of a table as a moment in UTC; the reverse of `stamp`."""
    found: datetime = time.astype("datetime64[us]").item()
    return found.replace(tzinfo=UTC)
