"""Searching for the best model of a run, and fitting it."""

from pathlib import Path

import joblib

from tiltyard.bundle.model import FittedModel
from tiltyard.data.split import Split
from tiltyard.project.section import Section
from tiltyard.steps.data import load_split, load_table
from tiltyard.steps.problem import fit_rows, make_problem
from tiltyard.steps.progress import tell
from tiltyard.steps.run import TrainingRun
from tiltyard.training.fit import fit
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
    return make_problem(run, load_table(run), split, run.workplace.folder)


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
    model = fit(problem, result, contract=run.contract, settings=run.project.search, rows=fit_rows(split))
    file = run.file(_MODEL)
    joblib.dump(model, file)
    return FittedRef(model=file, family=model.family, threshold=model.threshold)


def load_model(file: Path) -> FittedModel:
    """Return a model that this run fitted on this machine; files from elsewhere are never loaded this way."""
    model = joblib.load(file)
    assert isinstance(model, FittedModel)
    return model
