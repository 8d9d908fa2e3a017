"""`tiltyard status`: how everything stands."""

import time
from typing import Annotated

import typer

from tiltyard.cli.options import JsonOption, ProjectsOption

_PAUSE = 2.0


def status(
    *,
    project: ProjectsOption = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again every 2 s until Ctrl-C.")] = False,
    json: JsonOption = False,
) -> None:
    """Show the champion, the last verdicts, what waits for a decision, the runs, and how the local stack is.

    Without a stack it shows what the ledger knows.

    Examples:
      tiltyard status
      tiltyard status --watch
      tiltyard status --json
    """
    from tiltyard.cli.output import write_json
    from tiltyard.cli.standing import standing
    from tiltyard.errors import UsageError

    if watch and json:
        raise UsageError("--watch is for people and --json prints one document", cure="Give one of them.")
    found = standing(project or ())
    if json:
        write_json(found.model_dump(mode="json"))
        return
    from tiltyard.cli.standing_view import show, watching

    if not watch:
        show(found)
        return
    with watching() as look:
        while True:
            look(found)
            time.sleep(_PAUSE)
            found = standing(project or ())
