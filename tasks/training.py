"""Searching and fitting as Prefect tasks."""

from tasks.step import step
from tiltyard.steps import training

tune = step("Tune the families")(training.tune)
fit = step("Fit the winner")(training.fit_winner)
