"""Batch prediction as a Prefect task."""

from tasks.step import step
from tiltyard.steps import scoring

score = step("Predict the table", minutes=24 * 60, outside=True, keep=False)(scoring.score_table)
