"""Registering, documenting and promoting as Prefect tasks."""

from tasks.step import step
from tiltyard.steps import promoting, registering

register = step("Register the challenger", outside=True)(registering.register)
sketch = step("Write the card of a dry run")(promoting.sketch)
document = step("Write down the verdict", outside=True)(promoting.document)
promote = step("Promote", outside=True, keep=False)(promoting.crown)
