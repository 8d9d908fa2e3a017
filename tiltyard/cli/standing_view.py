"""How a home stands, as people read it."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tiltyard.cli.output import STYLES
from tiltyard.cli.standing import ProjectStanding, RunLine, Standing
from tiltyard.cli.tables import console
from tiltyard.stack.health import Health

_STATES = {"up": "green", "starting": "yellow", "down": "red"}
_BAD = {"Failed", "Crashed", "TimedOut"}
_LONGEST = 100


def show(found: Standing) -> None:
    """Print how a home stands."""
    console(sys.stdout).print(_everything(found))


@contextmanager
def watching() -> Iterator[Callable[[Standing], None]]:
    """Show on a terminal how a home stands, again and again; yields what is to be told of it."""
    screen = console(sys.stdout)
    with Live(console=screen, auto_refresh=False, screen=screen.is_terminal, vertical_overflow="crop") as live:
        yield lambda found: live.update(_everything(found), refresh=True)


def _everything(found: Standing) -> RenderableType:
    projects = [_project(project, served=found.stack is not None) for project in found.projects]
    return Group(*_stack(found), *projects)


def _stack(found: Standing) -> list[RenderableType]:
    """Say how the stack is."""
    if found.left:
        lost = f"The supervisor of the stack here is gone, {found.left} of its processes are not"
        return [Text(f"{lost}: `tiltyard up` starts afresh, `tiltyard down` ends them.", "yellow")]
    if found.stack is None:
        return [Text("No local stack is up here; `tiltyard up` starts one.")]
    began = datetime.fromtimestamp(found.stack.started, UTC)
    return [Text(f"stack, up since {_time(began)} UTC", "bold"), Padding(parts_table(found.parts), (0, 0, 0, 2))]


def parts_table(parts: tuple[Health, ...]) -> Table:
    """Return how the parts of a stack are, as a table without lines."""
    grid = _grid()
    for part in parts:
        grid.add_row(part.title, Text(part.state, _STATES[part.state]), part.url, Text(_short(part.note)))
    return grid


def _project(project: ProjectStanding, *, served: bool) -> RenderableType:
    """Say how a project stands."""
    grid = _grid()
    grid.add_row("champion", _champion(project))
    if served:
        grid.add_row("answers with", _served(project))
    if project.rollout is not None:
        grid.add_row("rollout", Text(project.rollout.sentence, "yellow"))
    for judged in project.verdicts:
        words = f"version {judged.version} at {_time(judged.time)}: {judged.sentence}"
        grid.add_row("verdict", Text.assemble((judged.verdict, STYLES.get(judged.verdict, "")), " ", words))
    for approval in project.approvals:
        grid.add_row("waits", Text(f"{approval.sentence}: {_short(approval.question)}", "yellow"))
    if project.schedule:
        grid.add_row("schedule", Text(project.schedule))
    for run in project.last:
        grid.add_row("run", _run(run))
    for run in project.next:
        grid.add_row("next run", Text(f"{run.flow} {_time(run.time) if run.time else ''} ({run.state.lower()})"))
    for trouble in project.trouble:
        grid.add_row("trouble", Text(trouble, "red"))
    return Group(Text(f"\n{project.name}", "bold"), Padding(grid, (0, 0, 0, 2)))


def _champion(project: ProjectStanding) -> Text:
    reign = project.champion
    if reign is None and project.vacant is not None:
        return Text(f"none: {project.vacant}", "yellow")
    if reign is None:
        return Text("none yet; `tiltyard train` makes the first")
    return Text(f"version {reign.version} since {_time(reign.since)}, by {reign.by}: {_short(reign.reason)}")


def _served(project: ProjectStanding) -> Text:
    """Say what the model server answers with, and what it refuses."""
    served = project.served or {}
    version, refused = served.get("version"), served.get("refused")
    text = Text("nothing yet" if version is None else f"version {version}")
    if project.champion is not None and version != project.champion.version:
        text.append(f", and the ledger's champion is version {project.champion.version}", "yellow")
    if refused:
        text.append(f"; version {refused['version']} is refused: {_short(refused['reason'])}", "red")
    return text


def _run(run: RunLine) -> Text:
    """Say how a run went; what it says of itself only where it did not end well or has not ended."""
    moment = f" {_time(run.time)}" if run.time else ""
    said = f": {_short(run.message)}" if run.message and run.state != "Completed" else ""
    return Text(f"{run.state}{moment}  {run.name or run.flow}{said}", "red" if run.state in _BAD else "")


def _grid() -> Table:
    return Table.grid(padding=(0, 2))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
