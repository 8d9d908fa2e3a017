"""What was known at a moment: a table without the rows of a later time, or of none."""

from datetime import datetime

import numpy as np
import pandas as pd

from tiltyard.data.coercion import coerce_column
from tiltyard.data.contract import Column, Contract, Kind
from tiltyard.data.protection import raw_column
from tiltyard.errors import DataError, ProjectError
from tiltyard.project.model import Project


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
