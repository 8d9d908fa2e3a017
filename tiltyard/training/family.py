"""The promise of a model family: its view of the matrix, its space, good defaults, cost, and how it is fitted."""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import Pipeline

from tiltyard.bundle.model import Predictions
from tiltyard.bundle.transforms import ONE_HOT_LEVELS, DenseView, FilledView
from tiltyard.project.metrics import Task
from tiltyard.training.space import Parameters, Scalar, Space

View = Literal["raw", "filled", "dense"]
Target = NDArray[np.int64] | NDArray[np.float64]
Rows = tuple[NDArray[np.float32], Target]
"""A view of some rows, and their target."""

MODEL_BYTES = 30_000_000
"""Largest graph a family may grow to, bytes; well inside the bundle's default limit of 50 MB."""


@dataclass(frozen=True)
class Facts:
    """What a family may know of the data before it is fitted.

    Attributes:
        task: What is predicted.
        classes: Number of classes; 0 for regression.
        rows: Rows to fit on.
        levels: Levels per column of the matrix, 0 for numbers.
        spread: Variance of the target; 1 for classification.
        class_weight: `balanced` weighs classes by the inverse of their frequency.
        seed: Seed of the estimator.
        threads: Threads one fit may use.
    """

    task: Task
    classes: int
    rows: int
    levels: tuple[int, ...]
    spread: float = 1.0
    class_weight: Literal["balanced"] | None = None
    seed: int = 42
    threads: int = 1

    @property
    def dense_columns(self) -> int:
        """Columns of the dense view, roughly: numbers, and a column per level."""
        return max(1, sum(min(count, ONE_HOT_LEVELS) if count else 1 for count in self.levels))

    @property
    def outputs(self) -> int:
        """Numbers a tree leaf holds: one, or one per class beyond two."""
        return self.classes if self.classes > 2 else 1

    def with_rows(self, rows: int) -> Self:
        """Return the same facts for another number of rows."""
        return replace(self, rows=rows)


class Family(ABC):
    """A kind of model that can be tried.

    Attributes:
        name: As in the project file.
        view: Which view of the matrix it is fitted on.
    """

    name: str
    view: View

    def suits(self, facts: Facts) -> bool:
        """Whether the family joins the race by itself; one that is asked for by name always does."""
        del facts
        return True

    @abstractmethod
    def space(self, facts: Facts) -> Space:
        """Return what may be varied; empty for a family that has one form only."""

    @abstractmethod
    def defaults(self, facts: Facts) -> tuple[dict[str, Scalar], ...]:
        """Return good parameters to try first, the best bet first."""

    @abstractmethod
    def build(self, parameters: Parameters, facts: Facts, iterations: int | None = None) -> Any:
        """Return an unfitted estimator on the view.

        Args:
            parameters: Hyper-parameters.
            facts: About the rows it will be fitted on.
            iterations: Boosting iterations or epochs found before; the family's own stopping rule when None.
        """

    def work(self, parameters: Parameters, facts: Facts) -> float:
        """Return the relative work of one fit, to carry measured times over to other parameters and rows."""
        del parameters
        return float(facts.rows * facts.dense_columns)

    def fit(self, model: Any, matrix: NDArray[np.float32], y: Target, facts: Facts) -> Any:
        """Fit what `build` returned, and return it.

        Args:
            model: Unfitted estimator.
            matrix: float32, shape (n, columns of the view).
            y: Class codes or values, shape (n,).
            facts: About these rows.
        """
        del facts
        with quiet_fit():
            return model.fit(matrix, y)

    def fit_until(self, model: Any, train: Rows, valid: Rows, facts: Facts) -> tuple[Predictions, int | None]:
        """Fit and answer for the scoring rows, stopping early by them where the family can.

        Args:
            model: Unfitted estimator.
            train: Matrix and target to fit on.
            valid: Matrix and target that score.
            facts: About the training rows.

        Returns:
            The answers for the scoring rows, and the iterations worth doing (None where that has no meaning).
        """
        fitted = self.fit(model, *train, facts)
        return predict(fitted, valid[0], facts.classes), None


def fit_pipeline(family: Family, model: Any, matrix: NDArray[np.float32], y: Target, facts: Facts) -> Any:
    """Fit view and model on the encoder's matrix.

    Args:
        family: Family of the model.
        model: Unfitted estimator.
        matrix: Encoder's output, float32, shape (n, f).
        y: Class codes or values, shape (n,).
        facts: About these rows.

    Returns:
        The fitted estimator on the encoder's matrix: a pipeline of view and model, or the model alone.
    """
    if family.view == "raw":
        return family.fit(model, matrix, y, facts)
    view = make_view(family.view, facts.levels).fit(matrix)
    seen = np.asarray(view.transform(matrix), dtype=np.float32)
    return Pipeline([("view", view), ("model", family.fit(model, seen, y, facts))])


def make_view(view: Literal["filled", "dense"], levels: tuple[int, ...]) -> FilledView | DenseView:
    """Return the unfitted transformer of a view."""
    return FilledView(levels) if view == "filled" else DenseView(levels)


def predict(model: Any, matrix: NDArray[np.float32], classes: int) -> Predictions:
    """Answer with a fitted estimator.

    Args:
        model: Fitted on class codes or values.
        matrix: float32, shape (n, f), in the view the model was fitted on.
        classes: Number of classes k; 0 for regression. A class absent from the training rows gets probability 0.
    """
    if not classes:
        return Predictions(values=np.asarray(model.predict(matrix), dtype=np.float64).ravel())
    found = np.asarray(model.predict_proba(matrix), dtype=np.float64)
    if found.shape[1] == classes:
        return Predictions(probabilities=found)
    probabilities = np.zeros((len(found), classes))
    probabilities[:, np.asarray(model.classes_, dtype=np.int64)] = found
    return Predictions(probabilities=probabilities)


@contextmanager
def quiet_fit() -> Iterator[None]:
    """Silence what a fit says about not having converged: iterations are ours to choose, and the score decides."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
