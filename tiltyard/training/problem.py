"""What is searched, and what a search found: the records that cross processes and tasks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tiltyard.bundle.encoder import Feature
from tiltyard.errors import TrainingError
from tiltyard.project.metrics import METRICS, Task
from tiltyard.project.section import Section
from tiltyard.training.space import Scalar

Indices = NDArray[np.int64]
Fold = tuple[Indices, Indices]
"""Rows that train and rows that score."""


@dataclass(frozen=True)
class Problem:
    """A prediction problem as arrays.

    Attributes:
        task: What is predicted.
        matrix: Encoder's output, float32, shape (n, f), NaN for missing; all rows, the folds pick theirs.
        y: Class codes 0…k-1 as int64, or values as float64; shape (n,).
        features: The columns of the matrix.
        classes: Number of classes k; 0 for regression.
        folds: Rows that train and rows that score, per fold; at least one.
        metric: Name of the metric that trials are compared by.
        class_weight: `balanced` weighs classes by the inverse of their frequency.
        seed: Seed of everything random.
        code_folder: Folder of the project, where its own estimators are imported from; None when there are none.
    """

    task: Task
    matrix: NDArray[np.float32]
    y: NDArray[np.int64] | NDArray[np.float64]
    features: tuple[Feature, ...]
    classes: int
    folds: tuple[Fold, ...]
    metric: str
    class_weight: Literal["balanced"] | None = None
    seed: int = 42
    code_folder: Path | None = None

    def __post_init__(self) -> None:
        if not self.folds or any(len(train) == 0 or len(valid) == 0 for train, valid in self.folds):
            raise TrainingError(
                "there is a fold without rows to train or to score on", cure="Use fewer `search.folds`."
            )
        if self.matrix.shape[1] == 0:
            raise TrainingError("there is no feature column to learn from", cure="Keep a column out of `data.drop`.")

    @property
    def levels(self) -> tuple[int, ...]:
        """Levels per column of the matrix, 0 for numbers."""
        return tuple(feature.levels for feature in self.features)


@dataclass(frozen=True)
class Progress:
    """How far a search is.

    Attributes:
        trials: Trials finished.
        trials_limit: Trial budget; None when only time is limited.
        seconds: Wall time since the start, earlier runs of a resumed search included.
        seconds_limit: Time budget; None when only trials are counted.
        metric: What trials are compared by.
        score: Best score so far; None before the first.
        family: Family that has it.
    """

    trials: int
    trials_limit: int | None
    seconds: float
    seconds_limit: float | None
    metric: str
    score: float | None = None
    family: str = ""


class TrialRecord(Section):
    """What was tried, and what came of it.

    Attributes:
        number: Order of proposal, from 0.
        family: Family, or `module:Class` of an own estimator.
        parameters: Hyper-parameters.
        state: `complete` on all its folds, `pruned` after a bad fold, `unfinished` for lack of time, `failed`.
        screening: Whether it was a first look on one fold and few rows, which cannot win.
        score: Mean metric over the folds it ran; None when it failed.
        fold_scores: Metric by fold, in the order of `folds`.
        folds: Which folds it ran.
        rows: Training rows of a fold.
        known: How many trials' results were known when it was proposed, where only trials are counted.
        iterations: Boosting iterations or epochs found by early stopping; None for other families.
        seconds: Time of its fits, in process seconds added up.
        finished: Wall time of the search when it ended, seconds.
        error: Why it failed.
    """

    number: int
    family: str
    parameters: dict[str, Scalar]
    state: Literal["complete", "pruned", "unfinished", "failed"]
    screening: bool = False
    score: float | None = None
    fold_scores: tuple[float, ...] = ()
    folds: tuple[int, ...] = ()
    rows: int = 0
    known: int = 0
    iterations: int | None = None
    seconds: float = 0.0
    finished: float = 0.0
    error: str = ""

    @property
    def was_cut(self) -> bool:
        """Whether it ended for lack of time before it had a score."""
        return self.state == "unfinished" and self.score is None


class SearchResult(Section):
    """What a search found.

    Attributes:
        family: Winning family, or `module:Class` of an own estimator.
        parameters: Its hyper-parameters.
        iterations: Boosting iterations or epochs found on the folds; None for other families.
        score: Its mean metric over the folds.
        metric: Name of the metric.
        trials: Everything tried, in order of proposal.
        seconds: Wall time, earlier runs of a resumed search included.
        resumed: Trials taken over from an interrupted run.
        sentence: The outcome in words.
    """

    family: str
    parameters: dict[str, Scalar]
    iterations: int | None
    score: float
    metric: str
    trials: tuple[TrialRecord, ...]
    seconds: float
    resumed: int
    sentence: str


def oriented(metric: str, value: float) -> float:
    """Return a score turned so that larger is better."""
    return value if METRICS[metric].greater_is_better else -value
