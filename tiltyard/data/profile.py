"""Profiles: what a person wants to see of a column: how much is missing, the usual figures, the distribution."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.data.contract import Column, Contract, Kind, Role

BINS = 24
MOST_LEVELS = 8
"""Levels that get a bar of their own; the rest shares one."""
FAR = 5.0
"""Where the range is this many times the middle 98 %, the outer bins take the tails."""
PRIVATE = (Role.ID, Role.GROUP)
"""Columns of these roles name somebody: their values are counted but not shown."""


@dataclass(frozen=True)
class Bar:
    """One bar of a distribution.

    Attributes:
        label: The level, or the range of the bin, `low … high`.
        count: Rows.
    """

    label: str
    count: int


@dataclass(frozen=True)
class Profile:
    """One column in figures.

    Attributes:
        column: Its promise.
        missing: Rows without a value.
        share_missing: The same as a share of all rows.
        distinct: Distinct values.
        facts: Names and texts of further figures.
        bars: The distribution; empty for text and for columns that name somebody.
        ordered: Whether the bars are bins of a scale (a histogram) rather than levels.
    """

    column: Column
    missing: int
    share_missing: float
    distinct: int
    facts: tuple[tuple[str, str], ...]
    bars: tuple[Bar, ...]
    ordered: bool


Figures = tuple[tuple[tuple[str, str], ...], tuple[Bar, ...], bool]
"""Facts, bars, and whether the bars are ordered."""


def profile_table(frame: pd.DataFrame, contract: Contract) -> tuple[Profile, ...]:
    """Profile the columns of a table, target first, columns that are not in it left out.

    Args:
        frame: Typed frame.
        contract: Its contract.
    """
    columns = sorted(contract.columns, key=lambda column: column.role is not Role.TARGET)
    return tuple(profile_column(frame[column.name], column) for column in columns if column.name in frame)


def profile_column(values: pd.Series, column: Column) -> Profile:
    """Profile one typed column."""
    known = values.dropna()
    missing = len(values) - len(known)
    with np.errstate(over="ignore", invalid="ignore"):  # the mean of the largest floats is infinite: so be it
        facts, bars, ordered = _figures(known, column)
    return Profile(
        column=column,
        missing=missing,
        share_missing=missing / max(len(values), 1),
        distinct=int(known.nunique()),
        facts=facts,
        bars=bars,
        ordered=ordered,
    )


def _figures(known: pd.Series, column: Column) -> Figures:
    """Return facts, bars and whether the bars are ordered, from the values that are not missing."""
    if len(known) == 0 or column.role in PRIVATE:
        return (), (), False
    match column.kind:
        case Kind.TEXT:
            lengths = known.str.len()
            return (("length", f"{int(lengths.min())} to {int(lengths.max())} characters"),), (), False
        case Kind.CATEGORY | Kind.BOOLEAN:
            return (), _level_bars(known), False
        case Kind.TIME:
            return _time_figures(known.to_numpy(dtype="datetime64[us]"))
        case _:
            return _number_figures(known.to_numpy(dtype=np.float64), column.kind)


def _time_figures(moments: NDArray[np.datetime64]) -> Figures:
    """Return facts and bars of times."""
    facts = (("first", _moment(moments.min())), ("last", _moment(moments.max())))
    edges, counts = _histogram(moments.astype(np.int64).astype(np.float64))
    names = [_moment(edge) for edge in edges.astype(np.int64).astype("datetime64[us]")]
    return facts, _bin_bars(names, counts), True


def _number_figures(numbers: NDArray[np.float64], kind: Kind) -> Figures:
    """Return facts and bars of numbers; few integers get a bar each."""
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return (), (), True
    distinct = len(np.unique(numbers))
    if distinct <= (BINS if kind is Kind.INTEGER else 1):
        return _number_facts(numbers), _value_bars(numbers), distinct > MOST_LEVELS
    edges, counts = _histogram(numbers)
    return _number_facts(numbers), _bin_bars([f"{edge:.6g}" for edge in edges], counts), True


def _number_facts(numbers: NDArray[np.float64]) -> tuple[tuple[str, str], ...]:
    """Return the usual figures of numbers."""
    low, first, middle, third, high = np.quantile(numbers, [0, 0.25, 0.5, 0.75, 1])
    return (
        ("range", f"{low:.6g} to {high:.6g}"),
        ("quartiles", f"{first:.6g}, {middle:.6g}, {third:.6g}"),
        ("mean ± sd", f"{numbers.mean():.4g} ± {numbers.std():.4g}"),
    )


def _moment(value: np.datetime64) -> str:
    """Write a moment, without the time of day at midnight."""
    stamp = pd.Timestamp(value)
    return f"{stamp:%Y-%m-%d}" if stamp == stamp.normalize() else f"{stamp:%Y-%m-%d %H:%M}"


def _level_bars(known: pd.Series) -> tuple[Bar, ...]:
    """Count the most frequent levels, the others together."""
    counts = known.value_counts()
    bars = [Bar(str(level), int(count)) for level, count in counts.iloc[:MOST_LEVELS].items()]
    rest = counts.iloc[MOST_LEVELS:]
    if len(rest):
        bars.append(Bar(f"{len(rest):,} others", int(rest.sum())))
    return tuple(bars)


def _value_bars(numbers: NDArray[np.float64]) -> tuple[Bar, ...]:
    """Count every value of a column with few integers."""
    values, counts = np.unique(numbers, return_counts=True)
    return tuple(Bar(f"{value:g}", int(count)) for value, count in zip(values, counts, strict=True))


def _bin_bars(edges: list[str], counts: NDArray[np.int64]) -> tuple[Bar, ...]:
    """Name bins by their edges."""
    return tuple(Bar(f"{edges[i]} … {edges[i + 1]}", int(count)) for i, count in enumerate(counts))


def _histogram(numbers: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Count numbers in bins of equal width; the outer bins take far tails.

    Returns:
        Edges, shape (b + 1,), and counts, shape (b,).
    """
    low, near_low, near_high, high = np.quantile(numbers, [0, 0.01, 0.99, 1])
    if near_high > near_low and high / FAR - low / FAR > near_high - near_low:
        edges = np.linspace(near_low, near_high, BINS + 1)
    elif high > low:
        edges = np.linspace(low, high, BINS + 1)
    else:
        edges = np.array([low, high])
    slots = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(slots, minlength=len(edges) - 1).astype(np.int64)
    edges[0], edges[-1] = low, high
    return edges, counts
