"""What drift is looked for in: sampled rows of a reference or of a window, and counts over all of its rows.

Columns are named as in the prediction log: `feature_<name>`, `probability_<class>` and `prediction`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.data.contract import Kind
from tiltyard.errors import DataError

PREDICTION = "prediction"
PROBABILITY = "probability_"
FEATURE = "feature_"

NUMERIC = frozenset({Kind.NUMBER, Kind.INTEGER})
"""Kinds whose values have a place, a spread, and correlations."""

LEVELLED = frozenset({Kind.BOOLEAN, Kind.CATEGORY})
"""Kinds whose values are counted by level."""


@dataclass(frozen=True, eq=False)
class ColumnSample:
    """One column of a sample.

    Attributes:
        kind: What its values are.
        values: Those of the sampled rows, shape (sampled,): float64 with NaN for numbers, integers and booleans;
            object of `str | None` for categories and texts; datetime64[us] with NaT for times.
        missing: Missing values, over all rows.
        new: Values that are no level of the contract, over all rows; 0 where the kind has no levels.
        outside: Values outside the contract's range, over all rows; 0 where the kind has no range.
    """

    kind: Kind
    values: NDArray[Any]
    missing: int = 0
    new: int = 0
    outside: int = 0


@dataclass(frozen=True, eq=False)
class Sample:
    """A reference or a window.

    Attributes:
        rows: Rows it stands for; the counts of the columns are over these.
        sampled: Rows whose values are kept; the same rows in the same order in every column.
        columns: By name, in the order of the contract, answers last.
    """

    rows: int
    sampled: int
    columns: Mapping[str, ColumnSample] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, column in self.columns.items():
            if column.values.shape != (self.sampled,):
                what = f"`{name}` has values of shape {column.values.shape}; the sample has {self.sampled} rows"
                raise DataError(what, cure="give every column the same sampled rows")
            if max(column.missing, column.new, column.outside) > self.rows:
                raise DataError(f"`{name}` counts more values than there are rows ({self.rows})")


def is_answer(column: str) -> bool:
    """Return whether a column is what the model answered, not what it was asked.

    Example:
        >>> is_answer("prediction"), is_answer("probability_yes"), is_answer("feature_prediction")
        (True, True, False)
    """
    return column == PREDICTION or column.startswith(PROBABILITY)


def spoken(column: str) -> str:
    """Return how a sentence names a column.

    Example:
        >>> spoken("feature_age"), spoken("probability_yes"), spoken("prediction")
        ('`age`', 'the probability of `yes`', 'the prediction')
    """
    if column == PREDICTION:
        return "the prediction"
    if column.startswith(PROBABILITY):
        return f"the probability of `{column.removeprefix(PROBABILITY)}`"
    return f"`{column.removeprefix(FEATURE)}`"


def pool(samples: Sequence[Sample]) -> Sample:
    """Return several samples as one; columns that are not in all of them are left out.

    Every sampled row weighs the same, so samples of much different shares of their rows lean to the fuller ones.

    Args:
        samples: At least one, oldest first.
    """
    if len(samples) == 1:
        return samples[0]
    newest = samples[-1]
    shared = [
        name
        for name, column in newest.columns.items()
        if all(name in sample.columns and sample.columns[name].kind is column.kind for sample in samples)
    ]
    return Sample(
        rows=sum(sample.rows for sample in samples),
        sampled=sum(sample.sampled for sample in samples),
        columns={name: _joined([sample.columns[name] for sample in samples]) for name in shared},
    )


def _joined(columns: Sequence[ColumnSample]) -> ColumnSample:
    return ColumnSample(
        kind=columns[0].kind,
        values=np.concatenate([column.values for column in columns]),
        missing=sum(column.missing for column in columns),
        new=sum(column.new for column in columns),
        outside=sum(column.outside for column in columns),
    )
