"""What an estimate without labels is asked about: answers of the model, features, and the labels that are known."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiltyard.bundle.model import Predictions
from tiltyard.errors import DataError
from tiltyard.evaluation.terms import Labels
from tiltyard.monitoring.domain import MOST_ROWS, Table, thinned
from tiltyard.project.metrics import METRICS


@dataclass(frozen=True)
class Question:
    """What is asked about, and what is known.

    Attributes:
        metric: Name of the metric.
        y: Class codes (int64) or values (float64) of the reference rows, shape (n,).
        reference: What the model answered for them.
        current: What the model answered for current rows.
        table: Features of both, rows in the same order (`tiltyard.monitoring.domain.table_of`); None where there are
            none.
        labels: True answers of current rows as far as they have come, -1 or NaN before, shape (m,); None when none
            has.
        threshold: Decision threshold of the positive class.
    """

    metric: str
    y: Labels
    reference: Predictions
    current: Predictions
    table: Table | None = None
    labels: Labels | None = None
    threshold: float = 0.5

    def checked(self) -> "Question":
        """Return the question.

        Raises:
            DataError: There is no such metric, or the lengths differ.
        """
        n, m = len(self.reference.array), len(self.current.array)
        known = m if self.labels is None else len(self.labels)
        sides = (n, m) if self.table is None else (len(self.table.reference), len(self.table.current))
        if self.metric not in METRICS:
            raise DataError(f"`{self.metric}` is not a metric", cure="Take one of the task's metrics.")
        if len(self.y) != n or known != m or sides != (n, m):
            raise DataError(
                f"{n} and {m} predictions have {len(self.y)} and {known} labels and {sides[0]} and {sides[1]} rows",
                cure="Give features, labels and predictions of the same rows.",
            )
        return self

    def thinned(self, rng: np.random.Generator) -> "Question":
        """Return the question for at most `MOST_ROWS` rows of each side."""
        before = thinned(len(self.y), MOST_ROWS, rng)
        now = thinned(len(self.current.array), MOST_ROWS, rng)
        table = self.table and self.table._replace(
            reference=self.table.reference[before], current=self.table.current[now]
        )
        labels = None if self.labels is None else self.labels[now]
        return Question(
            self.metric,
            self.y[before],
            _some(self.reference, before),
            _some(self.current, now),
            table,
            labels,
            self.threshold,
        )

    @property
    def known(self) -> NDArray[np.int64]:
        """Current rows whose label has come."""
        if self.labels is None:
            return np.zeros(0, np.int64)
        here = np.isfinite(self.labels) if self.current.probabilities is None else self.labels >= 0
        return np.flatnonzero(here)


def _some(predictions: Predictions, rows: NDArray[np.int64]) -> Predictions:
    array = predictions.array[rows]
    return Predictions(values=array) if predictions.probabilities is None else Predictions(array)
