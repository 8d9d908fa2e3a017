"""The two metrics of order: area under the ROC curve and under the precision-recall curve.

Both come with the influence of every row on the value, which gives their standard errors without resampling, paired
and clustered as well as plain.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from tiltyard.bundle.model import Predictions
from tiltyard.evaluation.terms import Floats, Labels


def roc_auc(positive: NDArray[np.bool_], scores: Floats) -> float:
    """Return the probability that a positive row scores above a negative one, ties counting half.

    Mann & Whitney (1947); equal to the area under the ROC curve (Hanley & McNeil 1982).

    Args:
        positive: Which rows are positive, shape (n,).
        scores: Shape (n,), larger for likelier.

    Returns:
        0 to 1; NaN when only one class is there.
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(scores)[positive].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def placements(positive: NDArray[np.bool_], scores: Floats) -> Floats:
    """Return for every row the share of rows of the other class that it is ordered rightly against.

    The structural components of DeLong, DeLong & Clarke-Pearson (1988), by the mid-ranks of Sun & Xu (2014):
    O(n log n).

    Args:
        positive: Which rows are positive, shape (n,); both classes must be there.
        scores: Shape (n,).

    Returns:
        Shape (n,); their mean over either class is the AUC.
    """
    positives, negatives = int(positive.sum()), int((~positive).sum())
    overall = rankdata(scores)
    shares = np.empty(len(scores))
    shares[positive] = (overall[positive] - rankdata(scores[positive])) / negatives
    shares[~positive] = 1.0 - (overall[~positive] - rankdata(scores[~positive])) / positives
    return shares


def roc_auc_influence(positive: NDArray[np.bool_], scores: Floats) -> Floats:
    """Return how much each row moves the AUC, shape (n,); sums to zero (Obuchowski 1997 sums it over clusters)."""
    shares = placements(positive, scores)
    area = shares[positive].mean()
    return np.asarray((shares - area) / np.where(positive, positive.sum(), (~positive).sum()), dtype=np.float64)


def _precision_at(positive: NDArray[np.bool_], scores: Floats) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Return rows by falling score, and at each the hits and rows with at least its score (ties together)."""
    order = np.argsort(-scores, kind="stable")
    last = np.searchsorted(-scores[order], -scores[order], side="right") - 1
    return order, np.cumsum(positive[order])[last].astype(np.float64), (last + 1).astype(np.float64)


def pr_auc(positive: NDArray[np.bool_], scores: Floats) -> float:
    """Return the average precision: precision at every positive row, averaged.

    Args:
        positive: Which rows are positive, shape (n,).
        scores: Shape (n,).

    Returns:
        0 to 1; NaN when no row is positive.
    """
    if not positive.any():
        return float("nan")
    order, hits, above = _precision_at(positive, scores)
    return float((hits / above)[positive[order]].mean())


def pr_auc_influence(positive: NDArray[np.bool_], scores: Floats) -> Floats:
    """Return how much each row moves the average precision, shape (n,).

    The functional is E[Y T(S)/G(S)] / E[Y] with T(s) = P(Y=1, S>=s) and G(s) = P(S>=s); its derivative at one row
    has a part from the row itself and parts from moving T and G at all lower scores.
    """
    order, hits, above = _precision_at(positive, scores)
    labels = positive[order].astype(np.float64)
    first = np.searchsorted(-scores[order], -scores[order], side="left")

    def from_below(values: Floats) -> Floats:
        return np.cumsum(values[::-1])[::-1][first]

    value = (labels * hits / above).sum() / labels.sum()
    lift = labels * (hits / above - value + from_below(labels / above)) - from_below(labels * hits / above**2)
    influence = np.empty(len(scores))
    influence[order] = lift / labels.sum()
    return influence


def _classes_to_rank(y: Labels, predictions: Predictions) -> list[tuple[NDArray[np.bool_], Floats]]:
    """Return (positive rows, scores) of the positive class, or of each class that has rows inside and outside."""
    assert predictions.probabilities is not None, "a metric of order needs probabilities"
    classes = predictions.probabilities.shape[1]
    codes = [1] if classes == 2 else range(classes)
    pairs = [(y == code, predictions.probabilities[:, code]) for code in codes]
    return [(positive, scores) for positive, scores in pairs if positive.any() and not positive.all()]


def ranking_score(metric: str, y: Labels, predictions: Predictions) -> float:
    """Return `roc_auc` (for several classes the mean of one against the rest) or `pr_auc`; NaN for one class."""
    single = roc_auc if metric == "roc_auc" else pr_auc
    pairs = _classes_to_rank(y, predictions)
    return float(np.mean([single(*pair) for pair in pairs])) if pairs else float("nan")


def ranking_influence(metric: str, y: Labels, predictions: Predictions) -> Floats:
    """Return how much each row moves `roc_auc` or `pr_auc`, shape (n,); NaN when the metric is not defined."""
    single = roc_auc_influence if metric == "roc_auc" else pr_auc_influence
    pairs = _classes_to_rank(y, predictions)
    if not pairs:
        return np.full(len(y), np.nan)
    return np.asarray(np.mean([single(*pair) for pair in pairs], axis=0), dtype=np.float64)
