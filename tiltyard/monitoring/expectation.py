"""What a classifier's metric is expected to be, from probabilities that are right instead of labels.

Confidence-based performance estimation, as NannyML's documentation describes it under that name: where a fraction c of
the rows with one score is truly positive, each of them counts as c of a positive row and 1 - c of a negative one in
the confusion matrix and in every pair of rows. The score becomes c by isotonic regression on rows with known labels
(Zadrozny & Elkan 2002; Barlow et al. 1972), weighted so that they look like the rows asked about (Białek et al. 2025,
"Estimating Model Performance Under Covariate Shift Without Labels").
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.isotonic import isotonic_regression

from tiltyard.bundle.model import Predictions
from tiltyard.evaluation.terms import CALIBRATION_BINS, LEAST_PROBABILITY

Floats = NDArray[np.float64]

MOST_BINS = 100
_ROWS_A_BIN = 10.0


@dataclass(frozen=True)
class Curve:
    """The scores of one class on rows with known labels, in bins of about equal weight.

    Attributes:
        bins: Bin of each row, shape (n,).
        hits: Whether each row is of the class, as 0 or 1, shape (n,).
        weights: Weight of each row, shape (n,).
        scores: Score of each row, shape (n,).
        count: Number of bins.
    """

    bins: NDArray[np.int64]
    hits: Floats
    weights: Floats
    scores: Floats
    count: int

    @classmethod
    def of(cls, scores: Floats, hits: NDArray[np.bool_], weights: Floats) -> "Curve":
        """Return the curve; rows of one score share a bin, and a bin has the weight of about ten rows or more.

        Args:
            scores: Probability of the class, as the model says it, shape (n,).
            hits: Whether the row is of the class, shape (n,).
            weights: How much each row counts, shape (n,).
        """
        wanted = int(np.clip(effective(weights) / _ROWS_A_BIN, 1, MOST_BINS))
        order = np.argsort(scores, kind="stable")
        middle = np.cumsum(weights[order]) - weights[order] / 2
        placed = np.empty(len(scores))
        placed[order] = middle / weights.sum()
        _, same = np.unique(scores, return_inverse=True)
        together = np.bincount(same, weights=placed) / np.bincount(same)
        raw = np.minimum((together[same] * wanted).astype(np.int64), wanted - 1)
        distinct, bins = np.unique(raw, return_inverse=True)
        return cls(bins.astype(np.int64), hits.astype(np.float64), weights, scores, len(distinct))

    def calibrated(self, scores: Floats, times: Floats | None = None) -> Floats:
        """Return the share of rows of the class at some scores, shape (m,).

        Args:
            scores: Scores asked about, shape (m,).
            times: How often each row of the curve counts, shape (n,); once when left out.
        """
        weights = self.weights if times is None else self.weights * times
        mass = np.bincount(self.bins, weights=weights, minlength=self.count)
        full = mass > 0
        shares = np.bincount(self.bins, weights=weights * self.hits, minlength=self.count)[full] / mass[full]
        centres = np.bincount(self.bins, weights=weights * self.scores, minlength=self.count)[full] / mass[full]
        rising = isotonic_regression(shares, sample_weight=mass[full], y_min=0.0, y_max=1.0)
        return np.interp(scores, centres, np.asarray(rising, dtype=np.float64))


def effective(weights: Floats) -> float:
    """Return as how many equal rows weighted ones count (Kish 1965).

    Example:
        >>> effective(np.array([1.0, 1.0])), effective(np.array([1.0, 0.0]))
        (2.0, 1.0)
    """
    return float(weights.sum() ** 2 / (weights @ weights))


def curves_of(probabilities: Floats, y: NDArray[np.int64], weights: Floats) -> tuple[Curve, ...]:
    """Return the curve of the positive class for two classes, else of each class against the rest.

    Args:
        probabilities: Shape (n, k).
        y: Class codes, shape (n,).
        weights: How much each row counts, shape (n,).
    """
    classes = (1,) if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    return tuple(Curve.of(probabilities[:, code], y == code, weights) for code in classes)


def calibrate(curves: tuple[Curve, ...], probabilities: Floats, times: Floats | None = None) -> Floats:
    """Return probabilities that are right for the rows of the curves, shape (m, k).

    Several classes are calibrated one against the rest and brought to a sum of 1 (Zadrozny & Elkan 2002).

    Args:
        curves: See `curves_of`.
        probabilities: As the model says them, shape (m, k).
        times: How often each row of the curves counts; see `Curve.calibrated`.
    """
    if len(curves) == 1:
        positive = curves[0].calibrated(probabilities[:, 1], times)
        return np.column_stack([1.0 - positive, positive])
    shares = np.column_stack([curve.calibrated(probabilities[:, code], times) for code, curve in enumerate(curves)])
    total = shares.sum(axis=1, keepdims=True)
    return np.where(total > 0, shares / np.where(total > 0, total, 1.0), probabilities)


def expected(metric: str, predictions: Predictions, chances: Floats, threshold: float) -> float:
    """Return what a metric is expected to be on rows without labels.

    Ratios are of expected counts, as in NannyML's documentation of CBPE.

    Args:
        metric: Any metric of classes.
        predictions: What the model answered for m rows.
        chances: Probability of each class that is right, shape (m, k).
        threshold: Decision threshold of the positive class.

    Returns:
        The metric; NaN where it is not defined.
    """
    assert predictions.probabilities is not None, "the expectation of a metric of classes needs probabilities"
    if metric in _RANKED:
        classes = (1,) if chances.shape[1] == 2 else range(chances.shape[1])
        return float(
            np.mean([_RANKED[metric](predictions.probabilities[:, code], chances[:, code]) for code in classes])
        )
    if metric in _COUNTED:
        return _class_mean(metric, predictions, chances, threshold)
    return _ROWWISE[metric](predictions, chances, threshold)


def expected_roc_auc(scores: Floats, chances: Floats) -> float:
    """Return the expected area: pairs of two rows, weighted by the chance of being positive and negative.

    Args:
        scores: Shape (m,), larger for likelier.
        chances: Probability of the class, shape (m,).

    Returns:
        0 to 1; NaN when one of the classes is not expected at all.

    Example:
        >>> expected_roc_auc(np.array([0.1, 0.2, 0.9]), np.array([0.0, 0.0, 1.0]))
        1.0
    """
    order = np.argsort(scores, kind="stable")
    ordered, positive = scores[order], chances[order]
    negative = 1.0 - positive
    sums = np.concatenate([[0.0], np.cumsum(negative)])
    first = np.searchsorted(ordered, ordered, side="left")
    last = np.searchsorted(ordered, ordered, side="right")
    own = float(positive @ negative)
    above = float(positive @ (sums[first] + 0.5 * (sums[last] - sums[first]))) - 0.5 * own
    pairs = float(positive.sum() * negative.sum()) - own
    return above / pairs if pairs > 0 else float("nan")


def expected_pr_auc(scores: Floats, chances: Floats) -> float:
    """Return the expected average precision; as `expected_roc_auc`.

    A row that is positive counts itself among the positive rows above it, the others by their chance.
    """
    order = np.argsort(-scores, kind="stable")
    ordered, positive = -scores[order], chances[order]
    last = np.searchsorted(ordered, ordered, side="right")
    hits = np.cumsum(positive)[last - 1] + 1.0 - positive
    total = float(positive.sum())
    return float(positive @ (hits / last)) / total if total > 0 else float("nan")


def _class_mean(metric: str, predictions: Predictions, chances: Floats, threshold: float) -> float:
    """Return precision, recall or F1 from the expected confusion matrix: of the positive class, or averaged."""
    chosen = np.equal.outer(predictions.labels(threshold), np.arange(chances.shape[1]))
    hits, predicted, actual = (chances * chosen).sum(axis=0), chosen.sum(axis=0).astype(np.float64), chances.sum(axis=0)
    if chances.shape[1] == 2:
        hits, predicted, actual = hits[1:], predicted[1:], actual[1:]
    above, below = {
        "precision": (hits, predicted),
        "recall": (hits, actual),
        "f1": (2.0 * hits, predicted + actual),
    }[metric]
    shares = np.where(below > 0, above / np.where(below > 0, below, 1.0), 0.0)
    present = actual > 0
    return float(shares[present].mean()) if present.any() else float("nan")


def _accuracy(predictions: Predictions, chances: Floats, threshold: float) -> float:
    return float(chances[np.arange(len(chances)), predictions.labels(threshold)].mean())


def _log_loss(predictions: Predictions, chances: Floats, _: float) -> float:
    assert predictions.probabilities is not None
    return float(-(chances * np.log(np.clip(predictions.probabilities, LEAST_PROBABILITY, 1.0))).sum(axis=1).mean())


def _brier(predictions: Predictions, chances: Floats, _: float) -> float:
    """Return the expected squared error: of the positive class, or summed over the classes."""
    said = predictions.probabilities
    assert said is not None
    squares = said**2 - 2.0 * said * chances + chances
    return float(squares[:, 1].mean() if said.shape[1] == 2 else squares.sum(axis=1).mean())


def _ece(predictions: Predictions, chances: Floats, _: float) -> float:
    said = predictions.probabilities
    assert said is not None
    rows = np.arange(len(said))
    likeliest = np.ones(len(said), np.int64) if said.shape[1] == 2 else said.argmax(axis=1)
    confidence, hit = said[rows, likeliest], chances[rows, likeliest]
    bins = np.clip((confidence * CALIBRATION_BINS).astype(np.int64), 0, CALIBRATION_BINS - 1)
    return float(np.abs(np.bincount(bins, weights=hit - confidence)).sum() / len(said))


_RANKED = {"roc_auc": expected_roc_auc, "pr_auc": expected_pr_auc}
_COUNTED = frozenset({"precision", "recall", "f1"})
_ROWWISE = {"accuracy": _accuracy, "log_loss": _log_loss, "brier": _brier, "ece": _ece}


def calibration_gap(probabilities: Floats, y: NDArray[np.int64], weights: Floats, seed: int) -> float:
    """Return how far probabilities are off after calibration, on rows that the calibration has not seen.

    The expected calibration error of the worst class, in ten bins of as many rows by two-fold cross-fitting, less what
    chance alone adds to it (Bröcker 2012; Ferro & Fricker 2012 correct the Brier score's reliability the same way).

    Args:
        probabilities: As the model says them, shape (n, k).
        y: Class codes, shape (n,).
        weights: How much each row counts, shape (n,).
        seed: Seed of the halves.
    """
    half = np.random.default_rng(seed).permutation(len(y)) % 2 == 0
    right = np.empty_like(probabilities)
    for kept in (half, ~half):
        curves = curves_of(probabilities[kept], y[kept], weights[kept])
        right[~kept] = calibrate(curves, probabilities[~kept])
    classes = (1,) if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    return max(_gap(probabilities[:, code], right[:, code], y == code, weights) for code in classes)


def _gap(scores: Floats, chances: Floats, hits: NDArray[np.bool_], weights: Floats) -> float:
    """Return the gap of one class, in bins of its score: in bins of what calibration made of it nothing would show."""
    ranks = (rankdata(scores, method="ordinal") - 1) / len(scores)
    bins = (ranks * 10).astype(np.int64)
    total = weights.sum()
    off = np.abs(np.bincount(bins, weights=weights * (hits - chances), minlength=10)) / total
    noise = np.sqrt(np.bincount(bins, weights=weights**2 * chances * (1 - chances), minlength=10)) / total
    return float(max(0.0, (off - noise * np.sqrt(2 / np.pi)).sum()))
