"""A model that knows nothing: the constant answer that a first champion must beat."""

import numpy as np
from numpy.typing import NDArray

from tiltyard.bundle.model import Predictions
from tiltyard.evaluation.paired import compare
from tiltyard.evaluation.records import Comparison
from tiltyard.evaluation.terms import Labels
from tiltyard.project.metrics import Task

_JUDGED_BY = {"precision": "roc_auc", "recall": "roc_auc", "f1": "roc_auc", "ece": "log_loss"}
"""A constant answer can be unbeatable by these (recall 1, calibration error 0), so another metric stands in."""


def constant_answers(task: Task, trained_on: Labels, rows: int, *, classes: int = 0, metric: str = "") -> Predictions:
    """Return the best constant answer learnt from the training rows.

    Args:
        task: What is predicted.
        trained_on: True answers of the training rows, shape (m,).
        rows: Number of rows n to answer.
        classes: Number of classes k; 0 for regression.
        metric: What will be measured: the median is the best constant for `mae` and `mape`, the mean for the rest.

    Returns:
        The classes' shares in training, or their mean or median, for each of the n rows.
    """
    if task.is_classification:
        shares = np.bincount(trained_on.astype(np.int64), minlength=classes) / max(len(trained_on), 1)
        return Predictions(probabilities=np.tile(shares.astype(np.float64), (rows, 1)))
    centre = np.median(trained_on) if metric in {"mae", "mape"} else np.mean(trained_on)
    return Predictions(values=np.full(rows, float(centre)))


def compare_with_constant(  # noqa: PLR0913  # the two models, the rows and the error rate, as `compare`
    metric: str,
    task: Task,
    trained_on: Labels,
    y: Labels,
    challenger: Predictions,
    *,
    threshold: float = 0.5,
    groups: NDArray[np.int64] | None = None,
    alpha: float = 0.05,
) -> Comparison | None:
    """Compare a model with the best constant answer.

    Args:
        metric: The metric of the gate; precision, recall and F1 are replaced by ROC-AUC and ECE by log loss, which a
            constant answer cannot win by.
        task: What is predicted.
        trained_on: True answers of the training rows.
        y: True answers of the n rows that judge.
        challenger: The model's answers to them.
        threshold: Its decision threshold.
        groups: Cluster of each row that judges; rows are independent when left out.
        alpha: One-sided error rate.

    Returns:
        The comparison, the constant answer in the champion's place; None where the metric is not defined.
    """
    judged_by = _JUDGED_BY.get(metric, metric)
    classes = 0 if challenger.probabilities is None else challenger.probabilities.shape[1]
    constant = constant_answers(task, trained_on, len(y), classes=classes, metric=judged_by)
    return compare(judged_by, y, challenger, constant, thresholds=(threshold, 0.5), groups=groups, alpha=alpha)
