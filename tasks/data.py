"""Reading, checking and splitting as Prefect tasks."""

from tasks.step import step
from tiltyard.steps import data

ingest = step("Read the table", minutes=240, outside=True, keep=False)(data.read_table)
examine = step("Look at the table", minutes=120, outside=True)(data.examine)
check = step("Check the contract", minutes=60, outside=True)(data.check)
split = step("Split the rows", minutes=60)(data.split)
