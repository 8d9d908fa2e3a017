"""What stands between the encoder's matrix and an estimator: two views of it, and a scaled regression target.

The encoder leaves codes for categories and NaN for missing values. Boosting takes them as they are; other trees need
the holes filled (`FilledView`), everything else needs numbers of one scale (`DenseView`). Both compute with operations
that a graph has too, in the same precision and order, so that `tiltyard.bundle.graph` reproduces them exactly.

The dense view is double: an estimator fitted on float32 answers in float32, and where the target is counted in
thousands its rounding alone is larger than the parity a bundle promises.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin, clone

CLIP = 100.0
"""Standardised numbers are cut at ±100 standard deviations: an absurd input must not decide by its size alone."""

SKEWED = 1.5
"""Columns with a larger absolute skewness are seen through the signed logarithm."""

ONE_HOT_LEVELS = 64
"""Levels of a category that get a column of their own; codes go by frequency, so the rarest share none."""


class FilledView(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The matrix with missing values put below everything seen in their column; all other values stay.

    Args:
        levels: Per column of the matrix the number of category levels, 0 for numbers.

    Attributes:
        fill_: float32, shape (f,); what stands for missing.
    """

    def __init__(self, levels: tuple[int, ...]) -> None:
        self.levels = levels

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Find a value below each column's minimum.

        Args:
            X: float32, shape (n, f), NaN for missing.
            y: Not used.
        """
        del y
        matrix = np.asarray(X, dtype=np.float32)
        self.n_features_in_ = matrix.shape[1]
        self.fill_ = np.array(
            [-2.0 if count else _below(column) for count, column in zip(self.levels, matrix.T, strict=True)],
            dtype=np.float32,
        )
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return float32, shape (n, f), without NaN."""
        matrix = np.asarray(X, dtype=np.float32)
        return np.where(np.isnan(matrix), self.fill_, matrix)


