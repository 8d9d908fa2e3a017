"""How a stack looks on a terminal: while it starts, its addresses, and while one stays with it."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Group
from rich.live import Live
from rich.spinner import Spinner

from tiltyard.cli.output import say
from tiltyard.cli.standing_view import parts_table
from tiltyard.cli.tables import console, show_table
from tiltyard.project.addresses import STACK, Addresses
from tiltyard.stack.health import Health, health
from tiltyard.stack.supervisor import LOGS

_PAUSE = 2.0


@contextmanager
def starting(*, hidden: bool = False) -> Iterator[Callable[[tuple[Health, ...]], None]]:
    """Show on a terminal how far the parts are; yields what is to be told of it.

    Args:
        hidden: Whether nothing is shown, on a terminal neither.
    """
    if hidden or not sys.stderr.isatty():
        yield lambda _: None
        return
    with Live(console=console(sys.stderr), transient=True, refresh_per_second=8) as live:
        spinner = Spinner("dots", "starting")

        def show(parts: tuple[Health, ...]) -> None:
            live.update(Group(spinner, parts_table(parts)))

        yield show


def show_addresses(home: Path, addresses: Addresses) -> None:
    """Print where everything is."""
    rows = [
        ("Prefect", addresses.prefect.removesuffix("/api"), "runs, schedules, forms, approvals"),
        ("MLflow", addresses.mlflow, "experiments, models, the champion's alias"),
        ("model server", f"{addresses.server}/v1/models", "predictions"),
        ("logs", str(home / STACK / LOGS), "tiltyard logs"),
    ]
    show_table(("part", "where", "what for"), rows)


def stay_with(addresses: Addresses) -> None:
    """Show how the parts are until the stack ends, or Ctrl-C."""
    say("Ctrl-C takes everything down.")
    if not sys.stdout.isatty():
        while addresses.alive:
            time.sleep(_PAUSE)
    else:
        with Live(console=console(sys.stdout), transient=True, auto_refresh=False) as live:
            while addresses.alive:
                live.update(parts_table(health(addresses)), refresh=True)
                time.sleep(_PAUSE)
    say("The stack was taken down from elsewhere.")
