"""A reference beside a window: seven tests per column, each with the size of the change and how sure we are of it.

All tests are of two samples, and without an assumption about how values are distributed: ranks for numbers, counts for
levels. Where the usual approximation would ring too soon far out in its tail, where a correction for thousands of tests
looks, a bound stands in its place.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, kolmogorov, ndtr, ndtri, xlogy

from tiltyard.data.contract import Kind
from tiltyard.monitoring.findings import Test
from tiltyard.monitoring.pairs import Pair, choose_pairs, compare_pairs, is_wide
from tiltyard.monitoring.sample import LEVELLED, NUMERIC, ColumnSample, Sample

FEWEST_VALUES = 30
"""Values that a column must have on either side before they are compared; its missing rate is compared always."""

FEWEST_EXPECTED = 5.0
"""Values of a level to be expected in the smaller sample; levels with fewer are counted together."""

MOST_LEVELS = 100
"""Levels that are told apart, the most frequent ones."""

RARE = "rare levels"
"""What stands for all levels that are too rare to be told apart."""

_LEAST_P = 1e-300


class Comparison(NamedTuple):
    """One test of one column, or of a pair.

    Attributes:
        test: Which.
        column: Name of the column.
        other: The second column of a pair; empty otherwise.
        effect: Size of the change: distribution of numbers: the largest distance of the two distribution functions;
            of levels: square root of the triangular discrimination, between 0 and 1; location and scale: how much
            above one half the probability is that a value of the window is larger (lies further out) than one of the
            reference; missing, new_level, outside: difference of the shares; correlation: difference of the rank
            correlations.
        z: How sure: a standard normal deviate's size, at least 0, in which p is the two-sided tail.
        before: What it was in the reference: median, half-width of the middle half, share, correlation; of a
            distribution of levels the share of that which changed most; NaN for a distribution of numbers.
        after: What it is in the window.
        level: The level that changed most; empty where there are none.
    """

    test: Test
    column: str
    other: str
    effect: float
    z: float
    before: float = float("nan")
    after: float = float("nan")
    level: str = ""

    @property
    def name(self) -> str:
        """What tells it from the other comparisons of a check."""
        return " ".join(part for part in (self.test, self.column, self.other) if part)

    @property
    def family(self) -> str:
        """Tests that go together: those of one kind, with distributions of levels apart from those of numbers."""
        return "levels" if self.level else self.test

    @property
    def p(self) -> float:
        """How often chance alone shows as much."""
        return float(2.0 * ndtr(-self.z))


def compare(
    reference: Sample, current: Sample, *, pairs: Sequence[Pair] | None = None, ignore: Collection[str] = ()
) -> tuple[Comparison, ...]:
    """Compare every column that both samples have, of the same kind in both.

    What cannot show anything is not tested, and so does not count among the tests: a column that is constant, a missing
    rate where nothing is missing. A time that goes on with the clock, so that most of the window lies after all of the
    reference, is not compared: it would always differ.

    Args:
        reference: What was good.
        current: What is looked at.
        pairs: Pairs of numeric columns whose correlation is compared; chosen from the reference when None.
        ignore: Names of columns that are left out.
    """
    shared = {
        name: (column, current.columns[name])
        for name, column in reference.columns.items()
        if name in current.columns and name not in ignore and current.columns[name].kind is column.kind
    }
    made: list[Comparison] = []
    ranks: dict[str, NDArray[np.float64]] = {}
    if pairs is None:
        pairs = choose_pairs({name: before for name, (before, _) in shared.items()})
    wide = is_wide(sum(before.kind in NUMERIC for before, _ in shared.values()))
    paired = {name for pair in pairs for name in pair}
    for name, (before, after) in shared.items():
        if before.kind in NUMERIC:
            tests, scores = _numbers(name, before.values, after.values, ranked=name in paired)
            made += tests
            ranks |= {} if scores is None else {name: scores}
        else:
            made += _others(name, before, after)
        made += _shares(name, before, after, reference.rows, current.rows)
    made += [
        Comparison("correlation", *pair, after - before, z, before, after)
        for pair, before, after, z in compare_pairs(ranks, pairs, reference.sampled, wide=wide)
    ]
    return tuple(made)


class Ranking(NamedTuple):
    """Two samples in one order.

    Attributes:
        distance: Largest distance of their distribution functions.
        lead: P(a value of the second is larger) + P(equal)/2 - 1/2.
        z: Standardised `lead`; 0 when all values are the same.
        ranks: Mean rank of each value over both samples, scaled to between -1/2 and 1/2; the first sample's first.
    """

    distance: float
    lead: float
    z: float
    ranks: NDArray[np.float64]


def rank(first: NDArray[np.float64], second: NDArray[np.float64]) -> Ranking:
    """Put two samples in one order and say how they lie in it.

    The distance is that of Kolmogorov and Smirnov; lead and z are those of Mann and Whitney (1947), with the variance
    corrected for ties (Lehmann, "Nonparametrics", 1975, section 1.4).

    Args:
        first: Values without NaN, shape (n,), n > 0.
        second: Values without NaN, shape (m,), m > 0.

    Example:
        >>> rank(np.array([1.0, 2.0]), np.array([3.0, 4.0])).lead
        0.5
    """
    n, m = len(first), len(second)
    both = np.concatenate([first, second])
    order = np.argsort(both)
    ordered = both[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    ends = last + 1
    seconds = np.cumsum(order >= n)[last]
    distance = np.max(np.abs((ends - seconds) / n - seconds / m))
    sizes = np.diff(ends, prepend=0)
    middles = ends - (sizes - 1) / 2
    sum_of_ranks = np.sum(np.diff(seconds, prepend=0) * middles)
    lead = (sum_of_ranks - m * (m + 1) / 2) / (n * m) - 0.5
    ties = np.sum(sizes.astype(np.float64) ** 3 - sizes) / ((n + m) * (n + m - 1))
    variance = (n + m + 1 - ties) / (12 * n * m)
    ranks = np.empty(n + m)
    ranks[order] = np.repeat((middles - 0.5) / (n + m) - 0.5, sizes)
    return Ranking(float(distance), float(lead), float(lead / np.sqrt(variance)) if variance > 1e-12 else 0.0, ranks)


def size_of(p: float) -> float:
    """Return the size of the normal deviate whose two-sided tail p is.

    Args:
        p: Between 0 and 1.

    Example:
        >>> round(size_of(0.05), 2)
        1.96
    """
    return float(-ndtri(max(p, _LEAST_P) / 2))


def cell_bound(counts: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Return a statistic of a table of counts that is at most Pearson's chi², and at most the likelihood ratio's.

    Where few are expected, Pearson's sum is too large for cells with many, and the likelihood ratio too large for cells
    with few; taking the smaller one cell by cell, neither rings too soon. For large counts all three are the same
    (Cressie and Read 1984, section 2).

    Args:
        counts: What was seen.
        expected: What was to be expected, above 0, of the same shape.
    """
    difference = counts - expected
    ratio = 2.0 * (xlogy(counts, counts / expected) - difference)
    return float(np.sum(np.minimum(ratio, difference**2 / expected)))