class DenseView(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The matrix as numbers of one scale: imputed, logged where skewed, standardised, one-hot.

    A number x becomes clip((s(x) - mean) / scale, ±100), where missing is the median and s(x) is x, or
    sign(x)·log(1+|x|) in skewed columns; a column with missing values gets a second one that says so. A category
    becomes a 0/1 column per level (the 64 most frequent at most) and one for missing when it was seen; unknown and
    rare levels are zeros throughout.

    Args:
        levels: Per column of the matrix the number of category levels, 0 for numbers.

    Attributes:
        numbers_: Columns that are numbers, int64, shape (m,).
        fill_: Median of each number, float64, shape (m,).
        skewed_: Whether it is seen through the logarithm, bool, shape (m,).
        mean_: float64, shape (m,).
        scale_: Standard deviation, 1 for constant columns; float64, shape (m,).
        holes_: Columns of numbers with missing values, int64.
        codes_: Column and code of each one-hot column, shape (c, 2), float64; the code is NaN for missing.
    """

    def __init__(self, levels: tuple[int, ...]) -> None:
        self.levels = levels

    def fit(self, X: ArrayLike, y: ArrayLike | None = None) -> Self:
        """Learn medians, scales and which columns have missing values.

        Args:
            X: float32, shape (n, f), NaN for missing.
            y: Not used.
        """
        del y
        matrix = np.asarray(X, dtype=np.float32)
        self.n_features_in_ = matrix.shape[1]
        counts = np.asarray(self.levels, dtype=np.int64)
        self.numbers_ = np.flatnonzero(counts == 0)
        missing = np.asarray(np.isnan(matrix).any(axis=0), dtype=bool)
        self.holes_ = self.numbers_[missing[self.numbers_]]
        self.codes_ = _one_hot_codes(counts, missing)
        numbers = matrix[:, self.numbers_].astype(np.float64)
        self.fill_ = np.array([_median(column) for column in numbers.T], dtype=np.float64)
        numbers = np.where(np.isnan(numbers), self.fill_, numbers)
        self.skewed_ = np.array([abs(_skewness(column)) > SKEWED for column in numbers.T], dtype=bool)
        numbers = np.where(self.skewed_, signed_log(numbers), numbers)
        self.mean_ = numbers.mean(axis=0)
        spread = numbers.std(axis=0)
        self.scale_ = np.where(spread > 1e-12 * np.maximum(np.abs(self.mean_), 1e-12), spread, 1.0)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return float64, shape (n, numbers + columns with holes + one-hot columns), finite."""
        matrix = np.asarray(X, dtype=np.float32)
        numbers = matrix[:, self.numbers_].astype(np.float64)
        numbers = np.where(np.isnan(numbers), self.fill_, numbers)
        if self.skewed_.any():
            numbers = np.where(self.skewed_, signed_log(numbers), numbers)
        scaled = np.clip((numbers - self.mean_) / self.scale_, -CLIP, CLIP)
        blocks = [scaled, np.isnan(matrix[:, self.holes_]).astype(np.float64)]
        if len(self.codes_):
            blocks.append(self._one_hot(matrix))
        return np.concatenate(blocks, axis=1)

    def _one_hot(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        values = matrix[:, self.codes_[:, 0].astype(np.int64)]
        codes = self.codes_[:, 1].astype(np.float32)
        same = (values == codes) | (np.isnan(values) & np.isnan(codes))
        return np.asarray(same, dtype=np.float64)


class ScaledTarget(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A regressor fitted on the standardised target; predictions are scaled back in double.

    Args:
        estimator: The regressor; cloned, not fitted itself.

    Attributes:
        estimator_: The fitted regressor.
        mean_: Mean of the target.
        scale_: Its standard deviation, 1 when it is constant.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: ArrayLike, y: ArrayLike, **fit_parameters: Any) -> Self:
        """Fit the regressor on (y - mean) / scale.

        Args:
            X: Shape (n, f), as the regressor takes it.
            y: float64, shape (n,).
            fit_parameters: Passed on to the regressor's `fit`.
        """
        target = np.asarray(y, dtype=np.float64)
        self.mean_ = float(target.mean())
        self.scale_ = float(target.std()) or 1.0
        self.estimator_ = clone(self.estimator).fit(X, (target - self.mean_) / self.scale_, **fit_parameters)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return float64, shape (n,), in the units of the target."""
        answer = np.asarray(self.estimator_.predict(X), dtype=np.float64).ravel()
        return np.asarray(answer * self.scale_ + self.mean_)


def signed_log(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sign(x)·log(1+|x|), which tames long tails on both sides and keeps zero."""
    return np.asarray(np.sign(numbers) * np.log(1.0 + np.abs(numbers)))


def _below(column: NDArray[np.float32]) -> float:
    """Return a float32 value clearly below every value of a column.

    The gap is a tenth of the range: wide enough for a split to fall into, narrow enough that the random thresholds of
    extra trees are not spent on it.
    """
    seen = column[~np.isnan(column)].astype(np.float64)
    if not seen.size:
        return -1.0
    low, high = seen.min(), seen.max()
    gap = (high - low) / 10.0 if high > low else max(1.0, abs(low))
    return float(min(np.float32(low - gap), np.nextafter(np.float32(low), np.float32(-np.inf))))


def _median(column: NDArray[np.float64]) -> float:
    seen = column[~np.isnan(column)]
    return float(np.median(seen)) if seen.size else 0.0


def _skewness(column: NDArray[np.float64]) -> float:
    """Return the third standardised moment; 0 for a constant column."""
    centred = column - column.mean()
    spread = np.sqrt((centred**2).mean())
    if spread <= 1e-12 * max(np.abs(column).max(initial=0.0), 1e-12):
        return 0.0
    return float(((centred / spread) ** 3).mean())


def _one_hot_codes(counts: NDArray[np.int64], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return column and code of every one-hot column; NaN stands for missing."""
    pairs = [
        (float(column), code)
        for column in np.flatnonzero(counts)
        for code in [
            *map(float, range(min(int(counts[column]), ONE_HOT_LEVELS))),
            *([np.nan] if missing[column] else []),
        ]
    ]
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)
