"""The names of the metrics, their direction and the tasks they belong to.

Only names live here, because the project file is checked against them; the formulas are in
`tiltyard.evaluation.metrics`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Task(StrEnum):
    """What kind of answer the model gives."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"

    @property
    def is_classification(self) -> bool:
        """Whether the answer is one of a few classes."""
        return self is not Task.REGRESSION


@dataclass(frozen=True)
class Metric:
    """One metric's name and meaning.

    Attributes:
        name: Key in the project file, in MLflow and in every report.
        title: How people write it.
        tasks: The tasks it is defined for.
        greater_is_better: Direction.
        default_margin: Largest loss accepted in non-inferiority mode, in the metric's units; for metrics in
            the target's units (`relative`) as a share of the champion's value.
        relative: Whether the margin is relative, because the metric is in the target's units.
    """

    name: str
    title: str
    tasks: frozenset[Task]
    greater_is_better: bool
    default_margin: float
    relative: bool = False


_CLASSES = frozenset({Task.BINARY, Task.MULTICLASS})
_BINARY = frozenset({Task.BINARY})
_VALUES = frozenset({Task.REGRESSION})

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "Accuracy", _CLASSES, greater_is_better=True, default_margin=0.01),
        Metric("precision", "Precision", _CLASSES, greater_is_better=True, default_margin=0.02),
        Metric("recall", "Recall", _CLASSES, greater_is_better=True, default_margin=0.02),
        Metric("f1", "F1", _CLASSES, greater_is_better=True, default_margin=0.02),
        Metric("roc_auc", "ROC-AUC", _CLASSES, greater_is_better=True, default_margin=0.01),
        Metric("pr_auc", "PR-AUC", _BINARY, greater_is_better=True, default_margin=0.02),
        Metric("log_loss", "Log loss", _CLASSES, greater_is_better=False, default_margin=0.01),
        Metric("brier", "Brier score", _CLASSES, greater_is_better=False, default_margin=0.005),
        Metric("ece", "Expected calibration error", _CLASSES, greater_is_better=False, default_margin=0.02),
        Metric("rmse", "RMSE", _VALUES, greater_is_better=False, default_margin=0.02, relative=True),
        Metric("mae", "MAE", _VALUES, greater_is_better=False, default_margin=0.02, relative=True),
        Metric("r2", "R²", _VALUES, greater_is_better=True, default_margin=0.01),
        Metric("mape", "MAPE", _VALUES, greater_is_better=False, default_margin=0.02, relative=True),
    )
}

DEFAULT_METRIC: dict[Task, str] = {
    Task.BINARY: "roc_auc",
    Task.MULTICLASS: "accuracy",
    Task.REGRESSION: "rmse",
}


def metrics_of(task: Task) -> tuple[Metric, ...]:
    """Return the metrics defined for a task, in the order people read them."""
    return tuple(metric for metric in METRICS.values() if task in metric.tasks)
