"""Searching for the best model of a run, and fitting it."""

from pathlib import Path

import joblib

from tiltyard.bundle.encoder import Encoder
from tiltyard.bundle.model import FittedModel
from tiltyard.data.coercion import feature_columns, target_array
from tiltyard.data.parts import Part
from tiltyard.data.split import Split
from tiltyard.project.metrics import Task
from tiltyard.project.section import Section
from tiltyard.steps.data import load_split, load_table
from tiltyard.steps.progress import tell
from tiltyard.steps.run import TrainingRun
from tiltyard.training.fit import FitRows, fit
from tiltyard.training.leaderboard import write_leaderboard
from tiltyard.training.problem import Problem, SearchResult
from tiltyard.training.tuner import search

_MODEL = "model.joblib"


class FittedRef(Section):
    """Where a fitted model lies.

    Attributes:
        model: The fitted model, written by joblib for this run alone.
        family: Its family.
        threshold: Its decision threshold.
    """

    model: Path
    family: str
    threshold: float


def problem_of(run: TrainingRun, split: Split) -> Problem:
    """Return the prediction problem of a run."""
    frame = load_table(run)
    y = target_array(frame, run.contract)
    search = run.project.search
    return Problem(
        task=run.contract.task,
        matrix=Encoder.of(run.contract).encode(feature_columns(frame, run.contract)),
        y=y,
        features=Encoder.of(run.contract).features,
        classes=0 if run.contract.task is Task.REGRESSION else len(run.contract.classes),
        folds=tuple(split.folds(y, run.project)),
        metric=run.project.search_metric,
        class_weight=search.class_weight,
        seed=search.seed,
        code_folder=run.workplace.folder,
    )


def tune(run: TrainingRun) -> SearchResult:
    """Race the families; an interrupted search goes on where it was.

    Raises:
        TrainingError: No family could be fitted.
    """
    folder = run.file("search/leaderboard.csv").parent
    result = search(problem_of(run, load_split(run)), run.project.search, folder, tell)
    write_leaderboard(result, folder)
    return result


def fit_winner(run: TrainingRun, result: SearchResult) -> FittedRef:
    """Fit the winner on training and validation rows.

    Raises:
        TrainingError: The estimator fails on these rows.
    """
    split = load_split(run)
    problem = problem_of(run, split)
    rows = FitRows(
        train=split.rows(Part.TRAIN),
        validation=split.rows(Part.VALIDATION),
        calibration=split.rows(Part.CALIBRATION),
    )
    model = fit(problem, result, contract=run.contract, settings=run.project.search, rows=rows)
    file = run.file(_MODEL)
    joblib.dump(model, file)
    return FittedRef(model=file, family=model.family, threshold=model.threshold)


def load_model(file: Path) -> FittedModel:
    """Return a model that this run fitted on this machine; files from elsewhere are never loaded this way."""
    model = joblib.load(file)
    assert isinstance(model, FittedModel)
    return model
