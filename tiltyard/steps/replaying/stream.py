"""A history as a stream: rows in the order of their time, each with a label that comes later."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.data.as_of import time_column
from tiltyard.data.coercion import feature_columns, target_array
from tiltyard.data.contract import Contract
from tiltyard.errors import DataError, UsageError
from tiltyard.evaluation.terms import Labels
from tiltyard.project.model import Project
from tiltyard.steps.replaying.clock import moment, stamp

FEWEST_FIRST = 100
"""Rows without which no first champion is trained."""

Range = tuple[int, int]
"""Rows of the stream, from the first to before the second."""


@dataclass(frozen=True, eq=False)
class Stream:
    """A history of n rows.

    Attributes:
        frame: Typed, in the order of time, RangeIndex.
        times: When each row became known and was to be answered, datetime64[us], shape (n,), ascending.
        y: What was true: class codes (int64) or values (float64), shape (n,).
        columns: Features as arrays of length n.
        project: The project.
        contract: The contract in use.
        first: How many rows the first champion is trained on; all their labels are known at the start.
        delay: How long after its row a label comes.
    """

    frame: pd.DataFrame
    times: NDArray[np.datetime64]
    y: Labels
    columns: dict[str, NDArray[np.generic]]
    project: Project
    contract: Contract
    first: int
    delay: timedelta

    @property
    def start(self) -> datetime:
        """When the first champion starts to answer."""
        return moment(self.times[self.first])

    @property
    def end(self) -> datetime:
        """Time of the last row."""
        return moment(self.times[-1])

    def between(self, start: datetime, end: datetime) -> Range:
        """Return the rows of a stretch of time, its end not included."""
        low, high = np.searchsorted(self.times, np.array([stamp(start), stamp(end)]), side="left")
        return int(low), int(high)

    def known(self, now: datetime) -> Range:
        """Return the rows whose labels have come."""
        return 0, max(self.first, self.between(now, now - self.delay)[1])

    def take(self, rows: Range) -> dict[str, NDArray[np.generic]]:
        """Return the features of some rows as arrays."""
        return {name: values[slice(*rows)] for name, values in self.columns.items()}


def make_stream(
    frame: pd.DataFrame, project: Project, contract: Contract, *, first: float, delay: timedelta, where: str
) -> Stream:
    """Put a table in the order of its time.

    Args:
        frame: Typed table; rows without a time or a target are left out.
        project: The project; its `data.time` names the time column.
        contract: The contract in use.
        first: Share of the rows that the first champion is trained on, above 0 and below 1. Rows of one time stay
            together.
        delay: How long after its row a label comes.
        where: Name of the table, for errors.

    Raises:
        ProjectError: There is no time column, or it holds no times.
        UsageError: The share is none.
        DataError: There are too few rows to begin with, or none afterwards.
    """
    if not 0 < first < 1:
        raise UsageError(f"{first:g} is no share of the rows to begin with", cure="Give one such as --first 0.2.")
    name = time_column(project, contract).name
    usable = frame[name].notna() & frame[contract.target.name].notna()
    frame = frame[usable.to_numpy()].sort_values(name, kind="stable", ignore_index=True)
    times = frame[name].to_numpy(dtype="datetime64[us]")
    place = min(int(first * len(frame)), len(frame) - 1)
    begin = int(np.searchsorted(times, times[place], side="left")) if len(frame) else 0
    if begin < FEWEST_FIRST:
        raise DataError(
            f"the first champion would be trained on {begin} rows; {FEWEST_FIRST} are needed",
            where=where,
            cure="Give more rows, or a larger share of them to begin with (--first).",
        )
    return Stream(
        frame=frame,
        times=times,
        y=target_array(frame, contract),
        columns=feature_columns(frame, contract),
        project=project,
        contract=contract,
        first=begin,
        delay=delay,
    )
