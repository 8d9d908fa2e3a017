"""Exact formulas: numeric columns of which a weighted sum or a product is the target. Pure functions on arrays."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EXACT = 0.999
"""A formula that explains this share of the variance is taken for the way the target was made."""
ROWS_PER_COLUMN = 10
"""With fewer complete rows per column a fit this good may be chance."""
MOST_COLUMNS = 200
"""Wider tables are not searched for formulas."""

MOST_MISSING = 0.1
"""Columns with a larger share of missing values are left out of formulas."""

_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Formula:
    """Columns that together make the target.

    Attributes:
        kind: How they are put together.
        columns: Their numbers, ascending.
        share: R² of the formula.
    """

    kind: Literal["sum", "product"]
    columns: tuple[int, ...]
    share: float


def find_formula(X: Floats, y: Floats) -> Formula | None:
    """Find the fewest columns of which a weighted sum, or a product of powers, is the target.

    Args:
        X: Numeric columns, float64, shape (n, f), NaN for missing.
        y: Target, float64, shape (n,).

    Returns:
        The formula; None when there is none.
    """
    found = _linear(X, y)
    if found is not None:
        return Formula("sum", *found)
    if (y <= 0).any():
        return None
    positive = np.flatnonzero(~(X <= 0).any(axis=0))
    found = _linear(np.log(X[:, positive]), np.log(y))
    if found is None:
        return None
    return Formula("product", tuple(int(positive[i]) for i in found[0]), found[1])


def _linear(X: Floats, y: Floats) -> tuple[tuple[int, ...], float] | None:
    """Find the fewest columns with an exact linear fit, by leaving out one after the other."""
    known = np.flatnonzero(np.isnan(X).mean(axis=0) <= MOST_MISSING)
    complete = ~np.isnan(X[:, known]).any(axis=1)
    if not 0 < len(known) <= MOST_COLUMNS or complete.sum() < ROWS_PER_COLUMN * (len(known) + 1):
        return None
    Z = np.column_stack([X[np.ix_(complete, known)], y[complete]])
    Z = Z / np.maximum(np.abs(Z).max(axis=0), _TINY)  # so that squares stay finite
    Z = Z - Z.mean(axis=0)
    Z = Z / np.maximum(Z.std(axis=0), _TINY)
    correlations = Z.T @ Z / len(Z)
    kept = list(range(len(known)))
    if _fit(correlations, kept) < EXACT:
        return None
    for column in sorted(kept, key=lambda i: abs(correlations[i, -1])):
        fewer = [i for i in kept if i != column]
        if fewer and _fit(correlations, fewer) >= EXACT:
            kept = fewer
    return tuple(int(known[i]) for i in kept), _fit(correlations, kept)


def _fit(correlations: Floats, columns: list[int]) -> float:
    """Return R² of the target, the last variable, on some columns, from the matrix of correlations."""
    own, target = correlations[np.ix_(columns, columns)], correlations[columns, -1]
    return float(target @ np.linalg.lstsq(own, target, rcond=1e-10)[0])
