"""`tiltyard monitor`: is the champion still good, what changed, and what follows from that?"""

from typing import TYPE_CHECKING, Annotated

import typer

from tiltyard.cli.options import HERE, JsonOption, ProjectOption

if TYPE_CHECKING:
    from tiltyard.steps.monitoring import Checked

EXIT_CODES = {"quiet": 0, "unsure": 0, "warning": 12, "alarm": 13, "broken": 14}
"""By the worst that was found."""

_STYLES = {"quiet": "promote", "warning": "warning", "alarm": "error", "broken": "error"}


def monitor(
    *,
    project: ProjectOption = HERE,
    window: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN|ROWS",
            help="What to look at: the last 7d (m, h, d, w), or a number of the latest rows.",
            show_default="monitoring.window",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Look from that day (or moment) on, UTC; for as long as --window says."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why, for the run's name.")] = "",
    domain: Annotated[
        bool,
        typer.Option(
            "--domain",
            help="Also ask a classifier whether all columns together tell the window from the reference, and which do.",
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Look at what the champion was asked: broken data, drift, its score by late labels; and what follows.

    The same window checked twice is one record, and what follows from it happens once: a message to people, or an event
    at Prefect that starts a training run. Exit codes: 0 nothing was found (or too few rows to tell), 12 a warning,
    13 an alarm, 14 broken data.

    Examples:
      tiltyard monitor
      tiltyard monitor --window 24h
      tiltyard monitor --window 5000 --json
      tiltyard monitor --since 2026-11-01 --window 7d
      tiltyard monitor --window 30d --domain
      tiltyard monitor || tiltyard report --path
    """
    from flows.local import temporary_server
    from tiltyard.cli.opening import find_project
    from tiltyard.cli.output import write_json

    found, workplace = find_project(project)
    server = temporary_server(workplace)

    from flows import monitoring
    from flows.orchestrator import tagged, using
    from tiltyard.data.as_of import read_as_of

    moment = read_as_of(since)
    with using(server), tagged(found.name):
        checked = monitoring.monitor(workplace.project_file, window=window, since=moment, reason=reason, domain=domain)
    if json:
        write_json(checked.model_dump(mode="json"))
    else:
        _show(checked)
    code = EXIT_CODES[checked.summary.state]
    if code:
        raise typer.Exit(code)


def _show(checked: "Checked") -> None:
    """Say what was found, and where to look."""
    from tiltyard.cli.output import say
    from tiltyard.monitoring.page import answers
    from tiltyard.monitoring.summary import moment

    check, summary = checked.check, checked.summary
    say(f"{check.model} version {check.version}, {moment(check.start)} to {moment(check.end)}: {check.rows:,} rows")
    say(f"{summary.headline}.", style=_STYLES.get(summary.state, ""))
    for question, answer in answers(summary):
        say(f"{question}: {answer}")
    if checked.pages.problem:
        say(f"MLflow did not take the pages: {checked.pages.problem}", style="warning")
    say("The page with pictures: `tiltyard report`")
