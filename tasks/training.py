"""Searching and fitting as Prefect tasks."""

from tasks.step import step
from tiltyard.steps import training
from tiltyard.steps.run import TrainingRun

_DAY = 24 * 60.0


def search_minutes(run: TrainingRun) -> float:
    """Return the longest time of a search: twice its budget and half an hour, or a day where only trials count."""
    seconds = run.project.search.wall_seconds
    return _DAY if seconds is None else 2 * seconds / 60 + 30


def fit_minutes(run: TrainingRun) -> float:
    """Return the longest time of the last fit: as long as the search that found what to fit, and four hours."""
    return search_minutes(run) + 240


tune = step("Tune the families", minutes=search_minutes)(training.tune)
fit = step("Fit the winner", minutes=fit_minutes)(training.fit_winner)
