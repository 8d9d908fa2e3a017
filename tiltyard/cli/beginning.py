"""What `tiltyard init` does: from a word on the command line to a source, a guess and two files."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tiltyard.data.contract import Contract, Role
from tiltyard.data.contract_file import dump_contract
from tiltyard.data.inference import Hints, Inference, infer, project_name
from tiltyard.data.sources import describe_source, read_source, source_of
from tiltyard.data.usage import in_use
from tiltyard.errors import DataError, UsageError, did_you_mean
from tiltyard.project.environment import Workplace
from tiltyard.project.loading import PROJECT_FILE, parse_model
from tiltyard.project.metrics import Task
from tiltyard.project.model import BundledSource, CallableSource, DataSection, Project, Source, SqlSource
from tiltyard.project.schema import SCHEMA_FILE, editor_line, schema_text
from tiltyard.project.yamlfile import dump_yaml
from tiltyard.storage.opening import fetch_url, list_urls

_CONTRACT_FILE = "contract.yaml"
_FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
_PASSWORD = re.compile(r"://[^:/@]*:(?!\$\{)[^@/]+@")
_HEADER = "# Every key, with its default: tiltyard schema, or docs/project-file.md\n"


@dataclass(frozen=True)
class Wishes:
    """What the user asked `init` for, beside the hints about columns.

    Attributes:
        table: Where the rows are, as typed.
        query: SELECT statement, when `table` is a SQLAlchemy URL.
        target: The column to predict.
        name: Name of the project; made from the table's when None.
        task: What is predicted; guessed when None.
        split: Column whose values are the parts.
    """

    table: str
    query: str | None
    target: str
    name: str | None
    task: Task | None
    split: str | None


def free_place(folder: Path, *, force: bool) -> Workplace:
    """Return where the project will be.

    Raises:
        UsageError: There is a project or contract already, and nobody said to overwrite it.
    """
    workplace = Workplace(folder / PROJECT_FILE)
    if not force:
        for name in (PROJECT_FILE, _CONTRACT_FILE):
            if (workplace.folder / name).exists():
                raise UsageError(
                    f"`{name}` is there already", where=str(folder), cure="Give --force, or another --folder."
                )
    return workplace


def guess_project(wishes: Wishes, hints: Hints, workplace: Workplace) -> Inference:
    """Read the table and infer project and contract.

    Args:
        wishes: What was asked for.
        hints: What the user said about the columns.
        workplace: Where the project will be.

    Raises:
        UsageError: The table is named in a way that cannot work.
        DataError: The table cannot be read, or cannot be learned from.
        ProjectError: What was asked for does not fit together.
    """
    _check_name(wishes.name)
    source = _source(wishes, workplace.folder)
    endpoint = workplace.environment.s3_endpoint

    def open_remote(pattern: str) -> Sequence[Path]:
        urls = list_urls(pattern, endpoint=endpoint, cache=workplace.cache)
        return [fetch_url(url, endpoint=endpoint, cache=workplace.cache) for url in urls]

    where = describe_source(source, workplace)
    frame = read_source(source, workplace=workplace, open_remote=open_remote)
    inference = infer(
        frame,
        target=wishes.target,
        name=wishes.name or _name(wishes, source),
        where=where,
        task=wishes.task,
        hints=replace(hints, source=_written(source)),
    )
    inference = inference if wishes.split is None else _split_by(inference, wishes.split, where)
    in_use(inference.contract, parse_model(Project, inference.project, where=PROJECT_FILE))
    return inference


def write_project(inference: Inference, workplace: Workplace) -> None:
    """Write contract, schema and project file, the project file last: it makes the folder a project."""
    workplace.folder.mkdir(parents=True, exist_ok=True)
    workplace.home.mkdir(parents=True, exist_ok=True)
    schema = workplace.home / SCHEMA_FILE
    schema.write_text(schema_text(), encoding="utf-8")
    (workplace.folder / _CONTRACT_FILE).write_text(dump_contract(inference.contract), encoding="utf-8")
    head = editor_line(schema, workplace.project_file) + _HEADER
    workplace.project_file.write_text(head + dump_yaml(inference.project), encoding="utf-8")


def _check_name(name: str | None) -> None:
    """Refuse a given name that projects cannot have, rather than make another one of it."""
    if name is not None and project_name(name) != name:
        what = f"`{name}` cannot be the name of a project, which is lower case letters, digits, `-` and `_`"
        raise UsageError(what, cure=f"Give a name such as `{project_name(name)}`.")


def _source(wishes: Wishes, folder: Path) -> Source:
    """Return the source that the word on the command line means, paths relative to the project's folder."""
    table = wishes.table
    if wishes.query is not None:
        return _sql(table, wishes.query)
    if table.startswith("sklearn:"):
        content = {"kind": "sklearn", "name": table.removeprefix("sklearn:")}
        return parse_model(BundledSource, content, where=table)
    if _FUNCTION.fullmatch(table) and not os.path.exists(table):  # noqa: PTH110  # a name too long is no error here
        return CallableSource(function=table)
    if "://" in table and not table.startswith("s3://"):
        raise UsageError(
            f"`{_without_password(table)}` needs a query",
            cure="Add --query 'SELECT …', or give a path or s3:// address.",
        )
    source = source_of(table)
    if "://" in table or Path(table).is_absolute():
        return source
    return source.model_copy(update={"path": os.path.relpath(table, folder)})


def _sql(url: str, query: str) -> SqlSource:
    """Return the source of a query; a password has no place in the project file."""
    if "://" not in url:
        raise UsageError(f"`{url}` is no SQLAlchemy URL", cure="Write it as in sqlite:///shop.db.")
    if _PASSWORD.search(url):
        raise UsageError(
            f"`{_without_password(url)}` holds a password, which would stand in the project file",
            cure="Put it into the environment and write ${NAME} in its place.",
        )
    return SqlSource(url=url, query=query)


def _without_password(url: str) -> str:
    return _PASSWORD.sub("://…@", url)


def _name(wishes: Wishes, source: Source) -> str:
    """Return what a project's name is made from: the file, the table's name, or the target for a query."""
    if isinstance(source, SqlSource):
        return wishes.target
    if isinstance(source, BundledSource):
        return source.name
    if isinstance(source, CallableSource):
        return source.function.rpartition(":")[2]
    path = Path(source.path)
    return path.parent.name if "*" in path.name and path.parent.name else path.name


def _written(source: Source) -> str | dict[str, Any]:
    """Return a source as a person would write it: a plain path where its ending tells the kind."""
    path = getattr(source, "path", None)
    if path is not None and DataSection.model_validate({"source": path, "target": "t"}).source == source:
        return str(path)
    return {"kind": source.kind, **source.model_dump(mode="json", exclude_defaults=True)}


def _split_by(inference: Inference, column: str, where: str) -> Inference:
    """Add the column that deals the rows to the parts."""
    names = [known.name for known in inference.contract.columns]
    if column == inference.contract.target.name:
        what = f"`{column}` is the target and cannot also be the column of `split`"
        raise UsageError(what, cure="The parts need a column of their own.")
    if column not in names:
        raise DataError(f"there is no column `{column}`", where=where, cure=did_you_mean(column, names))
    columns = (
        known.model_copy(update={"role": Role.PART}) if known.name == column else known
        for known in inference.contract.columns
    )
    contract: Contract = inference.contract.model_copy(update={"columns": tuple(columns)})
    return replace(inference, contract=contract, project={**inference.project, "split": {"column": column}})
