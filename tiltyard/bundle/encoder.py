"""The encoder: typed columns → one float32 matrix, the only input any model of the house ever sees.

It is a pure function of the contract (nothing is fitted), runs on numpy alone, and is the same code in training and
in serving. Everything is computed in double and cast to float32 once, at the end; models are fitted on exactly those
float32 values, so that graph and fitted model agree.
"""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.data.contract import Column, Contract, Kind
from tiltyard.project.model import Section

TEXT_BUCKETS = 16
UNKNOWN_LEVEL = -1.0
LARGEST = 1e30
"""Numbers are clipped to ±1e30, well inside float32, so that no finite input becomes infinite."""

_ORIGIN = np.datetime64("2000-01-01T00:00:00", "us")
_DAY = np.timedelta64(1, "D") / np.timedelta64(1, "us")
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

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Encode one column.

        Args:
            values: Shape (n,); float64 with NaN, object of `str | None`, or datetime64[us] with NaT, by kind.

        Returns:
            float64, shape (n, number of features).
        """
        if self.kind is Kind.CATEGORY:
            codes: dict[object, float] = {level: float(code) for code, level in enumerate(self.levels)}
            codes[None] = np.nan
            return np.array([codes.get(value, UNKNOWN_LEVEL) for value in values], dtype=np.float64).reshape(-1, 1)
        if self.kind is Kind.TIME:
            return _time_parts(values)
        if self.kind is Kind.TEXT:
            return np.array([_text_numbers(value) for value in values], dtype=np.float64).reshape(-1, TEXT_BUCKETS + 1)
        return np.clip(np.asarray(values, dtype=np.float64), -LARGEST, LARGEST).reshape(-1, 1)


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

    @property
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
        blocks = [encoding.encode(columns[encoding.column]) for encoding in self.columns]
        return np.ascontiguousarray(np.concatenate(blocks, axis=1), dtype=np.float32)


def _encoding(column: Column) -> ColumnEncoding:
    return ColumnEncoding(column=column.name, kind=column.kind, levels=column.levels)


def _time_parts(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return days since 2000, hour, weekday (Monday 0), day of month and month, as doubles with NaN for NaT."""
    times = values.astype("datetime64[us]")
    days = (times - _ORIGIN) / np.timedelta64(1, "us") / _DAY
    date = times.astype("datetime64[D]")
    month = times.astype("datetime64[M]")
    missing = np.isnat(times)
    parts = np.column_stack(
        [
            days,
            (days - np.floor(days)) * 24.0,
            np.where(missing, 0, (date.astype(np.int64) + 3) % 7),
            np.where(missing, 0, (date - month.astype("datetime64[D]")).astype(np.int64) + 1),
            np.where(missing, 0, month.astype(np.int64) % 12 + 1),
        ]
    ).astype(np.float64)
    parts[missing] = np.nan
    return parts


def _text_numbers(text: str | None) -> list[float]:
    """Return the length and the hashed word counts of a text (the hashing trick, Weinberger et al. 2009)."""
    if text is None:
        return [np.nan] * (TEXT_BUCKETS + 1)
    counts = [0.0] * TEXT_BUCKETS
    for token in _TOKEN.findall(text.lower()):
        counts[zlib.crc32(token.encode()) % TEXT_BUCKETS] += 1.0
    return [float(len(text)), *counts]
