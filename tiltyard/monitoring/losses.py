"""What the error of a regression is expected to be, by a model of its loss, until labels come.

Direct loss estimation, as NannyML's documentation describes it under that name: gradient boosting learns from
reference rows how large the loss is by features and prediction. What the loss model itself gets wrong is put right by
its residuals on reference rows, weighted to look like the current ones: the augmented estimator of Robins, Rotnitzky
& Zhao (1994), which is right when either the loss model or the weights are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from tiltyard.monitoring.domain import FOLDS, Table, fittable

Floats = NDArray[np.float64]

DOUBT = 0.5
"""Share of the change that weights make to an estimate which is held for uncertain, as a standard deviation: densities
are never known as well as it takes, and the larger the change, the more hangs on them."""

EXTRAPOLATED = 0.4
"""A like share of the whole change of a loss since the reference: trees flatten out where they have few rows, and a
squared loss grows just there."""


@dataclass(frozen=True)
class LossModel:
    """The loss of every row as it is expected, and by how much reference rows differ from that.

    Attributes:
        current: Expected loss of the current rows, shape (m,).
        residuals: Loss less expected loss of the reference rows, each by a model fitted without it, shape (n,).
        weights: How much each reference row counts, shape (n,).
        level: Mean loss of the reference as it is.
    """

    current: Floats
    residuals: Floats
    weights: Floats
    level: float

    @property
    def mean(self) -> float:
        """The mean loss expected of the current rows; at least 0."""
        return max(0.0, float(self.current.mean() + np.average(self.residuals, weights=self.weights)))

    @property
    def doubt(self) -> float:
        """Standard deviation of what the shift itself leaves uncertain, see `DOUBT` and `EXTRAPOLATED`."""
        weighted = float(self.residuals.mean() - np.average(self.residuals, weights=self.weights))
        return float(np.hypot(DOUBT * weighted, EXTRAPOLATED * (self.mean - self.level)))

    @property
    def noise(self) -> float:
        """Variance of the loss of one row about what is expected."""
        middle = np.average(self.residuals, weights=self.weights)
        return float(np.average((self.residuals - middle) ** 2, weights=self.weights))

    def means(self, draws: int, rng: np.random.Generator) -> Floats:
        """Return the mean loss on fresh rows, drawn again and again, shape (draws,).

        Reference rows and current rows are resampled (Efron 1979), and the loss of a current row scatters as it does
        about the expectation on the reference.
        """
        n, m = len(self.residuals), len(self.current)
        found = np.empty(draws)
        for draw in range(draws):
            weights = self.weights * np.bincount(rng.integers(0, n, n), minlength=n)
            middle = float(np.average(self.residuals, weights=weights)) if weights.any() else 0.0
            found[draw] = self.current[rng.integers(0, m, m)].mean() + middle
        return np.maximum(found + rng.normal(0.0, np.hypot(np.sqrt(self.noise / m), self.doubt), draws), 0.0)

    def contradiction(self, rows: NDArray[np.int64], losses: Floats) -> float:
        """Return how far off losses are from what is expected of them.

        Args:
            rows: Current rows whose labels are known, shape (k,).
            losses: Their loss, shape (k,).

        Returns:
            The difference of the mean loss, in standard errors; normal if the expectation is right.
        """
        off = losses - self.current[rows] - np.average(self.residuals, weights=self.weights)
        shares = self.weights / self.weights.sum()
        scatter = max(self.noise, float(off.var()) if len(off) > 1 else 0.0)
        error = np.hypot(np.sqrt(scatter / len(off) + self.noise * float(shares @ shares)), self.doubt)
        return float(off.mean() / error) if error > 0 else (0.0 if abs(off.mean()) < 1e-12 else np.inf)


def loss_model(table: Table, losses: Floats, weights: Floats, *, seed: int, threads: int = 1) -> LossModel:
    """Return the loss model of reference rows for current rows.

    Args:
        table: Features and predictions of both.
        losses: Loss of each reference row, shape (n,).
        weights: How much each reference row counts, shape (n,).
        seed: Seed of the folds.
        threads: Threads of the fit.
    """
    fold_of = np.random.default_rng(seed).permutation(len(losses)) % FOLDS
    current, residuals = np.zeros(len(table.current)), np.empty(len(losses))
    with threadpool_limits(threads):
        for fold in range(FOLDS):
            kept = fold_of != fold
            model = HistGradientBoostingRegressor(
                max_iter=60,
                max_leaf_nodes=15,
                min_samples_leaf=30,
                l2_regularization=1.0,
                early_stopping=False,
                categorical_features=table.words if table.words.any() else None,
                random_state=seed,
            ).fit(fittable(table.reference[kept]), losses[kept])
            current += np.asarray(model.predict(table.current), dtype=np.float64) / FOLDS
            residuals[~kept] = losses[~kept] - model.predict(table.reference[~kept])
    return LossModel(current, residuals, weights, float(losses.mean()))