def _numbers(
    name: str, before: NDArray[np.float64], after: NDArray[np.float64], *, ranked: bool
) -> tuple[list[Comparison], NDArray[np.float64] | None]:
    """Return distribution, location and scale of a numeric column, and its ranks when they are asked for."""
    there, here = ~np.isnan(before), ~np.isnan(after)
    first, second = before[there], after[here]
    if min(len(first), len(second)) < FEWEST_VALUES:
        return [], None
    places = rank(first, second)
    if not places.ranks.any():
        return [], None
    middle = np.median(np.concatenate([first, second]))
    outward, outward_now = np.abs(first - middle), np.abs(second - middle)
    spread = rank(outward, outward_now)
    middles = float(np.median(first)), float(np.median(second))
    widths = float(np.median(np.abs(first - middles[0]))), float(np.median(np.abs(second - middles[1])))
    tests = [
        Comparison("distribution", name, "", places.distance, _smirnov(places.distance, len(first), len(second))),
        Comparison("location", name, "", places.lead, abs(places.z), *middles),
        Comparison("scale", name, "", spread.lead, abs(spread.z), *widths),
    ]
    if not ranked:
        return tests, None
    scores = np.full(len(before) + len(after), np.nan)
    scores[np.concatenate([there, here])] = places.ranks
    return tests, scores


def _smirnov(distance: float, n: int, m: int) -> float:
    """Return the size of a distance of two distribution functions (Smirnov 1948); ties make it smaller than it is."""
    return size_of(float(kolmogorov(distance * np.sqrt(n * m / (n + m)))))


