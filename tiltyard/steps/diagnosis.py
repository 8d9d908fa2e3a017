"""Can the project be trained: its file, its contract, the key of its hashes, its table."""

from collections.abc import Iterator
from pathlib import Path

from tiltyard.data.sources import describe_source, iter_source
from tiltyard.project.diagnosis import Diagnosis, fine
from tiltyard.project.environment import Workplace
from tiltyard.project.model import CsvSource, ParquetSource, Project
from tiltyard.steps.run import assign


def check_project(project_file: Path) -> Iterator[Diagnosis]:
    """Load the project and its contract as a training run would, and open its table when that is a file here.

    Args:
        project_file: The project file.

    Raises:
        ProjectError: The project file, the contract or the environment is missing or wrong.
        DataError: The table cannot be opened.
        TrainingError: An estimator of the user's own cannot be imported or used.
    """
    assignment = assign(project_file)
    project, contract = assignment.project, assignment.contract
    yield fine("project", f"`{project.name}` predicts `{project.data.target}` ({project.task.kind}).")
    hashed = sum(method == "hash" for method in project.data.protect.values())
    key = f", {hashed} of them hashed with the key" if hashed else ""
    yield fine("contract", f"{project.data.contract} fits the project: {len(contract.features)} features{key}.")
    yield from _check_table(project, assignment.workplace)


def _check_table(project: Project, workplace: Workplace) -> Iterator[Diagnosis]:
    """Read the beginning of a table; one that has to be downloaded, queried or computed is left to the run."""
    source = project.data.source
    if isinstance(source, CsvSource | ParquetSource) and "://" not in source.path:
        columns = next(iter_source(source, 100, workplace=workplace)).shape[1]
        yield fine("table", f"{describe_source(source, workplace)} can be read: {columns} columns.")
