"""Metrics that are a function of sums over rows, kept as those sums.

Nearly every metric is: accuracy is a sum of hits over a count, F1 a ratio of three counts, RMSE the root of a mean.
Kept this way a metric can be recomputed for thousands of resamples, or with each row left out, by one matrix product
(`tiltyard.evaluation.bootstrap`, `tiltyard.evaluation.jackknife`). The two metrics of order are in
`tiltyard.evaluation.ranking`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiltyard.bundle.model import Predictions

Floats = NDArray[np.float64]
Labels = NDArray[np.int64] | NDArray[np.float64]

CALIBRATION_BINS = 15
LEAST_PROBABILITY = 2.0**-24
"""Probabilities are clipped here before the logarithm: the resolution of the float32 that a bundle answers in."""


@dataclass(frozen=True)
class Terms:
    """A metric as a function of sums over rows.

    Attributes:
        rows: Shape (n, m); what each row adds to each sum.
        combine: Sums of shape (..., m) → metric of shape (...); NaN where it is not defined.
    """

    rows: Floats
    combine: Callable[[Floats], Floats]

    @property
    def value(self) -> float:
        """The metric on all rows."""
        return float(self.combine(self.rows.sum(axis=0)))


def _divide(above: Floats, below: Floats, empty: float = np.nan) -> Floats:
    """Return above / below, and `empty` where there is nothing to divide by."""
    full = below > 0
    return np.where(full, above / np.where(full, below, 1.0), empty)


def _ratio(sums: Floats) -> Floats:
    return _divide(sums[..., 0], sums[..., 1])


def _mean(losses: Floats) -> Terms:
    return Terms(np.column_stack([losses, np.ones(len(losses))]), _ratio)


def _one_hot(codes: NDArray[np.int64], classes: int) -> Floats:
    return np.equal.outer(codes, np.arange(classes)).astype(np.float64)


def _probabilities(predictions: Predictions) -> Floats:
    assert predictions.probabilities is not None, "a metric of classes needs probabilities"
    return predictions.probabilities


def _values(predictions: Predictions) -> Floats:
    assert predictions.values is not None, "a metric of values needs values"
    return predictions.values


def _accuracy(y: Labels, predictions: Predictions, threshold: float) -> Terms:
    return _mean((predictions.labels(threshold) == y).astype(np.float64))


def _log_loss(y: Labels, predictions: Predictions, _: float) -> Terms:
    chosen = _probabilities(predictions)[np.arange(len(y)), y.astype(np.int64)]
    return _mean(-np.log(np.clip(chosen, LEAST_PROBABILITY, 1.0)))


def _brier(y: Labels, predictions: Predictions, _: float) -> Terms:
    """Brier (1950): squared error of the positive class, or summed over the classes when there are more than two."""
    probabilities = _probabilities(predictions)
    if probabilities.shape[1] == 2:
        return _mean((probabilities[:, 1] - y) ** 2)
    return _mean(((probabilities - _one_hot(y.astype(np.int64), probabilities.shape[1])) ** 2).sum(axis=1))


def _ece(y: Labels, predictions: Predictions, _: float) -> Terms:
    """Expected calibration error in equal-width bins (Naeini et al. 2015; Guo et al. 2017).

    Of the positive class for two classes, else of the likeliest class.
    """
    probabilities = _probabilities(predictions)
    if probabilities.shape[1] == 2:
        confidence, hit = probabilities[:, 1], y.astype(np.float64)
    else:
        confidence, hit = probabilities.max(axis=1), (probabilities.argmax(axis=1) == y).astype(np.float64)
    bins = np.clip((confidence * CALIBRATION_BINS).astype(np.int64), 0, CALIBRATION_BINS - 1)
    gaps = _one_hot(bins, CALIBRATION_BINS) * (hit - confidence)[:, None]

    def combine(sums: Floats) -> Floats:
        return _divide(np.abs(sums[..., :-1]).sum(axis=-1), sums[..., -1])

    return Terms(np.column_stack([gaps, np.ones(len(y))]), combine)


def _counts(y: Labels, predictions: Predictions, threshold: float) -> tuple[Floats, int]:
    """Return hits, predicted and actual rows per counted class, side by side, and how many classes are counted."""
    classes = _probabilities(predictions).shape[1]
    actual = _one_hot(y.astype(np.int64), classes)
    predicted = _one_hot(predictions.labels(threshold), classes)
    if classes == 2:
        actual, predicted, classes = actual[:, 1:], predicted[:, 1:], 1
    return np.concatenate([actual * predicted, predicted, actual], axis=1), classes


def _class_mean(share: Callable[[Floats, Floats, Floats], Floats]) -> Callable[..., Terms]:
    """Return a metric of hits, predicted and actual counts: of the positive class, or averaged over the classes."""

    def terms(y: Labels, predictions: Predictions, threshold: float) -> Terms:
        rows, classes = _counts(y, predictions, threshold)

        def combine(sums: Floats) -> Floats:
            hits, predicted, actual = (sums[..., part * classes : (part + 1) * classes] for part in range(3))
            present = actual > 0
            shares = np.where(present, share(hits, predicted, actual), 0.0)
            return _divide(shares.sum(axis=-1), present.sum(axis=-1).astype(np.float64))

        return Terms(rows, combine)

    return terms


def _rmse(y: Labels, predictions: Predictions, _: float) -> Terms:
    terms = _mean((y - _values(predictions)) ** 2)
    return Terms(terms.rows, lambda sums: np.sqrt(_ratio(sums)))


def _mae(y: Labels, predictions: Predictions, _: float) -> Terms:
    return _mean(np.abs(y - _values(predictions)))


def _r2(y: Labels, predictions: Predictions, _: float) -> Terms:
    """One minus residual over total sum of squares; y is centred first, so that nothing cancels."""
    centred = y - y.mean() if len(y) else y
    errors = (y - _values(predictions)) ** 2

    def combine(sums: Floats) -> Floats:
        spread = sums[..., 2] - _divide(sums[..., 1] ** 2, sums[..., 3])
        return 1.0 - _divide(sums[..., 0], np.where(spread > 1e-12 * sums[..., 2], spread, 0.0))

    return Terms(np.column_stack([errors, centred, centred**2, np.ones(len(y))]), combine)


def _mape(y: Labels, predictions: Predictions, _: float) -> Terms:
    """Mean absolute error as a share of the truth; not defined when a true value is zero."""
    size = np.abs(y)
    return _mean(np.where(size > 0, np.abs(y - _values(predictions)) / np.where(size > 0, size, 1.0), np.nan))


_TERMS: dict[str, Callable[[Labels, Predictions, float], Terms]] = {
    "accuracy": _accuracy,
    "precision": _class_mean(lambda hits, predicted, _: _divide(hits, predicted, 0.0)),
    "recall": _class_mean(lambda hits, _, actual: _divide(hits, actual)),
    "f1": _class_mean(lambda hits, predicted, actual: _divide(2.0 * hits, predicted + actual)),
    "log_loss": _log_loss,
    "brier": _brier,
    "ece": _ece,
    "rmse": _rmse,
    "mae": _mae,
    "r2": _r2,
    "mape": _mape,
}


def terms_of(metric: str, y: Labels, predictions: Predictions, threshold: float = 0.5) -> Terms:
    """Return a metric as sums over rows.

    Args:
        metric: Any metric but `roc_auc` and `pr_auc`, which are not sums.
        y: Class codes (int64) or values (float64), shape (n,).
        predictions: What the model answers for the same rows.
        threshold: Decision threshold of the positive class, for two classes.
    """
    return _TERMS[metric](y, predictions, threshold)
