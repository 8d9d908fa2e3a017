"""Registering, documenting and taking over as Prefect tasks."""

from tasks.step import step
from tiltyard.steps import promoting, registering, taking_over

is_there = step("Look for the version of the same run", minutes=10, outside=True, keep=False)(registering.is_there)
register = step("Register the challenger", minutes=60, outside=True, keep=False)(registering.register)
sketch = step("Write the card of a dry run", minutes=60)(promoting.sketch)
document = step("Write down the verdict", minutes=60, outside=True, keep=False)(promoting.document)
promote = step("Promote", minutes=10, outside=True, keep=False)(taking_over.crown)
