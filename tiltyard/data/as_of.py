"""What was known at a moment: a table without the rows of a later time, or of none."""

from datetime import UTC, date, datetime, time
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import BeforeValidator

from tiltyard.data.coercion import coerce_column
from tiltyard.data.contract import Column, Contract, Kind
from tiltyard.data.protection import raw_column
from tiltyard.errors import DataError, ProjectError, UsageError
from tiltyard.project.model import Project

_DAY = len("2026-01-31")


def _day_or_moment(given: object) -> object:
    """Tell a day from a moment by how it is written, which pydantic does not; nothing at all is None."""
    if not isinstance(given, str):
        return given
    text = given.strip()
    if not text:
        return None
    return datetime.fromisoformat(text) if len(text) > _DAY else date.fromisoformat(text)


AsOf = Annotated[date | datetime | None, BeforeValidator(_day_or_moment)]
"""A moment, or a day, which means its end; None for no limit."""


def read_as_of(text: str | None) -> AsOf:
    """Read a day or a moment as a person writes it.

    Raises:
        UsageError: It is neither.

    Example:
        >>> read_as_of("2026-01-31")
        datetime.date(2026, 1, 31)
    """
    try:
        return _day_or_moment(text)  # type: ignore[return-value]  # text or None in, date or None out
    except ValueError:
        cure = "Write a day like 2026-01-31, or a moment like 2026-01-31T13:45:00 or 2026-01-31T13:45:00+02:00."
        raise UsageError(f"`{text}` is not a date", cure=cure) from None


def last_moment(as_of: date | datetime) -> datetime:
    """Return the last moment that belongs to a day or moment, naive and in UTC like the times of a table.

    Example:
        >>> last_moment(date(2026, 1, 31))
        datetime.datetime(2026, 1, 31, 23, 59, 59, 999999)
    """
    if not isinstance(as_of, datetime):
        return datetime.combine(as_of, time.max)
    return as_of if as_of.tzinfo is None else as_of.astimezone(UTC).replace(tzinfo=None)


def time_column(project: Project, contract: Contract) -> Column:
    """Return the column that says when a row was known, as it is before its protection.

    Args:
        project: The project; its `data.time` names the column.
        contract: The contract in use.

    Raises:
        ProjectError: There is none, or it holds no times.
    """
    if project.data.time is None:
        raise ProjectError(
            "the project has no time column, so nobody can tell which rows were known at a date",
            cure="Name the column as `data.time` in the project file, or leave out the date.",
        )
    column = raw_column(contract.column(project.data.time))
    if column.kind is not Kind.TIME:
        raise ProjectError(
            f"`data.time: {column.name}` is a {column.kind}, which cannot be compared with a date",
            cure="Make its kind `time` in the contract (with `time_format`), or leave out the date.",
        )
    return column


def known_by(frame: pd.DataFrame, column: Column, contract: Contract, moment: datetime, *, where: str) -> pd.DataFrame:
    """Return the rows of a raw table that were known at a moment.

    Args:
        frame: Raw frame with a RangeIndex; not changed.
        column: Says when a row was known, as it is before its protection.
        contract: The contract in use; says how times and missing values are written.
        moment: The last moment that belongs to them; naive, in UTC.
        where: Name of the source, for errors.

    Returns:
        The rows, with the index that they have in `frame`, so that an error can still name file and line.

    Raises:
        DataError: A time cannot be read, or no row was known.
    """
    shown = contract.column(column.name).protection is None
    times = coerce_column(frame, column, contract, where=where, show_values=shown)
    known = (times <= np.datetime64(moment, "us")).to_numpy(dtype=bool, na_value=False)
    if not known.any():
        earliest = f"the earliest is of {times.min():%Y-%m-%d %H:%M}" if times.notna().any() else "no row has a time"
        until = f"{moment:%Y-%m-%d %H:%M} UTC"
        raise DataError(f"no row was known by {until}; {earliest}", where=where, cure="Take a later date.")
    return frame[known]
