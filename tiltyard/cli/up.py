"""`tiltyard up` and `tiltyard down`: Prefect, MLflow, a worker and the model server on this machine."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiltyard.cli.options import HERE, JsonOption, ProjectOption, ProjectsOption

if TYPE_CHECKING:
    from tiltyard.project.addresses import Addresses
    from tiltyard.stack.running import Wanted


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
    from tiltyard.cli.opening import find_projects
    from tiltyard.cli.output import complain
    from tiltyard.stack.ports import Wishes
    from tiltyard.stack.running import Wanted

    found = find_projects(project or ())
    files = tuple(dict.fromkeys(workplace.project_file for _, workplace in found))
    home = found[0][1].home
    if host not in {"127.0.0.1", "::1", "localhost"}:
        complain(
            f"tiltyard: {host} opens Prefect, MLflow and the model server to the network, without passwords. "
            "For Prefect's pages in browsers elsewhere set PREFECT_UI_API_URL to http://THIS-MACHINE:PORT/api."
        )
    wishes = Wishes(prefect=prefect_port, mlflow=mlflow_port, server=port)
    wanted = Wanted(home, files, host, wishes, certificate=_certificate())
    _bring_up(wanted, stay=not (detach or json), json=json)


def down(*, project: ProjectOption = HERE) -> None:
    """Take down what `tiltyard up` started, training runs included; nothing stays behind.

    Examples:
      tiltyard down
    """
    from tiltyard.cli.opening import find_home
    from tiltyard.cli.output import say
    from tiltyard.stack.running import down as take_down

    say("Down." if take_down(find_home(project)) else "Nothing is up here.")


def _certificate() -> Path | None:
    """Return the certificate that the model server will show, checked as it will check it; None where it speaks HTTP.

    Raises:
        UsageError: The certificate or its key is missing.
        ServingError: They cannot be served with.
    """
    from tiltyard.errors import UsageError
    from tiltyard.serving.settings import TlsFiles
    from tiltyard.serving.tls import check_tls

    certificate, key = (os.environ.get(f"TILTYARD_SERVE_TLS_{what}") for what in ("CERT", "KEY"))
    if not certificate and not key:
        return None
    if not certificate or not key:
        cure = "Set TILTYARD_SERVE_TLS_CERT and TILTYARD_SERVE_TLS_KEY, or neither."
        raise UsageError("HTTPS needs a certificate and its key", cure=cure)
    check_tls(TlsFiles(certificate=Path(certificate), key=Path(key)))
    return Path(certificate).absolute()


def _bring_up(wanted: "Wanted", *, stay: bool, json: bool) -> None:
    """Start the stack, say where it is, and stay with it when wanted."""
    from tiltyard.cli.output import complain, say, write_json
    from tiltyard.cli.stack_view import show_addresses, starting, stay_with
    from tiltyard.stack.running import down as take_down
    from tiltyard.stack.running import up as bring_up

    with interruptible():
        with starting(hidden=json) as watch:
            stack = bring_up(wanted, watch=watch, prepare=lambda addresses: _put_into_force(wanted, addresses))
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
            say("Down.")


def _put_into_force(wanted: "Wanted", addresses: "Addresses") -> None:
    """Bring deployments and schedules to what the project files say, and have MLflow call the model server."""
    from flows.local import prepare
    from tiltyard.cli.output import complain
    from tiltyard.errors import RegistryError
    from tiltyard.project.addresses import STACK
    from tiltyard.project.environment import Workplace

    os.environ |= {"PREFECT_API_URL": addresses.prefect, "MLFLOW_TRACKING_URI": addresses.mlflow}
    workplace = Workplace(wanted.projects[0])
    prepare(workplace)
    from flows.deployments import deploy
    from tiltyard.registry.client import connect
    from tiltyard.registry.webhooks import ensure_webhook
    from tiltyard.serving.hooks import HOOK
    from tiltyard.stack.keys import keys_of

    deploy(wanted.projects)
    if wanted.certificate is not None:
        return  # MLflow calls by an address, which no certificate has that it would trust
    try:
        ensure_webhook(connect(workplace), addresses.server + HOOK, keys_of(wanted.home / STACK).webhook)
    except RegistryError as error:
        complain(f"tiltyard: the model server is not told of moves at once, and looks by itself instead: {error}")


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
