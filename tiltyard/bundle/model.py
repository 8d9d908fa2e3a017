"""A fitted model before it is a bundle, and what any model answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tiltyard.bundle.encoder import Encoder
from tiltyard.data.contract import Level
from tiltyard.project.metrics import Task

Columns = Mapping[str, NDArray[Any]]
"""A typed table without pandas, one array of the same length per feature: number, integer and boolean as float64
with NaN for missing; category and text as object arrays of `str | None`; time as datetime64[us] with NaT."""


@dataclass(frozen=True)
class Predictions:
    """What a model answers for n rows.

    Attributes:
        probabilities: float64, shape (n, k), columns in the order of `classes`; None for regression.
        values: float64, shape (n,); None for classification.
    """

    probabilities: NDArray[np.float64] | None = None
    values: NDArray[np.float64] | None = None

    @property
    def array(self) -> NDArray[np.float64]:
        """Probabilities or values, whichever the task has."""
        answer = self.values if self.probabilities is None else self.probabilities
        assert answer is not None
        return answer

    def labels(self, threshold: float) -> NDArray[np.int64]:
        """Return class codes, shape (n,): the likeliest class, or for two classes the second from `threshold` on."""
        assert self.probabilities is not None
        if self.probabilities.shape[1] == 2:
            return np.asarray(self.probabilities[:, 1] >= threshold, dtype=np.int64)
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)


@dataclass(frozen=True)
class FittedModel:
    """An encoder and an estimator fitted on its float32 matrix.

    Attributes:
        task: What is predicted.
        classes: Classes in the order of the probability columns, the positive class last; empty for regression.
        encoder: Columns → float32 matrix.
        estimator: Fitted scikit-learn estimator or pipeline on that matrix; its classes are codes 0…k-1.
        threshold: Decision threshold of the positive class (binary); 0.5 elsewhere.
        family: Name of the family, for reports.
        parameters: Hyper-parameters that were chosen.
    """

    task: Task
    classes: tuple[Level, ...]
    encoder: Encoder
    estimator: Any
    threshold: float = 0.5
    family: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, columns: Columns) -> Predictions:
        """Answer for a typed table."""
        matrix = self.encoder.encode(columns)
        if self.task.is_classification:
            return Predictions(probabilities=np.asarray(self.estimator.predict_proba(matrix), dtype=np.float64))
        return Predictions(values=np.asarray(self.estimator.predict(matrix), dtype=np.float64).ravel())
