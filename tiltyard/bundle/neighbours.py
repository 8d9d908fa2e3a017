"""Nearest neighbours with one answer: equally distant rows are taken in the order of the training table.

scikit-learn leaves ties to the layout of its heaps; on tables of categories four answers of ten then depend on it,
and no graph can agree. Here distances are compared on a grid of 2^-20 (a millionth, in standardised units), which
swallows the rounding of any order of summation, and the earlier row wins a tie. So pipeline and graph agree always.
"""

from collections.abc import Iterator
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

GRID = 2.0**20
"""Steps per unit on which distances are compared."""

FARTHEST = 2.0**38
"""Steps beyond which all distances are alike; nothing but absurd rows lies that far from everything."""

_CELLS = 4_000_000
"""Distances computed at once."""


class _Neighbours(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """What both kinds share.

    Args:
        n_neighbors: How many rows count, each as much.
        p: 2 for Euclidean, 1 for Manhattan distances.

    Attributes:
        points_: Training rows, float64, shape (m, f).
        answers_: What each training row says, float64, shape (m, k).
    """

    def __init__(self, n_neighbors: int = 5, p: Literal[1, 2] = 2) -> None:
        self.n_neighbors = n_neighbors
        self.p = p

    def _remember(self, X: ArrayLike, answers: NDArray[np.float64]) -> None:
        self.points_ = np.ascontiguousarray(X, dtype=np.float64)
        self.n_features_in_ = self.points_.shape[1]
        self.answers_ = answers

    def _mean_answer(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the mean answer of the nearest rows, shape (n, k)."""
        count = min(self.n_neighbors, len(self.points_))
        parts = [self.answers_[_nearest(steps, count)].mean(axis=1) for steps in self._steps(np.asarray(X, np.float64))]
        return np.concatenate(parts) if parts else np.empty((0, self.answers_.shape[1]))

    def _steps(self, rows: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
        """Yield the distances to all points in whole steps of the grid, some rows at a time."""
        size = max(1, _CELLS // len(self.points_))
        squares = (self.points_**2).sum(axis=1)
        for start in range(0, len(rows), size):
            part = rows[start : start + size]
            if self.p == 1:
                distances = cdist(part, self.points_, "cityblock")
            else:
                own = (part**2).sum(axis=1, keepdims=True)
                distances = np.maximum(part @ (-2.0 * self.points_.T) + squares + own, 0.0)
            yield np.minimum(np.round(distances * GRID), FARTHEST)


class NeighboursClassifier(ClassifierMixin, _Neighbours):  # type: ignore[misc]  # scikit-learn has no types
    """Class shares among the nearest rows; see the module for ties."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Remember the rows.

        Args:
            X: Shape (m, f), finite.
            y: Classes, shape (m,).
        """
        self.classes_, codes = np.unique(np.asarray(y), return_inverse=True)
        self._remember(X, np.eye(len(self.classes_))[codes])
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return float64, shape (n, k)."""
        return self._mean_answer(X)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the likeliest class of each row, shape (n,)."""
        return np.asarray(self.classes_[self.predict_proba(X).argmax(axis=1)])


class NeighboursRegressor(RegressorMixin, _Neighbours):  # type: ignore[misc]  # scikit-learn has no types
    """Mean target of the nearest rows; see the module for ties."""

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Remember the rows.

        Args:
            X: Shape (m, f), finite.
            y: Values, shape (m,).
        """
        self._remember(X, np.asarray(y, dtype=np.float64).reshape(-1, 1))
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return float64, shape (n,)."""
        return self._mean_answer(X)[:, 0]


def _nearest(steps: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return the `count` smallest of each row by (steps, position), packed into one integer; shape (n, count)."""
    points = steps.shape[1]
    packed = steps.astype(np.int64) * points + np.arange(points)
    if count < points:
        packed = np.partition(packed, count - 1, axis=1)[:, :count]
    return np.asarray(packed % points, dtype=np.int64)
