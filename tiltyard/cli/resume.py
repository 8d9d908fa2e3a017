"""`tiltyard resume`: let a run that failed or crashed go on where it was."""

from typing import TYPE_CHECKING, Annotated

import typer

from tiltyard.cli.options import HERE, JsonOption, ProjectOption
from tiltyard.errors import UsageError

if TYPE_CHECKING:
    from flows.runs import Run

_LOOK_BACK = 50
_AGAIN = "Run `tiltyard train` again: it goes on after the last finished step."


def resume(
    *,
    run: Annotated[
        str | None,
        typer.Argument(help="Name or id of the run.", show_default="the last one that failed or crashed"),
    ] = None,
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Start a run again that failed or crashed, as Retry in Prefect's UI does; finished steps are not redone.

    Examples:
      tiltyard resume
      tiltyard resume "churn: new autumn data"
    """
    from flows.local import prepare
    from tiltyard.cli.opening import find_project
    from tiltyard.cli.output import say, write_json

    found, workplace = find_project(project)
    if workplace.prefect_api is None:
        raise UsageError(f"no Prefect server is known to {workplace.project_file}, so that it has no runs", cure=_AGAIN)
    prepare(workplace)

    from flows import runs

    past = runs.recent(workplace.prefect_api, found.name, limit=_LOOK_BACK)
    chosen = runs.ended_badly(past) if run is None else _named(run, past)
    if chosen is None:
        raise UsageError(
            f"none of the last runs of `{found.name}` failed or crashed", cure="There is nothing to resume."
        )
    again = runs.retry(workplace.prefect_api, chosen.id)
    if json:
        write_json(again.model_dump(mode="json"))
    else:
        say(f"{again.name} goes on as soon as a worker is free.")
        say(again.url)


def _named(wanted: str, past: "tuple[Run, ...]") -> "Run":
    """Return the newest of some runs that has this name or id."""
    from tiltyard.errors import did_you_mean

    for run in past:
        if wanted in {run.name, str(run.id)}:
            return run
    cure = did_you_mean(wanted, {run.name for run in past})
    raise UsageError(f"`{wanted}` is none of the last {_LOOK_BACK} runs", cure=cure)
