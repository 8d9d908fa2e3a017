"""What `tiltyard replay` reads: the history of a project, or a table that has none yet."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from tiltyard.cli.beginning import Wishes, free_place, guess_project
from tiltyard.data.contract import Contract
from tiltyard.data.contract_file import load_contract
from tiltyard.data.dataset import ingest
from tiltyard.data.inference import Hints
from tiltyard.data.sources import describe_source, read_source, source_of
from tiltyard.data.usage import in_use
from tiltyard.errors import UsageError
from tiltyard.project.environment import Workplace
from tiltyard.project.loading import PROJECT_FILE, load_project, parse_model, project_file_of
from tiltyard.project.metrics import Task
from tiltyard.project.model import Project
from tiltyard.steps.replaying.replay import as_first_seen
from tiltyard.storage.opening import fetch_url, list_urls


@dataclass(frozen=True)
class Past:
    """What was asked for.

    Attributes:
        table: Where the rows are, as typed; the project's source when None.
        time: Time column; the project's when None.
        project: Project file or folder.
        target: Column to predict, where there is no project.
        task: What is predicted; guessed when None.
        positive: Positive class; guessed when None.
        drop: Columns to leave out.
        missing: Further texts that mean a missing value.
    """

    table: str | None
    time: str | None
    project: Path
    target: str | None = None
    task: Task | None = None
    positive: str | None = None
    drop: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


class Read(NamedTuple):
    """What was read.

    Attributes:
        frame: Typed table.
        project: The project.
        contract: The contract in use.
        where: Name of the table, for errors.
        code_folder: Folder of the project's own estimators.
    """

    frame: pd.DataFrame
    project: Project
    contract: Contract
    where: str
    code_folder: Path


def read_past(asked: Past, first: float) -> Read:
    """Read a history with its project, or guess one.

    Args:
        asked: What was asked for.
        first: Share of the rows that a guessed contract may promise anything of.

    Raises:
        UsageError: A table is needed, or an option only makes sense with a target.
        ProjectError: The project file is missing or wrong.
        DataError: The table cannot be read, or breaks its contract.
    """
    if asked.target is not None:
        return _guessed(asked, asked.target, first)
    extra = {"--task": asked.task, "--positive": asked.positive, "--drop": asked.drop, "--missing": asked.missing}
    given = [name for name, value in extra.items() if value]
    if given:
        raise UsageError(f"{given[0]} is for a table without a project", cure="Give --target too, or leave it out.")
    file = project_file_of(asked.project).resolve()
    project, workplace = load_project(file), Workplace(file)
    data: dict[str, object] = {"time": asked.time} if asked.time is not None else {}
    if asked.table is not None:
        data["source"] = source_of(str(asked.table if "://" in asked.table else Path(asked.table).resolve()))
    project = project.model_copy(update={"data": project.data.model_copy(update=data)})
    reviewed = load_contract(workplace.folder / project.data.contract)
    return _read(project, reviewed, workplace)


def _guessed(asked: Past, target: str, first: float) -> Read:
    """Read a table and guess what `tiltyard init` would, knowing no more than the first rows tell."""
    if asked.table is None or asked.time is None:
        raise UsageError("with --target, a table and its time are needed", cure="Write TABLE --time COLUMN.")
    workplace = free_place(Path(), force=True)
    wishes = Wishes(table=asked.table, query=None, target=target, name=None, task=asked.task, split=None)
    hints = Hints(positive=asked.positive, time=asked.time, drop=asked.drop, missing=asked.missing)
    inference = guess_project(wishes, hints, workplace)
    project = parse_model(Project, inference.project, where=PROJECT_FILE)
    read = _read(project, inference.contract, workplace)
    begin = read.frame.sort_values(asked.time, kind="stable").head(max(1, int(first * len(read.frame))))
    return read._replace(contract=as_first_seen(read.contract, begin))


def _read(project: Project, reviewed: Contract, workplace: Workplace) -> Read:
    """Read the table of a project."""
    source, environment = project.data.source, workplace.environment

    def open_remote(pattern: str) -> list[Path]:
        urls = list_urls(pattern, endpoint=environment.s3_endpoint, cache=workplace.cache)
        return [fetch_url(url, endpoint=environment.s3_endpoint, cache=workplace.cache) for url in urls]

    where = describe_source(source, workplace)
    frame = ingest(
        project,
        reviewed,
        read=lambda: read_source(source, workplace=workplace, open_remote=open_remote),
        key=environment.key,
        where=where,
    )
    contract = in_use(reviewed, project, environment.key)
    return Read(frame, project, contract, where, workplace.folder)
