"""Two samples as two tables that a report draws: fewer rows, drawn by strata, and values as a person reads them."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.data.contract import Kind
from tiltyard.monitoring.sample import LEVELLED, NUMERIC, PREDICTION, ColumnSample, Sample, spoken

MOST_LEVELS = 20
"""Levels of a column that are told apart."""

OTHERS = "(other levels)"
THERE, MISSING = "(has a value)", "(missing)"

_BINS = 5
_DAY = 24 * 60 * 60 * 1_000_000
_BOOLEANS = {0.0: "false", 1.0: "true"}


class Frames(NamedTuple):
    """The same columns of two samples.

    Attributes:
        reference: Rows of the reference.
        current: Rows of the window.
        numbers: Columns of numbers, NaN where missing: texts are their length, times the days since 1970.
        categories: Columns of texts, None where missing: categories with few levels, and booleans.
    """

    reference: pd.DataFrame
    current: pd.DataFrame
    numbers: tuple[str, ...]
    categories: tuple[str, ...]


def strata_of(sample: Sample, days: NDArray[Any] | None = None) -> NDArray[np.int64]:
    """Tell the sampled rows apart by day and by what was predicted: the class, or the fifth of the predicted numbers.

    Args:
        sample: The sample.
        days: Day of each sampled row, in any type that sorts; all of one day when left out.

    Returns:
        Number of the stratum of each row, in the order of days, shape (sampled,).
    """
    answers = np.zeros(sample.sampled, dtype=np.int64)
    column = sample.columns.get(PREDICTION)
    if column is not None and sample.sampled:
        answers = _fifths(column.values) if column.kind is Kind.NUMBER else _codes(column.values)
    dates = np.zeros(sample.sampled, dtype=np.int64) if days is None else _codes(days)
    return dates * (int(answers.max(initial=0)) + 1) + answers


def draw_rows(strata: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Draw rows so that every stratum keeps its share, to within one row.

    Systematic sampling of rows that are ordered by stratum and at random within (Cochran 1977, "Sampling
    Techniques", section 8.2).

    Args:
        strata: Stratum of each row, shape (n,).
        most: Rows drawn at most.
        seed: Seed of the draw.

    Returns:
        Places of the drawn rows, rising, shape (min(n, most),).

    Example:
        >>> strata = np.array([0] * 90 + [1] * 10)
        >>> drawn = draw_rows(strata, 20, seed=1)
        >>> np.bincount(strata[drawn]).tolist()
        [18, 2]
    """
    rows = len(strata)
    if rows <= most:
        return np.arange(rows, dtype=np.int64)
    random = np.random.default_rng(seed)
    order = np.lexsort((random.random(rows), strata))
    picked = np.floor((np.arange(most) + random.random()) * (rows / most)).astype(np.int64)
    return np.sort(order[np.minimum(picked, rows - 1)])


def bare(column: str) -> str:
    """Return how a table or a picture names a column.

    Example:
        >>> bare("feature_age"), bare("probability_yes"), bare("prediction")
        ('age', 'probability of yes', 'prediction')
    """
    return spoken(column).replace("`", "").removeprefix("the ")


def shared_columns(reference: Sample, current: Sample) -> list[str]:
    """Return the columns that both samples have, as the same kind, in the order of the window's."""
    return [
        name
        for name, column in current.columns.items()
        if name in reference.columns and reference.columns[name].kind is column.kind
    ]


def frames_of(
    reference: Sample,
    current: Sample,
    columns: Sequence[str],
    rows: tuple[NDArray[np.int64], NDArray[np.int64]],
    presence: Collection[str] = (),
) -> Frames:
    """Put columns of both samples into tables.

    Args:
        reference: The reference.
        current: The window.
        columns: Names of columns that both have.
        rows: Places of the rows of each that are taken.
        presence: Columns of which only whether there is a value is shown. Columns without any value on one side are
            shown so too.
    """
    tables: tuple[dict[str, Any], dict[str, Any]] = {}, {}
    numbers, categories = [], []
    for name in columns:
        kind = current.columns[name].kind
        pair = [
            _readable(sample.columns[name], drawn) for sample, drawn in zip((reference, current), rows, strict=True)
        ]
        if name in presence or any(pd.isna(values).all() for values in pair):
            pair = [np.where(pd.isna(values), MISSING, THERE).astype(object) for values in pair]
            categories.append(name)
        elif kind in LEVELLED:
            pair = _commonest(*pair)
            categories.append(name)
        else:
            numbers.append(name)
        for table, values in zip(tables, pair, strict=True):
            table[name] = values
    before, now = (pd.DataFrame(table, columns=list(columns)) for table in tables)
    return Frames(before, now, tuple(numbers), tuple(categories))


def _readable(column: ColumnSample, drawn: NDArray[np.int64]) -> NDArray[Any]:
    """Return drawn values as a person reads them: booleans in words, and of a text no more than its length."""
    kind, values = column.kind, column.values[drawn]  # of a sample, which is no frame
    if kind is Kind.BOOLEAN:
        return np.array([_BOOLEANS.get(value) for value in values.tolist()], dtype=object)
    if kind is Kind.TEXT:
        return np.array([np.nan if value is None else len(value) for value in values.tolist()], dtype=np.float64)
    if kind is Kind.TIME:
        return np.where(np.isnat(values), np.nan, values.astype("datetime64[us]").astype(np.int64) / _DAY)
    return np.where(np.isfinite(values), values, np.nan) if kind in NUMERIC else values


def _commonest(reference: NDArray[Any], current: NDArray[Any]) -> list[NDArray[Any]]:
    """Return levels, with all but the commonest taken together; those of the window count as much as the others."""
    shares = pd.Series(0.0, index=pd.Index([], dtype=object))
    for values in (reference, current):
        shares = shares.add(pd.Series(values, dtype=object).value_counts(normalize=True), fill_value=0.0)
    if len(shares) <= MOST_LEVELS:
        return [reference, current]
    kept = set(shares.sort_values(ascending=False, kind="stable").index[: MOST_LEVELS - 1])
    return [
        np.array([value if value is None or value in kept else OTHERS for value in values], dtype=object)
        for values in (reference, current)
    ]


def _codes(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return numbers for values, in their order; 0 for what is missing."""
    codes, _ = pd.factorize(values, sort=True)
    return codes.astype(np.int64) + 1


def _fifths(values: NDArray[Any]) -> NDArray[np.int64]:
    """Return which fifth of the numbers each is in; the last for what is missing."""
    known = values[np.isfinite(values)]
    if len(known) == 0:
        return np.zeros(len(values), dtype=np.int64)
    edges = np.quantile(known, np.arange(1, _BINS) / _BINS)
    return np.searchsorted(edges, values).astype(np.int64)
