"""How well one column alone tells the target, out of fold. Pure functions on arrays."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from tiltyard.data.contract import Kind

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

BINS = 256
"""Numbers with more distinct values than this are cut into as many bins of equal size."""
LEAST_CLASS = 4
"""Smaller classes cannot be scored out of fold."""
SMOOTHING = 1.0
"""Rows of the overall mean that are mixed into every bin."""


def level_codes(values: pd.Series, kind: Kind) -> Codes:
    """Number the levels or quantile bins of a column; missing values are a level of their own.

    Args:
        values: Typed column, shape (n,).
        kind: Its kind.

    Returns:
        int64 ≥ 0, shape (n,).
    """
    codes, uniques = pd.factorize(values, use_na_sentinel=True)
    if kind in (Kind.NUMBER, Kind.INTEGER, Kind.TIME) and len(uniques) > BINS:
        ranks = values.rank(method="min", pct=True).to_numpy(dtype=np.float64, na_value=np.nan)
        codes = np.where(np.isnan(ranks), -1, np.nan_to_num(ranks) * BINS).astype(np.int64)
    return codes.astype(np.int64) + 1


def out_of_fold_means(codes: Codes, y: Floats, fold: Codes) -> Floats:
    """Predict every row by the mean of its level in the other folds.

    Args:
        codes: Level of each row, int64 ≥ 0, shape (n,).
        y: float64, shape (n,).
        fold: Fold of each row, int64 ≥ 0, shape (n,).

    Returns:
        float64, shape (n,); the overall mean where the other folds lack the level.
    """
    width, folds = int(codes.max()) + 1, int(fold.max()) + 1
    cells = fold * width + codes
    counts = np.bincount(cells, minlength=width * folds).reshape(folds, width)
    sums = np.bincount(cells, weights=y, minlength=width * folds).reshape(folds, width)
    others, other_sums = counts.sum(axis=0) - counts, sums.sum(axis=0) - sums
    means = (other_sums + SMOOTHING * y.mean()) / (others + SMOOTHING)
    return np.asarray(means[fold, codes], dtype=np.float64)


def auc(positive: NDArray[np.bool_], score: Floats) -> float:
    """Area under the ROC curve as the Mann-Whitney statistic, ties counted half.

    Args:
        positive: bool, shape (n,), with both values.
        score: float64, shape (n,); higher means more likely positive.
    """
    n1 = int(positive.sum())
    n0 = len(positive) - n1
    return float((rankdata(score)[positive].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def class_separation(codes: Codes, y: Codes, fold: Codes, *, enough: float) -> float:
    """Score how well a column alone separates the classes: the ROC-AUC of the class it separates worst.

    Classes of fewer than `LEAST_CLASS` rows do not count: folds cannot tell about them.

    Args:
        codes: Level of each row, int64 ≥ 0, shape (n,).
        y: Class codes, int64 ≥ 0, shape (n,).
        fold: Fold of each row, int64 ≥ 0, shape (n,).
        enough: Stop at the first class below this.
    """
    counts = np.bincount(y)
    worst = 1.0
    for value in np.argsort(-counts, kind="stable"):
        if counts[value] < LEAST_CLASS:
            break
        positive = y == value
        worst = min(worst, auc(positive, out_of_fold_means(codes, positive.astype(np.float64), fold)))
        if worst < enough:
            break
    return worst


def explained_share(codes: Codes, y: Floats, fold: Codes) -> float:
    """Score how much of a number a column alone explains: R² of its out-of-fold means."""
    y = _standard(y)
    residual = y - out_of_fold_means(codes, y, fold)
    return float(1 - (residual**2).mean())


def monotone_share(values: pd.Series, kind: Kind, y: Floats) -> float:
    """Score how nearly a numeric column is a rising or falling function of a number: squared correlation.

    Of values (Pearson) and of ranks (Spearman) the larger; 0 for other kinds and for columns that are mostly missing.
    """
    if kind not in (Kind.NUMBER, Kind.INTEGER, Kind.TIME):
        return 0.0
    known = values.notna().to_numpy()
    if 2 * known.sum() < len(values):
        return 0.0
    x: Floats = np.asarray(values[known].astype("int64" if kind is Kind.TIME else "float64"), dtype=np.float64)
    pearson = _standard(x) @ _standard(y[known]) / len(x)
    spearman = _standard(_ranks(x)) @ _standard(_ranks(y[known])) / len(x)
    return float(max(pearson**2, spearman**2))


def _ranks(values: Floats) -> Floats:
    """Rank values, ties by their mean rank."""
    return np.asarray(rankdata(values), dtype=np.float64)


def _standard(values: Floats) -> Floats:
    """Scale to mean 0 and variance 1; constants become zeros. Safe for numbers as large as float64 holds."""
    largest = np.abs(values).max()
    small = values / largest if largest > 0 else values
    centred = small - small.mean()
    deviation = centred.std()
    return centred / deviation if deviation > 0 else np.zeros_like(values)
