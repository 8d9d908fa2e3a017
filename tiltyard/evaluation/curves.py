"""The points of the curves that are drawn."""

import numpy as np

from tiltyard.evaluation.intervals import wilson
from tiltyard.evaluation.terms import Floats

MOST_POINTS = 1_000


def _counts(truth: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Return hits and rows down to each distinct score, the highest first, thinned to what can be drawn."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    if len(ends) > MOST_POINTS:
        ends = ends[np.linspace(0, len(ends) - 1, MOST_POINTS).astype(np.int64)]
    return np.cumsum(truth[order])[ends], (ends + 1).astype(np.float64)


def roc(truth: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Return false and true positive rates at falling thresholds, from (0, 0) to (1, 1).

    Args:
        truth: 1 for the positive class, else 0, shape (n,); both must be there.
        scores: Shape (n,).
    """
    hits, rows = _counts(truth, scores)
    positives = truth.sum()
    false = (rows - hits) / max(len(truth) - positives, 1.0)
    return np.insert(false, 0, 0.0), np.insert(hits / max(positives, 1.0), 0, 0.0)


def precision_recall(truth: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Return recall and precision at falling thresholds; arguments as `roc`."""
    hits, rows = _counts(truth, scores)
    return hits / max(truth.sum(), 1.0), hits / rows


def gains(truth: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Return the share of rows taken, best first, and the share of positives among them; arguments as `roc`."""
    hits, rows = _counts(truth, scores)
    return np.insert(rows / len(truth), 0, 0.0), np.insert(hits / max(truth.sum(), 1.0), 0, 0.0)


def calibration(said: Floats, came: Floats, bins: int = 10) -> tuple[Floats, Floats, Floats, Floats]:
    """Return mean probability, observed share and its Wilson interval in bins of equal size.

    Args:
        said: Predicted probability, shape (n,).
        came: Whether it came true, 0 or 1, shape (n,).
        bins: Number of bins; rows of one probability stay together.

    Returns:
        Four arrays of one value per bin: mean probability, share, low and high end.
    """
    edges = np.unique(np.quantile(said, np.arange(1, bins) / bins))
    codes = np.searchsorted(edges, said, side="left")
    points = []
    for code in np.unique(codes):
        inside = codes == code
        share = float(came[inside].mean())
        points.append((float(said[inside].mean()), share, *wilson(share, int(inside.sum()))))
    means, shares, lows, highs = np.array(points, dtype=np.float64).T
    return means, shares, lows, highs


def running_median(places: Floats, values: Floats, points: int = 20) -> tuple[Floats, Floats]:
    """Return the median place and value of equally large groups of neighbours, in order of place."""
    parts = np.array_split(np.argsort(places, kind="stable"), min(points, len(places)))
    return np.array([np.median(places[part]) for part in parts]), np.array([np.median(values[part]) for part in parts])
