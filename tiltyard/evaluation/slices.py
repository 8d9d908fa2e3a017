"""Groups of rows: where a model is weak, and where a challenger loses.

Looking at many groups, some look bad by luck. Every group's p-value is therefore corrected for the number of groups
looked at (Holm 1979), and the weakest one is named together with that number.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from tiltyard.bundle.model import Columns
from tiltyard.data.contract import Column, Contract, Kind
from tiltyard.evaluation.intervals import Judged, estimate
from tiltyard.evaluation.multiplicity import holm
from tiltyard.evaluation.paired import Contest
from tiltyard.evaluation.records import Estimate, SliceComparison, SliceScore
from tiltyard.evaluation.wording import amount, chance, interval, title
from tiltyard.project.metrics import METRICS

MOST_LEVELS = 15
BANDS = 4
FEWEST_SHOWN = 30
_Z = float(norm.ppf(0.975))


@dataclass(frozen=True)
class Slice:
    """A group of rows.

    Attributes:
        column: Column that makes it.
        level: Its value, as text.
        rows: Their numbers.
    """

    column: str
    level: str
    rows: NDArray[np.int64]


def slices_of(columns: Columns, contract: Contract, names: Iterable[str] | None = None) -> Iterator[Slice]:
    """Yield the groups that columns make.

    The levels of categories and booleans (the rarest joined), four bands of equal size of numbers and times, and the
    missing values of any.

    Args:
        columns: Typed columns of length n.
        contract: What they are.
        names: Columns to group by; all features but texts when left out.

    Raises:
        DataError: A name is not a column of the contract.
    """
    chosen = contract.features if names is None else [contract.column(name) for name in names]
    for column in chosen:
        if column.kind is not Kind.TEXT and column.name in columns:
            yield from _of_column(column, columns[column.name])


def deciding_columns(contract: Contract, slices: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the columns whose groups the gate looks at: those given, else the category and boolean features."""
    if slices is not None:
        return slices
    return tuple(column.name for column in contract.features if column.kind in {Kind.CATEGORY, Kind.BOOLEAN})


def _of_column(column: Column, values: NDArray[np.generic]) -> Iterator[Slice]:
    if column.kind is Kind.CATEGORY:
        codes, labels = _by_level(values)
    elif column.kind is Kind.BOOLEAN:
        codes, labels = np.nan_to_num(values.astype(np.float64), nan=-1.0).astype(np.int64), ["false", "true"]
    else:
        codes, labels = _by_band(values, column.kind)
    for code, label in [*enumerate(labels), (-1, "missing")]:
        rows = np.flatnonzero(codes == code)
        if 0 < len(rows) < len(codes):
            yield Slice(column.name, label, rows)


