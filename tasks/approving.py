"""Asking for a person's decision, and carrying it out, as Prefect tasks."""

from tasks.step import step
from tiltyard.steps import approving

ask = step("Ask for a person's decision", minutes=10, outside=True, keep=False)(approving.request)
settle = step("Carry out the decision", minutes=10, outside=True, keep=False)(approving.settle)
