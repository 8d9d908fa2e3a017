"""The scorecard: all that is said about one model on the rows that judge."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tiltyard.bundle.model import Columns, Predictions
from tiltyard.data.contract import Contract
from tiltyard.errors import DataError
from tiltyard.evaluation.importance import permutation_importance
from tiltyard.evaluation.intervals import Judged, estimate
from tiltyard.evaluation.metrics import class_report, confusion_matrix
from tiltyard.evaluation.records import Estimate, Scorecard
from tiltyard.evaluation.slices import name_weakest, score_slices, slices_of
from tiltyard.evaluation.terms import Labels
from tiltyard.evaluation.units import Units
from tiltyard.project.metrics import metrics_of


def evaluate(  # noqa: PLR0913  # the model, the rows that judge it and what decides
    predict: Callable[[Columns], Predictions],
    columns: Columns,
    y: Labels,
    *,
    contract: Contract,
    primary: str,
    threshold: float = 0.5,
    groups: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> Scorecard:
    """Judge a model on rows it was not trained on.

    Args:
        predict: The model: typed columns → answers, classes in the order of the contract.
        columns: Typed feature columns of n rows.
        y: True class codes (int64) or values (float64), shape (n,).
        contract: What the columns and the classes are.
        primary: Metric that decides.
        threshold: Decision threshold of the positive class (two classes).
        groups: Cluster of each row (customer, block of time), shape (n,); rows are independent when left out.
        seed: Seed of resampling and shuffling.

    Returns:
        Metrics with 95 % intervals, confusion and report per class, slices, the weakest one in words, and the
        importance of each column.

    Raises:
        DataError: There are fewer than two independent rows, or an answer of the model is not finite.
    """
    predictions = predict(columns)
    _check_answers(predictions, y)
    judged = Judged(y, predictions, threshold, Units.of(len(y), groups))
    metrics = _estimates(judged, contract, seed)
    confusion = confusion_matrix(y, predictions, threshold=threshold) if contract.task.is_classification else ()
    classes = tuple(str(name) for name in contract.classes)
    slices = score_slices(primary, judged, slices_of(columns, contract))
    return Scorecard(
        task=contract.task,
        rows=len(y),
        primary=primary,
        metrics=metrics,
        threshold=threshold,
        classes=classes,
        confusion=confusion,
        report=class_report(confusion, classes),
        slices=slices,
        weakest=name_weakest(primary, metrics[primary], slices) if primary in metrics else "",
        importance=permutation_importance(predict, columns, y, metric=primary, threshold=threshold, seed=seed),
    )


def _check_answers(predictions: Predictions, y: Labels) -> None:
    """Refuse answers that nothing can be measured of."""
    wrong = ~np.isfinite(predictions.array)
    if wrong.any():
        row = int(np.flatnonzero(wrong.reshape(len(wrong), -1).any(axis=1))[0])
        raise DataError(
            f"the model answers {predictions.array[row]} to row {row}",
            cure="A model must answer every row with finite numbers; look for missing values it does not know.",
        )
    if len(predictions.array) != len(y):
        raise DataError(f"the model answers {len(predictions.array)} rows where {len(y)} were asked")


def _estimates(judged: Judged, contract: Contract, seed: int) -> dict[str, Estimate]:
    """Return every metric of the task that is defined on these rows, in the order people read them."""
    found = {metric.name: estimate(metric.name, judged, seed=seed) for metric in metrics_of(contract.task)}
    return {name: value for name, value in found.items() if value is not None}
