"""`tiltyard init`: the first project file and data contract, inferred from a table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiltyard.cli.options import HERE, JsonOption
from tiltyard.project.metrics import Task

if TYPE_CHECKING:
    from tiltyard.data.inference import Inference

_TABLE = "CSV or Parquet (file, folder, glob, s3://), module:function, sklearn:NAME, or a SQLAlchemy URL with --query."


def init(
    *,
    table: Annotated[str, typer.Argument(help=_TABLE)],
    target: Annotated[str, typer.Option("--target", "-t", help="The column to predict.")],
    name: Annotated[str | None, typer.Option(help="Name of the project; made from the table's when left out.")] = None,
    folder: Annotated[Path, typer.Option(help="Folder to write into.", show_default="here")] = HERE,
    task: Annotated[Task | None, typer.Option(help="What is predicted; guessed when left out.")] = None,
    positive: Annotated[str | None, typer.Option(help="The class that matters; guessed when left out.")] = None,
    time: Annotated[str | None, typer.Option(help="Column that says when a row became known.")] = None,
    group: Annotated[str | None, typer.Option(help="Column whose rows belong together.")] = None,
    ids: Annotated[list[str] | None, typer.Option(help="Column that identifies a row; may be repeated.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Column that leaks or is unwanted; may be repeated.")] = None,
    missing: Annotated[list[str] | None, typer.Option(help="Spelling of a missing value; may be repeated.")] = None,
    split: Annotated[str | None, typer.Option(help="Column whose values are the parts (train, test, …).")] = None,
    query: Annotated[str | None, typer.Option(help="SELECT statement, when TABLE is a SQLAlchemy URL.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the files that are there.")] = False,
    json: JsonOption = False,
) -> None:
    """Infer the project file and the data contract from a table; say what was guessed, and why.

    Examples:
      tiltyard init data.csv --target churned
      tiltyard init 'exports/*.parquet' --target price --time sold_at --drop buyer_rating
      tiltyard init 'postgresql+psycopg://app:${DB_PASSWORD}@db/sales' --query 'SELECT * FROM orders' --target returned
      tiltyard init sklearn:breast_cancer --target target --folder cancer
    """
    from tiltyard.cli.beginning import Wishes, free_place, guess_project, write_project
    from tiltyard.data.inference import Hints

    workplace = free_place(folder, force=force)
    hints = Hints(
        positive=positive,
        time=time,
        ids=tuple(ids or ()),
        group=group,
        drop=tuple(drop or ()),
        missing=tuple(missing or ()),
    )
    wishes = Wishes(table=table, query=query, target=target, name=name, task=task, split=split)
    inference = guess_project(wishes, hints, workplace)
    write_project(inference, workplace)
    _show(inference, workplace.project_file, json=json)


def _show(inference: "Inference", file: Path, *, json: bool) -> None:
    """Say what was guessed and why, and what comes next."""
    from tiltyard.cli.output import say, write_json
    from tiltyard.cli.tables import show_table

    contract = file.parent / "contract.yaml"
    guesses: list[dict[str, Any]] = [vars(guess) for guess in inference.guesses]
    if json:
        write_json({"project": str(file), "contract": str(contract), "guesses": guesses})
        return
    show_table(("what", "guess", "why"), ([str(value) for value in guess.values()] for guess in guesses))
    features = len(inference.contract.features)
    say(f"{file}: predicts `{inference.contract.target.name}` from {features} columns.")
    say(f"{contract}: what every column is. Review both, then run `tiltyard check` and `tiltyard train`.")
