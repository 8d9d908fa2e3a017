"""Batch prediction as a Prefect task."""

from tasks.step import step
from tiltyard.steps import scoring

score = step("Predict the table", outside=True, keep=False)(scoring.score_table)
