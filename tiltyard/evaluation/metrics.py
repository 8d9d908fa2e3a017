"""What a model is worth on some rows: every metric by name, the confusion matrix and the report per class."""

import numpy as np

from tiltyard.bundle.model import Predictions
from tiltyard.errors import DataError, did_you_mean
from tiltyard.evaluation.ranking import ranking_score
from tiltyard.evaluation.records import ClassScore
from tiltyard.evaluation.terms import Labels, terms_of
from tiltyard.project.metrics import METRICS, Task, metrics_of

RANKING = frozenset({"roc_auc", "pr_auc"})


def score(metric: str, y: Labels, predictions: Predictions, *, threshold: float = 0.5) -> float:
    """Return one metric.

    Precision, recall and F1 are of the positive class for two classes, else averaged over the classes that have rows
    (macro); ROC-AUC for several classes is the mean of each class against the rest.

    Args:
        metric: A name of `tiltyard.project.metrics.METRICS`.
        y: Class codes in contract order (int64; binary: 1 is positive) or values (float64), shape (n,).
        predictions: What the model answers for the same rows.
        threshold: Decision threshold of the positive class; only for two classes.

    Returns:
        The metric in its own direction; NaN where it is not defined (one class only, MAPE at a true zero, no rows)
        or where a prediction is not finite.

    Raises:
        DataError: There is no such metric, or the lengths differ.

    Example:
        >>> answers = Predictions(values=np.array([1.0, 2.0, 4.0]))
        >>> score("mae", np.array([1.0, 2.0, 3.0]), answers)
        0.3333333333333333
    """
    if metric not in METRICS:
        raise DataError(f"`{metric}` is not a metric", cure=did_you_mean(metric, METRICS))
    if len(y) != len(predictions.array):
        raise DataError(f"{len(y)} true answers cannot be compared with {len(predictions.array)} predictions")
    if not len(y) or not np.isfinite(predictions.array).all():
        return float("nan")
    if metric in RANKING:
        return ranking_score(metric, y, predictions)
    return terms_of(metric, y, predictions, threshold).value


def evaluate_metrics(task: Task, y: Labels, predictions: Predictions, *, threshold: float = 0.5) -> dict[str, float]:
    """Return every metric of the task that is defined on these rows, in the order people read them."""
    values = {one.name: score(one.name, y, predictions, threshold=threshold) for one in metrics_of(task)}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def confusion_matrix(y: Labels, predictions: Predictions, *, threshold: float = 0.5) -> tuple[tuple[int, ...], ...]:
    """Return counts: rows of the true class by columns of the predicted one, classes in contract order."""
    assert predictions.probabilities is not None, "a confusion matrix needs classes"
    classes = predictions.probabilities.shape[1]
    cells = np.bincount(y.astype(np.int64) * classes + predictions.labels(threshold), minlength=classes**2)
    return tuple(tuple(int(count) for count in row) for row in cells.reshape(classes, classes))


def class_report(confusion: tuple[tuple[int, ...], ...], classes: tuple[str, ...]) -> tuple[ClassScore, ...]:
    """Return precision, recall and F1 of every class, from the confusion matrix; 0 where a ratio has no rows."""
    counts = np.asarray(confusion, dtype=np.float64).reshape(len(classes), len(classes))
    hits, actual, predicted = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    return tuple(
        ClassScore(
            name=name,
            rows=int(actual[code]),
            precision=float(hits[code] / max(predicted[code], 1.0)),
            recall=float(hits[code] / max(actual[code], 1.0)),
            f1=float(2.0 * hits[code] / max(predicted[code] + actual[code], 1.0)),
        )
        for code, name in enumerate(classes)
    )
