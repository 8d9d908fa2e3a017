"""`tiltyard logs`: what the parts of the local stack wrote."""

from pathlib import Path
from typing import Annotated

import typer

from tiltyard.cli.options import HERE, ProjectOption

EVERY = ("prefect", "mlflow", "server", "worker", "supervisor")
"""The parts that have a log."""


def logs(
    part: Annotated[str | None, typer.Argument(help=f"One of {', '.join(EVERY)}; all of them when left out.")] = None,
    *,
    project: ProjectOption = HERE,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="Last lines of each log.")] = 20,
) -> None:
    """Show what the parts of the local stack wrote; also after it went down.

    Examples:
      tiltyard logs
      tiltyard logs worker --follow
      tiltyard logs mlflow --lines 200
    """
    from tiltyard.cli.opening import find_home
    from tiltyard.errors import UsageError, did_you_mean

    if part is not None and part not in EVERY:
        raise UsageError(f"there is no part `{part}`", cure=did_you_mean(part, EVERY))
    home = find_home(project)
    names = EVERY if part is None else (part,)
    _show_last(home, names, lines)
    if follow:
        _follow(home, names)


def _show_last(home: Path, names: tuple[str, ...], lines: int) -> None:
    """Print the last lines of some logs."""
    from tiltyard.cli.output import complain, say
    from tiltyard.stack.logs import last_lines, log_file

    files = [log_file(home, name) for name in names]
    there = [file for file in files if file.exists()]
    if not there:
        complain(f"tiltyard: no log is in {files[0].parent}. `tiltyard up` starts what writes them.")
    for file in there:
        if len(names) > 1:
            say(f"── {file}")
        for line in last_lines(file, lines):
            say(line)


def _follow(home: Path, names: tuple[str, ...]) -> None:
    """Print new lines as they come, each with its part when there are several."""
    from tiltyard.cli.output import say
    from tiltyard.stack.logs import log_file, new_lines

    for name, line in new_lines({name: log_file(home, name) for name in names}):
        say(f"{name:<10} {line}" if len(names) > 1 else line)
