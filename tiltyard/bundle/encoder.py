"""The encoder: typed columns → one float32 matrix, the only input any model of the house ever sees.

It is a pure function of the contract (nothing is fitted), runs on numpy alone, and is the same code in training and
in serving. Everything is computed in double and cast to float32 once, at the end; models are fitted on exactly those
float32 values, so that graph and fitted model agree.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.data.contract import Column, Contract, Kind
from tiltyard.project.section import Section

TEXT_BUCKETS = 16
UNKNOWN_LEVEL = -1.0
LARGEST = 1e30
"""Numbers are clipped to ±1e30, well inside float32, so that no finite input becomes infinite."""

_HOUR = 3_600_000_000
_DAY = 24 * _HOUR
"""Microseconds."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # typed times are naive UTC
_DAY_2000 = 10_957
"""Days from 1970, where numpy counts from, to 2000."""

_MONDAY = 3
"""Weekday of 1970-01-01, a Thursday."""

_TIME_PARTS = ("day", "hour", "weekday", "month_day", "month")
_TOKEN = re.compile(r"\w+")


@dataclass(frozen=True)
class Feature:
    """One column of the matrix.

    Attributes:
        name: Readable name, `column` or `column.part`.
        column: Column of the table it comes from.
        levels: Number of levels when the values are codes 0…levels-1 (-1 unknown, NaN missing); 0 for numbers.
    """

    name: str
    column: str
    levels: int = 0


class ColumnEncoding(Section):
    """How one column becomes columns of the matrix.

    Attributes:
        column: Name in the table.
        kind: Kind in the contract.
        levels: Levels of a category, in the order of their codes.
    """

    column: str
    kind: Kind
    levels: tuple[str, ...] = ()

    def features(self) -> tuple[Feature, ...]:
        """Return the columns of the matrix that this column becomes."""
        if self.kind is Kind.CATEGORY:
            return (Feature(self.column, self.column, max(len(self.levels), 1)),)
        if self.kind is Kind.TIME:
            return tuple(Feature(f"{self.column}.{part}", self.column) for part in _TIME_PARTS)
        if self.kind is Kind.TEXT:
            names = ["length", *(f"token{bucket}" for bucket in range(TEXT_BUCKETS))]
            return tuple(Feature(f"{self.column}.{name}", self.column) for name in names)
        return (Feature(self.column, self.column),)

    def encode(self, values: NDArray[Any], matrix: NDArray[np.float64]) -> None:
        """Encode one column.

        Args:
            values: Shape (n,); float64 with NaN, object of `str | None`, or datetime64[us] with NaT, by kind.
            matrix: float64, shape (n, number of features); written to.
        """
        if self.kind is Kind.CATEGORY:
            codes = self._codes
            matrix[:, 0] = [codes.get(value, UNKNOWN_LEVEL) for value in values.tolist()]
        elif self.kind is Kind.TIME:
            matrix[:] = _time_parts(values)
        elif self.kind is Kind.TEXT:
            for row, text in enumerate(values):
                matrix[row] = text_numbers(text)
        else:
            matrix[:, 0] = values

    @cached_property
    def _codes(self) -> dict[object, float]:
        codes: dict[object, float] = {level: float(code) for code, level in enumerate(self.levels)}
        codes[None] = np.nan
        return codes


class Encoder(Section):
    """Columns → float32 matrix; written to `encoder.json` in the bundle.

    Attributes:
        columns: The features of the contract, in order.
    """

    columns: tuple[ColumnEncoding, ...]

    @classmethod
    def of(cls, contract: Contract) -> "Encoder":
        """Return the encoder of a contract."""
        return cls(columns=tuple(_encoding(column) for column in contract.features))

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The columns of the matrix, in order."""
        return tuple(feature for column in self.columns for feature in column.features())

    def encode(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Encode a typed table.

        Args:
            columns: One array of length n per feature column (see `tiltyard.bundle.model.Columns`).

        Returns:
            float32, shape (n, number of features), C-contiguous; NaN for missing.
        """
        rows = len(columns[self.columns[0].column])
        matrix = np.empty((rows, len(self.features)), dtype=np.float64)
        for encoding, place in zip(self.columns, self.places, strict=True):
            encoding.encode(columns[encoding.column], matrix[:, place])
        return self.single(matrix)

    def single(self, matrix: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return a matrix as models take it: clipped, which is done in place, and float32."""
        np.minimum(matrix, LARGEST, out=matrix)
        np.maximum(matrix, -LARGEST, out=matrix)
        return matrix.astype(np.float32)

    @cached_property
    def places(self) -> tuple[slice, ...]:
        """Where in the matrix each column goes."""
        ends = list(accumulate(len(column.features()) for column in self.columns))
        return tuple(slice(start, end) for start, end in pairwise([0, *ends]))


def _encoding(column: Column) -> ColumnEncoding:
    return ColumnEncoding(column=column.name, kind=column.kind, levels=column.levels)


def _time_parts(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return days since 2000, hour, weekday (Monday 0), day of month and month, as doubles with NaN for NaT."""
    times = values.astype("datetime64[us]")
    day, instant = np.divmod(times.view(np.int64), _DAY)
    month = times.astype("datetime64[M]")
    parts = np.empty((len(times), len(_TIME_PARTS)))
    parts[:, 0] = day - _DAY_2000 + instant / _DAY
    parts[:, 1] = instant / _HOUR
    parts[:, 2] = (day + _MONDAY) % 7
    parts[:, 3] = day - month.astype("datetime64[D]").view(np.int64) + 1
    parts[:, 4] = month.view(np.int64) % 12 + 1
    parts[np.isnat(times)] = np.nan
    return parts


def time_numbers(moment: datetime | None) -> list[float]:
    """Return what one time becomes in the matrix, to the last bit as `ColumnEncoding.encode` has it."""
    if moment is None:
        return [np.nan] * len(_TIME_PARTS)
    since = moment - _EPOCH
    instant = since.seconds * 1_000_000 + since.microseconds
    days = since.days - _DAY_2000 + instant / _DAY
    return [days, instant / _HOUR, float((since.days + _MONDAY) % 7), float(moment.day), float(moment.month)]


def text_numbers(text: str | None) -> list[float]:
    """Return the length and the hashed word counts of a text (the hashing trick, Weinberger et al. 2009)."""
    if text is None:
        return [np.nan] * (TEXT_BUCKETS + 1)
    counts = [0.0] * TEXT_BUCKETS
    for token in _TOKEN.findall(text.lower()):
        counts[zlib.crc32(token.encode()) % TEXT_BUCKETS] += 1.0
    return [float(len(text)), *counts]
