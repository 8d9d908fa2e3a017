"""The decision threshold: from which probability on a row is called positive."""

import numpy as np
from numpy.typing import NDArray

from tiltyard.errors import TrainingError
from tiltyard.project.model import Costs


def choose_threshold(y: NDArray[np.int64], probability: NDArray[np.float64], aim: str | Costs) -> float:
    """Return the threshold that serves a metric best, or costs least, on given rows.

    Every cut between two neighbouring probabilities is tried; of equally good ones the one nearest to 0.5 wins. The
    threshold lies halfway between its neighbours, so that rounding cannot move a row across it.

    Args:
        y: True classes, 0 or 1, shape (n,).
        probability: Of the positive class, shape (n,), in [0, 1].
        aim: `accuracy`, `f1`, `precision`, `recall`, or what each kind of answer costs.

    Returns:
        A threshold in [0, 1]; a row is positive when its probability is at least this.

    Raises:
        TrainingError: The rows hold one class only, so that nothing can be chosen.

    Example:
        >>> choose_threshold(np.array([0, 0, 1]), np.array([0.125, 0.25, 0.5]), "accuracy")
        0.375
    """
    if len(np.unique(y)) < 2:
        raise TrainingError(
            f"the {len(y)} validation rows hold one class only, so no threshold can be chosen",
            cure="Raise `split.validation`, or leave `search.threshold` out.",
        )
    cuts, positives_above, negatives_above = _cuts(y, probability)
    gain = _gain(aim, positives_above, negatives_above, int(y.sum()), int(len(y) - y.sum()))
    best = np.flatnonzero(gain >= gain.max() - 1e-12)
    return float(cuts[best[np.argmin(np.abs(cuts[best] - 0.5))]])


def _cuts(
    y: NDArray[np.int64], probability: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return every distinct threshold, and the positives and negatives at or above each."""
    values, where = np.unique(probability, return_inverse=True)
    positives = np.bincount(where, weights=y, minlength=len(values))
    negatives = np.bincount(where, weights=1 - y, minlength=len(values))
    cuts = np.concatenate([[values[0] / 2.0], (values[1:] + values[:-1]) / 2.0])
    return cuts, positives[::-1].cumsum()[::-1], negatives[::-1].cumsum()[::-1]


def _gain(
    aim: str | Costs, hits: NDArray[np.float64], alarms: NDArray[np.float64], positives: int, negatives: int
) -> NDArray[np.float64]:
    """Return what is to be made large, for every cut.

    Args:
        aim: Metric or costs.
        hits: True positives.
        alarms: False positives.
        positives: Rows of the positive class.
        negatives: Rows of the other.
    """
    if isinstance(aim, Costs):
        wrong = aim.false_positive * alarms + aim.false_negative * (positives - hits)
        return -(wrong + aim.true_positive * hits + aim.true_negative * (negatives - alarms))
    if aim == "accuracy":
        return hits + (negatives - alarms)
    if aim == "recall":
        return hits / positives
    if aim == "precision":
        return hits / np.maximum(hits + alarms, 1.0)
    return 2.0 * hits / (hits + alarms + positives)
