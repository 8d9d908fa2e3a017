"""`tiltyard up` and `tiltyard down`: Prefect, MLflow, a worker and the model server on this machine."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiltyard.cli.options import HERE, JsonOption

if TYPE_CHECKING:
    from tiltyard.project.addresses import Addresses
    from tiltyard.stack.running import Wanted

ProjectsOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--project",
        "-p",
        help="Project file, or the folder that holds tiltyard.yaml; repeat it for several that share TILTYARD_HOME.",
        show_default="here",
    ),
]
_PORT = {"min": 1, "max": 65535, "show_default": False}


def up(
    *,
    project: ProjectsOption = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when everything answers.")] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the model server.", show_default="8080, or a free one")
    ] = None,
    mlflow_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of MLflow.", show_default="5000, or a free one")
    ] = None,
    prefect_port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of Prefect.", show_default="4200, or a free one")
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on; others than this machine's own open it to the network, without passwords."
        ),
    ] = "127.0.0.1",
    json: JsonOption = False,
) -> None:
    """Bring up Prefect, MLflow, a worker and the model server on this machine, and put the schedules into force.

    Without --detach it stays, shows how the parts are, and takes everything down again on Ctrl-C.

    Examples:
      tiltyard up
      tiltyard up --detach --port 9000
      tiltyard status
      tiltyard down
    """
    from tiltyard.stack.ports import Wishes
    from tiltyard.stack.running import Wanted

    files, home = find_home(project)
    wanted = Wanted(home, files, host, Wishes(prefect=prefect_port, mlflow=mlflow_port, server=port))
    _bring_up(wanted, stay=not (detach or json), json=json)


def down(*, project: ProjectsOption = None) -> None:
    """Take down what `tiltyard up` started, training runs included; nothing stays behind.

    Examples:
      tiltyard down
    """
    from tiltyard.cli.output import say
    from tiltyard.stack.running import down as take_down

    _, home = find_home(project)
    say("down" if take_down(home) else "Nothing is up here.")


def find_home(projects: Sequence[Path] | None) -> tuple[tuple[Path, ...], Path]:
    """Return the project files that are meant, and the home that they share.

    Args:
        projects: Project files or their folders; the current folder when left out.

    Raises:
        ProjectError: A file is missing or wrong.
        UsageError: Several projects have no home in common.
    """
    from tiltyard.cli.opening import find_project
    from tiltyard.errors import UsageError

    found = [find_project(path) for path in projects or [HERE]]
    files = tuple(dict.fromkeys(workplace.project_file for _, workplace in found))
    homes = {workplace.home for _, workplace in found}
    if len(homes) > 1:
        raise UsageError(
            f"{len(files)} projects share no home", cure="Set TILTYARD_HOME to a folder for what they have in common."
        )
    names = [project.name for project, _ in found]
    twice = next((name for name in names if len(files) > 1 and names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two projects are named `{twice}`", cure="Names tell projects apart: change one.")
    return files, homes.pop()


def _bring_up(wanted: "Wanted", *, stay: bool, json: bool) -> None:
    """Start the stack, say where it is, and stay with it when wanted."""
    from tiltyard.cli.output import complain, say, write_json
    from tiltyard.cli.stack_view import show_addresses, starting, stay_with
    from tiltyard.stack.running import down as take_down
    from tiltyard.stack.running import up as bring_up

    with interruptible():
        with starting(hidden=json) as watch:
            stack = bring_up(wanted, watch=watch, then=lambda addresses: _put_into_force(wanted.projects, addresses))
        if json:
            write_json({**stack.addresses.model_dump(mode="json"), "already": stack.already})
            return
        if stack.cleared:
            say(f"Ended {stack.cleared} processes that an earlier stack had left.")
        say("Already up." if stack.already else "Up.")
        show_addresses(wanted.home, stack.addresses)
        if not stay or stack.already:
            say("Stop it with `tiltyard down`.")
            return
        try:
            stay_with(stack.addresses)
        except KeyboardInterrupt:
            complain("tiltyard: taking everything down.")
            take_down(wanted.home)
            say("down")


def _put_into_force(projects: Sequence[Path], addresses: "Addresses") -> None:
    """Bring deployments and schedules to what the project files say."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Treat the end of the terminal, and SIGTERM, like Ctrl-C."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
