"""Reading, checking and splitting as Prefect tasks."""

from tasks.step import step
from tiltyard.steps import data

ingest = step("Read the table", outside=True, keep=False)(data.read_table)
check = step("Check the contract", outside=True)(data.check)
split = step("Split the rows")(data.split)