def _by_level(values: NDArray[np.generic]) -> tuple[NDArray[np.int64], list[str]]:
    """Return a code per row (-1 missing) and the levels, most frequent first, the rarest under one name."""
    present = np.array([value is not None for value in values], dtype=bool)
    codes = np.full(len(values), -1, dtype=np.int64)
    levels, inverse, counts = np.unique(values[present].astype(str), return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    place = np.empty(len(levels), dtype=np.int64)
    place[order] = np.arange(len(levels))
    codes[present] = np.minimum(place[inverse], MOST_LEVELS)
    labels = [str(level) for level in levels[order][:MOST_LEVELS]]
    if len(levels) > MOST_LEVELS:
        labels.append(f"one of {len(levels) - MOST_LEVELS} rarer levels")
    return codes, labels


def _by_band(values: NDArray[np.generic], kind: Kind) -> tuple[NDArray[np.int64], list[str]]:
    """Return a code per row (-1 missing) and the bands, between the quartiles, or the values when there are few."""
    missing = np.isnan(values.astype(np.float64)) if kind is not Kind.TIME else np.isnat(values)
    numbers = values.astype(np.int64 if kind is Kind.TIME else np.float64)
    codes = np.full(len(values), -1, dtype=np.int64)
    distinct = np.unique(numbers[~missing])
    if len(distinct) <= BANDS:
        codes[~missing] = np.searchsorted(distinct, numbers[~missing])
        return codes, [_write(value, kind) for value in distinct]
    places = np.arange(1, BANDS) / BANDS
    edges = np.unique(np.quantile(numbers[~missing], places, method="lower"))
    codes[~missing] = np.searchsorted(edges, numbers[~missing], side="left")
    written = [_write(edge, kind) for edge in edges]
    middle = [f"above {low} up to {high}" for low, high in pairwise(written)]
    return codes, [f"up to {written[0]}", *middle, f"above {written[-1]}"]


def _write(value: np.generic, kind: Kind) -> str:
    if kind is Kind.TIME:
        return str(np.datetime64(int(value), "us").astype("datetime64[m]"))
    return f"{float(value):.6g}"


def score_slices(
    metric: str, judged: Judged, slices: Iterable[Slice], *, fewest: int = FEWEST_SHOWN
) -> tuple[SliceScore, ...]:
    """Return the metric on each group of at least `fewest` rows, worst first.

    Args:
        metric: Primary metric.
        judged: What the model answered on all rows.
        slices: Groups of these rows.
        fewest: Smaller groups are left out.
    """
    found = []
    for part in slices:
        inside = _estimate(metric, judged, part.rows) if len(part.rows) >= fewest else None
        if inside is not None:
            others = np.ones(len(judged.y), dtype=bool)
            others[part.rows] = False
            outside = _estimate(metric, judged, np.flatnonzero(others))
            found.append((part, inside, _p_weaker(metric, inside, outside)))
    corrected = holm([p_value for _, _, p_value in found])
    scores = [
        SliceScore(column=part.column, level=part.level, rows=len(part.rows), score=inside, p_value=p_value)
        for (part, inside, _), p_value in zip(found, corrected, strict=True)
    ]
    sign = 1 if METRICS[metric].greater_is_better else -1
    return tuple(sorted(scores, key=lambda one: sign * one.score.value))


def _estimate(metric: str, judged: Judged, rows: NDArray[np.int64]) -> Estimate | None:
    part = judged.take(rows)
    return estimate(metric, part, quick=True) if part.units.count >= 2 else None


def _p_weaker(metric: str, inside: Estimate, outside: Estimate | None) -> float:
    """Return the chance that a group this weak comes from rows like the others (normal, one-sided).

    Errors are read off the intervals, on the side where the two would meet, so that they are never zero.
    """
    if outside is None:
        return 1.0
    if METRICS[metric].greater_is_better:
        gap, ours, theirs = outside.value - inside.value, inside.high - inside.value, outside.value - outside.low
    else:
        gap, ours, theirs = inside.value - outside.value, inside.value - inside.low, outside.high - outside.value
    error = float(np.hypot(ours, theirs)) / _Z
    return float(norm.sf(gap / error)) if error > 0 else float(gap <= 0)


def name_weakest(metric: str, overall: Estimate, slices: tuple[SliceScore, ...]) -> str:
    """Name the weakest group in words: the worst of those that luck does not explain, else the worst of all."""
    if not slices:
        return ""
    real = [one for one in slices if one.p_value is not None and one.p_value <= 0.05]
    worst = (real or list(slices))[0]
    p_value = 1.0 if worst.p_value is None else worst.p_value
    found = (
        f"The weakest of {len(slices)} groups is {worst.column} = {worst.level}: {title(metric)} "
        f"{amount(metric, worst.score.value)} on {worst.rows:,} rows (95 % interval {interval(metric, worst.score)}), "
        f"against {amount(metric, overall.value)} overall."
    )
    if real:
        return f"{found} Luck alone explains it in {chance(p_value)} of cases, corrected for the number of groups."
    return f"{found} Among so many groups, one this weak can be luck ({chance(p_value)}, corrected for their number)."


def compare_slices(contest: Contest, slices: Iterable[Slice], *, fewest: int) -> tuple[SliceComparison, ...]:
    """Compare two models on each group of at least `fewest` rows where the metric is defined.

    Args:
        contest: The two models on all rows.
        slices: Groups of these rows.
        fewest: Smaller groups are left out; `gates.min_slice_rows`.
    """
    found = []
    for part in slices:
        comparison = contest.take(part.rows).decide() if len(part.rows) >= fewest else None
        if comparison is not None:
            found.append(SliceComparison(column=part.column, level=part.level, comparison=comparison))
    return tuple(found)