def _others(name: str, before: ColumnSample, after: ColumnSample) -> list[Comparison]:
    """Return the distribution of a column that is counted, or of times."""
    if before.kind in LEVELLED:
        return _levels(name, before.values, after.values)
    if before.kind is not Kind.TIME:
        return []
    first, second = (_moments(column.values) for column in (before, after))
    if min(len(first), len(second)) < FEWEST_VALUES or float(np.median(second)) > float(np.max(first)):
        return []
    distance = rank(first, second).distance
    return [Comparison("distribution", name, "", distance, _smirnov(distance, len(first), len(second)))]


def _moments(values: NDArray[Any]) -> NDArray[np.float64]:
    present = values[~np.isnat(values)]
    return np.asarray(present.astype("datetime64[us]").astype(np.float64), dtype=np.float64)


def _levels(name: str, before: NDArray[Any], after: NDArray[Any]) -> list[Comparison]:
    """Compare how often each level comes, by the chi² test of two samples (Pearson 1911)."""
    levels, counts = _table(_tally(before), _tally(after))
    totals = counts.sum(axis=1, keepdims=True)
    if counts.shape[1] < 2 or totals.min() < FEWEST_VALUES:
        return []
    level_totals = counts.sum(axis=0, keepdims=True)
    expected = totals * level_totals / totals.sum()
    free = counts.shape[1] - 1
    z = size_of(float(chdtrc(free, cell_bound(counts, expected))))
    p, q = counts / totals
    by_chance = free * float(np.sum(1.0 / totals)) / 4
    discrimination = float(np.sum((p - q) ** 2 / (p + q))) / 2
    effect = float(np.sqrt(max(0.0, discrimination - by_chance)))
    most = int(np.argmax(np.abs(q - p)))
    return [Comparison("distribution", name, "", effect, z, float(p[most]), float(q[most]), levels[most])]


def _tally(values: NDArray[Any]) -> Mapping[str, int]:
    if values.dtype == object:
        tally: Counter[Any] = Counter(values.tolist())
        tally.pop(None, None)
        return tally
    return {"true": int(np.sum(values == 1.0)), "false": int(np.sum(values == 0.0))}


def _table(before: Mapping[str, int], after: Mapping[str, int]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return levels, and counts by sample and level, shape (2, levels); the rare levels are the last one together."""
    levels = tuple(sorted(before.keys() | after.keys()))
    counts = np.array([[tally.get(level, 0) for level in levels] for tally in (before, after)], dtype=np.float64)
    counts, levels = counts[:, counts.any(axis=0)], tuple(np.array(levels, dtype=object)[counts.any(axis=0)])
    totals, level_totals = counts.sum(axis=1), counts.sum(axis=0)
    common = level_totals * totals.min() / max(totals.sum(), 1.0) >= FEWEST_EXPECTED
    if common.sum() > MOST_LEVELS:
        common &= level_totals > np.sort(level_totals)[-MOST_LEVELS - 1]
    names = [level for level, often in zip(levels, common, strict=True) if often]
    if common.all():
        return tuple(names), counts
    rare = counts[:, ~common].sum(axis=1, keepdims=True)
    return (*names, RARE), np.hstack([counts[:, common], rare])


def _shares(name: str, before: ColumnSample, after: ColumnSample, rows: int, rows_now: int) -> list[Comparison]:
    """Compare the shares of missing, new and outside values; the last two only upwards."""
    found: list[Comparison] = []
    counted: tuple[tuple[Test, int, int, bool], ...] = (
        ("missing", before.missing, after.missing, False),
        ("new_level", before.new, after.new, True),
        ("outside", before.outside, after.outside, True),
    )
    for test, was, now, upwards in counted:
        if 0 < was + now < rows + rows_now:
            share, share_now = was / rows, now / rows_now
            z = _share_size(was, rows, now, rows_now, upwards=upwards)
            found.append(Comparison(test, name, "", share_now - share, z, share, share_now))
    return found


def _share_size(was: int, rows: int, now: int, rows_now: int, *, upwards: bool) -> float:
    """Return the size of the difference of two shares, by a table of two times two."""
    counts = np.array([[was, rows - was], [now, rows_now - now]], dtype=np.float64)
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0, keepdims=True) / (rows + rows_now)
    p = float(chdtrc(1, cell_bound(counts, expected)))
    if not upwards:
        return size_of(p)
    return size_of(p / 2) if now * rows > was * rows_now else 0.0
