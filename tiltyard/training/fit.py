"""The final fit: what the search found, fitted on all rows that may be learnt from."""

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from threadpoolctl import threadpool_limits

from tiltyard.bundle.encoder import Encoder
from tiltyard.bundle.model import FittedModel
from tiltyard.data.contract import Contract
from tiltyard.errors import TiltyardError, TrainingError
from tiltyard.project.model import SearchSection
from tiltyard.training.families import facts_of, family_named
from tiltyard.training.family import fit_pipeline, predict
from tiltyard.training.problem import Indices, Problem, SearchResult
from tiltyard.training.threshold import choose_threshold

MORE_ROWS = 1.1
"""Boosting iterations grow by a tenth where the final fit has more rows than a fold had."""


@dataclass(frozen=True)
class FitRows:
    """Which rows serve which purpose; row numbers of the problem's matrix.

    Attributes:
        train: Learnt from.
        validation: Learnt from too in the final model; the threshold is chosen on them by a model that has not
            seen them.
        calibration: Recalibrate probabilities; learnt from by no model. Empty when no calibration is wanted.
    """

    train: Indices
    validation: Indices
    calibration: Indices

    @property
    def learnt(self) -> Indices:
        """Rows of the final fit."""
        return np.sort(np.concatenate([self.train, self.validation]))


def fit(
    problem: Problem, result: SearchResult, *, contract: Contract, settings: SearchSection, rows: FitRows
) -> FittedModel:
    """Fit what a search found on training and validation rows, with all free cores.

    Args:
        problem: The problem that was searched.
        result: What the search found.
        contract: Contract of the table.
        settings: For calibration and threshold.
        rows: Which rows serve which purpose.

    Returns:
        The model, calibrated and with its threshold where the project asks for them.

    Raises:
        TrainingError: The estimator fails on these rows, or there are no rows for calibration or threshold.
    """
    return FittedModel(
        task=problem.task,
        classes=contract.classes,
        encoder=Encoder.of(contract),
        estimator=_estimator(problem, result, settings, rows.learnt, rows.calibration),
        threshold=_threshold(problem, result, settings, rows),
        family=result.family,
        parameters=dict(result.parameters),
    )


def fit_found(problem: Problem, result: SearchResult, rows: Indices) -> Any:
    """Fit what a search found on some rows, neither calibrated nor with a threshold.

    Args:
        problem: The problem that was searched.
        result: What the search found.
        rows: Rows to learn from; boosting does a tenth more iterations where they are more than a fold had.

    Returns:
        The fitted estimator on the encoder's matrix.

    Raises:
        TrainingError: The estimator fails on these rows.
    """
    iterations = result.iterations
    if iterations is not None and len(rows) > len(problem.folds[0][0]):
        iterations = math.ceil(iterations * MORE_ROWS)
    return _fit_family(problem, result.family, dict(result.parameters), iterations, rows)


def _threshold(problem: Problem, result: SearchResult, settings: SearchSection, rows: FitRows) -> float:
    """Return the decision threshold, chosen by a model that never saw the rows it is chosen on."""
    if settings.threshold is None or problem.classes != 2:
        return 0.5
    if not len(rows.validation):
        raise TrainingError(
            "there are no validation rows to choose the threshold on",
            cure="Give `split.validation` a share of the rows.",
        )
    model = _estimator(problem, result, settings, rows.train, rows.calibration)
    answer = predict(model, problem.matrix[rows.validation], problem.classes)
    y = np.asarray(problem.y[rows.validation], dtype=np.int64)
    return choose_threshold(y, answer.array[:, 1], settings.threshold)


def _estimator(
    problem: Problem, result: SearchResult, settings: SearchSection, learnt: Indices, calibration: Indices
) -> Any:
    """Fit on some rows, and calibrate on others when that is asked for."""
    model = fit_found(problem, result, learnt)
    if settings.calibration == "none":
        return model
    if not len(calibration):
        raise TrainingError(
            "there are no rows to calibrate probabilities on", cure="Give `split.calibration` a share of the rows."
        )
    calibrated = CalibratedClassifierCV(FrozenEstimator(model), method="sigmoid")
    return calibrated.fit(problem.matrix[calibration], problem.y[calibration])


def _fit_family(problem: Problem, name: str, parameters: Any, iterations: int | None, rows: Indices) -> Any:
    threads = _free_cores()
    facts = facts_of(problem, len(rows), threads=threads)
    family = family_named(name, problem)
    try:
        with threadpool_limits(threads):
            model = family.build(parameters, facts, iterations)
            return fit_pipeline(family, model, problem.matrix[rows], problem.y[rows], facts)
    except TiltyardError:
        raise
    except Exception as error:  # an own estimator may raise anything
        raise TrainingError(f"`{name}` could not be fitted on {len(rows)} rows ({error})") from error


def _free_cores() -> int:
    """Return how many cores are free for this fit, at least one.

    OpenMP's threads wait for each other by spinning: on cores that others use, several threads are many times slower
    than one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    idle = (os.cpu_count() or 1) * (1.0 - psutil.cpu_percent(interval=0.1) / 100.0)
    return max(1, min(cores, round(idle - 0.2)))
