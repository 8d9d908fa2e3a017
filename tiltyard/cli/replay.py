"""`tiltyard replay`: a whole history through the loop, on a simulated clock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiltyard.cli.options import HERE, JsonOption, ProjectOption
from tiltyard.project.metrics import Task

if TYPE_CHECKING:
    from tiltyard.steps.replaying.loop import Step
    from tiltyard.steps.replaying.outcome import Replay

_TABLE = "CSV or Parquet (file, folder, glob, s3://); that of the project when left out."


def replay(
    *,
    table: Annotated[str | None, typer.Argument(help=_TABLE, show_default=False)] = None,
    time: Annotated[
        str | None, typer.Option(help="Column that says when a row became known; the project's when left out.")
    ] = None,
    project: ProjectOption = HERE,
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="The column to predict; then no project is needed.")
    ] = None,
    task: Annotated[Task | None, typer.Option(help="What is predicted; with --target, guessed when left out.")] = None,
    positive: Annotated[str | None, typer.Option(help="The class that matters; with --target.")] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Column that leaks or is unwanted; with --target, may be repeated.")
    ] = None,
    missing: Annotated[
        list[str] | None, typer.Option(help="Spelling of a missing value; with --target, may be repeated.")
    ] = None,
    first: Annotated[float, typer.Option(help="Share of the rows that the first model is trained on.")] = 0.2,
    labels_after: Annotated[str, typer.Option(help="How long after its row a label comes, such as 7d.")] = "7d",
    window: Annotated[
        str | None, typer.Option(help="Length of a window, such as 7d; the project's when left out.")
    ] = None,
    schedule: Annotated[
        list[str] | None,
        typer.Option(
            help="monthly, weekly, daily or 14d: retraining by the calendar, for comparison; may be repeated.",
            show_default="monthly",
        ),
    ] = None,
    unjudged: Annotated[
        bool, typer.Option("--unjudged", help="Show each schedule also with new models taking over without the gate.")
    ] = False,
    history: Annotated[
        str | None, typer.Option(help="How far back is learnt from, such as 90d; data.history when left out.")
    ] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials of one search.", show_default="8")] = None,
    seconds: Annotated[
        float | None, typer.Option(min=1, help="Wall time of one search; then not the same each time.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed; the project's when left out.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for replay.html, replay.png and replay.json.", show_default="replay")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show what Tiltyard would have done in a history, beside never training again and training by the calendar.

    The first rows train a first champion. The others are answered in the order of their time, labels come late, each
    window is looked at as `tiltyard monitor` does, the policy decides, a retraining is judged by the gate. No stack is
    needed and nothing is registered. Searches are quick: two strong families unless the project names others.

    Examples:
      tiltyard replay
      tiltyard replay history.csv --time sold_at --target price --labels-after 14d
      tiltyard replay --schedule monthly --schedule weekly --history 90d --json
    """
    from tiltyard.cli.output import write_json
    from tiltyard.cli.past import Past, read_past
    from tiltyard.steps.replaying.replay import Plan
    from tiltyard.steps.replaying.replay import replay as run

    asked = Past(
        table=table,
        time=time,
        project=project,
        target=target,
        task=task,
        positive=positive,
        drop=tuple(drop or ()),
        missing=tuple(missing or ()),
    )
    plan = Plan(
        first=first,
        labels_after=labels_after,
        schedules=tuple(schedule or ("monthly",)),
        ungated=unjudged,
        history=history,
        window=window,
        trials=trials,
        seconds=seconds,
        seed=seed,
    )
    read = read_past(asked, first)
    with _bar(hidden=json) as tell:
        found = run(
            read.frame, read.project, read.contract, plan, where=read.where, code_folder=read.code_folder, tell=tell
        )
    page = _write(found, out or Path("replay"))
    if json:
        write_json(found.model_dump(mode="json"))
    else:
        _show(found, page)


@contextmanager
def _bar(*, hidden: bool) -> "Iterator[Callable[[Step], None]]":
    """Show on a terminal how far a replay is."""
    import sys

    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from tiltyard.cli.tables import console

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    disabled = hidden or not sys.stderr.isatty()
    with Progress(*columns, console=console(sys.stderr), transient=True, disable=disabled) as bar:
        task = bar.add_task("training the first model", total=1.0)

        def tell(step: "Step") -> None:
            words = f"{step.strategy}: {step.retrainings} retrainings"
            bar.update(task, description=words, completed=step.share)

        yield tell


def _write(replay: "Replay", folder: Path) -> Path:
    """Write the page, the picture and the figures; return the page."""
    from tiltyard.steps.replaying.pages import draw_replay, replay_page

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "replay.png").write_bytes(draw_replay(replay))
    (folder / "replay.json").write_text(replay.model_dump_json(indent=1), encoding="utf-8")
    page = folder / "replay.html"
    page.write_text(replay_page(replay), encoding="utf-8")
    return page


def _show(replay: "Replay", page: Path) -> None:
    """Say how every strategy went, and where the page is."""
    from tiltyard.cli.output import say
    from tiltyard.cli.tables import show_table
    from tiltyard.project.metrics import METRICS
    from tiltyard.steps.replaying.pages import figures, setting

    say(setting(replay))
    name = METRICS[replay.metric].title
    heads = ("strategy", f"mean {name}", "against never", "retrainings", "promotions", "alerts")
    show_table(heads, (figures(replay, track) for track in replay.tracks))
    for one in replay.track("policy").retrainings:
        outcome = f"model {one.model} took over" if one.promoted else "the champion stayed"
        say(f"{one.at:%Y-%m-%d}: {outcome}. {one.reason}")
    say(f"Page: {page}")
