"""The names of the metrics, their direction and the tasks they belong to.

Only names live here, because the project file is checked against them; the formulas are in
`tiltyard.evaluation.metrics`.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from tiltyard.errors import did_you_mean


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
        least: Least value there is.
        most: Largest value there is.
    """

    name: str
    title: str
    tasks: frozenset[Task]
    greater_is_better: bool
    default_margin: float
    relative: bool = False
    least: float = 0.0
    most: float = 1.0

    @property
    def range(self) -> str:
        """The values there are, in words."""
        if math.isinf(self.least):
            return f"at most {self.most:g}"
        return f"{self.least:g} or more" if math.isinf(self.most) else f"from {self.least:g} to {self.most:g}"


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
        Metric("log_loss", "Log loss", _CLASSES, greater_is_better=False, default_margin=0.01, most=math.inf),
        Metric("brier", "Brier score", _CLASSES, greater_is_better=False, default_margin=0.005, most=2.0),
        Metric("ece", "Expected calibration error", _CLASSES, greater_is_better=False, default_margin=0.02),
        Metric("rmse", "RMSE", _VALUES, greater_is_better=False, default_margin=0.02, relative=True, most=math.inf),
        Metric("mae", "MAE", _VALUES, greater_is_better=False, default_margin=0.02, relative=True, most=math.inf),
        Metric("r2", "R²", _VALUES, greater_is_better=True, default_margin=0.01, least=-math.inf),
        Metric("mape", "MAPE", _VALUES, greater_is_better=False, default_margin=0.02, relative=True, most=math.inf),
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


_OTHER_NAMES = {
    "auc": "roc_auc",
    "auroc": "roc_auc",
    "roc": "roc_auc",
    "acc": "accuracy",
    "average_precision": "pr_auc",
    "cross_entropy": "log_loss",
    "mse": "rmse",
}


def suggest_metric(name: str, known: Collection[str]) -> str:
    """Return a sentence that suggests the metric that was probably meant, or lists what is allowed.

    Args:
        name: What was given.
        known: Names of the metrics that are allowed.

    Example:
        >>> suggest_metric("AUC", METRICS)
        'Did you mean `roc_auc`?'
    """
    usual = _OTHER_NAMES.get(name.casefold(), "")
    return did_you_mean(usual if usual in known else name, known)
