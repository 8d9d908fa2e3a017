"""Correlations of pairs of columns: which pairs are looked at, and whether they have changed."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tiltyard.monitoring.sample import NUMERIC, ColumnSample

Pair = tuple[str, str]

MOST_PAIRS = 300
"""Pairs that are compared, or as many as there are columns when these are more. Up to 25 columns, those are all."""

STRONG = 0.1
"""Correlation from which on a pair is chosen for it; weaker ones look strong by chance alone."""

PAIRED_ROWS = 5_000
"""Rows of either side that correlations are taken of, at most."""

_CHOOSING_ROWS = 2_000
_FEWEST_ROWS = 30
_AT_A_TIME = 50
_STEEPEST = 0.999
_LEAST_VARIANCE = 0.2


class PairComparison(NamedTuple):
    """The rank correlation of a pair of columns, then and now.

    Attributes:
        pair: The two columns.
        before: In the reference.
        after: In the window.
        z: Size of the difference in its standard errors, at least 0.
    """

    pair: Pair
    before: float
    after: float
    z: float


def choose_pairs(columns: Mapping[str, ColumnSample]) -> tuple[Pair, ...]:
    """Return the pairs of numeric columns to look at: all, or in a wide table those of the strongest correlation.

    Only the reference decides, so that each window is asked about the same pairs; of a wide table only every second
    row, so that the others do not know of the choice: what was chosen for being strong is weaker in any other rows.
    Where fewer pairs are correlated, neighbours in the order of the table fill up.

    Args:
        columns: Columns of the reference.
    """
    names = [name for name, column in columns.items() if column.kind in NUMERIC]
    most = max(MOST_PAIRS, len(names))
    if not is_wide(len(names)):
        return tuple(combinations(names, 2))
    strength = np.abs(_correlations([columns[name].values for name in names]))
    first, second = np.triu_indices(len(names), 1)
    strengths = strength[first, second]
    strong = np.flatnonzero(strengths >= STRONG)
    best = strong[np.argsort(-strengths[strong], kind="stable")][:most]
    chosen = {(int(first[place]), int(second[place])): None for place in best}
    for pair in _neighbours(len(names)):
        if len(chosen) >= most:
            break
        chosen.setdefault(pair)
    return tuple((names[a], names[b]) for a, b in sorted(chosen))


def is_wide(count: int) -> bool:
    """Return whether a table has more pairs than are looked at.

    Args:
        count: Its numeric columns.

    Example:
        >>> is_wide(25), is_wide(26)
        (False, True)
    """
    return count * (count - 1) // 2 > max(MOST_PAIRS, count)


def _neighbours(count: int) -> Iterator[tuple[int, int]]:
    return ((place, place + step) for step in range(1, count) for place in range(count - step))


def _correlations(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return rank correlations on evenly spaced even rows; a missing value counts as a middling one."""
    even = (len(values[0]) + 1) // 2
    rows = 2 * np.linspace(0, even - 1, min(_CHOOSING_ROWS, even)).astype(np.int64)
    scores = np.zeros((len(values), len(rows)), dtype=np.float32)
    for score, column in zip(scores, values, strict=True):
        picked = column[rows]
        present = np.flatnonzero(~np.isnan(picked))
        score[present[np.argsort(picked[present], kind="stable")]] = np.arange(len(present)) - (len(present) - 1) / 2
    scores /= np.maximum(np.sqrt(np.sum(scores**2, axis=1, keepdims=True)), 1e-9)
    return np.asarray(scores @ scores.T, dtype=np.float64)


def compare_pairs(
    ranks: Mapping[str, NDArray[np.float64]], pairs: Sequence[Pair], reference_rows: int, *, wide: bool = False
) -> Iterator[PairComparison]:
    """Compare the correlation of each pair in the reference with that in the window.

    The correlations are of ranks over both samples together (Spearman 1904); the difference is taken after Fisher's
    transformation (1915), and the standard errors come from the values themselves, so that they hold whatever the form
    of the dependence (Browne 1984; Steiger and Hakstian 1982). Left out are pairs with too few common values, and those
    of which one gives the other away in both samples. 5,000 rows of either sample say enough, evenly spaced ones.

    Args:
        ranks: By column, ranks scaled to between -1/2 and 1/2, NaN where missing, shape (n + m,): the reference's rows
            first.
        pairs: Pairs to compare.
        reference_rows: n.
        wide: Whether pairs were chosen by the even rows of the reference; then its odd rows are compared.
    """
    known = [pair for pair in pairs if pair[0] in ranks and pair[1] in ranks]
    for start in range(0, len(known), _AT_A_TIME):
        part = known[start : start + _AT_A_TIME]
        before, error, count = _correlate(
            *_stacked(ranks, part, slice(1 if wide else 0, reference_rows, 2 if wide else 1))
        )
        after, error_now, count_now = _correlate(*_stacked(ranks, part, slice(reference_rows, None)))
        then, now = (np.arctanh(np.clip(r, -_STEEPEST, _STEEPEST)) for r in (before, after))
        z = np.abs(now - then) / np.sqrt(error + error_now)
        usable = (np.minimum(count, count_now) >= _FEWEST_ROWS) & (z > 0)
        for place in np.flatnonzero(usable):
            yield PairComparison(part[place], float(before[place]), float(after[place]), float(z[place]))


def _stacked(
    ranks: Mapping[str, NDArray[np.float64]], pairs: Sequence[Pair], rows: slice
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ranks of either side, shape (pairs, rows); of many rows an evenly spaced part."""
    sides = []
    for side in (0, 1):
        parts = [ranks[pair[side]][rows] for pair in pairs]
        step = -(-len(parts[0]) // PAIRED_ROWS)
        sides.append(np.stack([part[::step] for part in parts]))
    return sides[0], sides[1]


def _correlate(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return by row of two matrices: the correlation, the variance of its Fisher transform, and the common values."""
    gone = np.isnan(first) | np.isnan(second)
    count = np.maximum(np.sum(~gone, axis=1), 1).astype(np.float64)
    u, v = (_standardised(np.where(gone, 0.0, side), gone, count) for side in (first, second))
    r = np.einsum("ij,ij->i", u, v) / count
    influence = u * v - r[:, None] * (u * u + v * v) / 2
    variance = np.einsum("ij,ij->i", influence, influence) / count / (1.0 - np.minimum(r * r, _STEEPEST**2)) ** 2
    return r, np.maximum(variance, _LEAST_VARIANCE) / np.maximum(count - 3, 1), count


def _standardised(
    values: NDArray[np.float64], gone: NDArray[np.bool_], count: NDArray[np.float64]
) -> NDArray[np.float64]:
    centred = values - (values.sum(axis=1) / count)[:, None]
    centred[gone] = 0.0
    spread = np.sqrt(np.einsum("ij,ij->i", centred, centred) / count)
    scaled: NDArray[np.float64] = centred / np.where(spread > 0, spread, np.inf)[:, None]
    return scaled
