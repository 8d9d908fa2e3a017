"""The ports of a stack: chosen by the user, or the usual ones where they are free, else any."""

import contextlib
import errno
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
from filelock import lock_descriptor

from tiltyard.errors import StackError, UsageError

USUAL = {"prefect": 4200, "mlflow": 5000, "server": 8080}
"""Ports that are taken when nobody chooses and they are free."""

_MOST_TRIES = 50


@dataclass(frozen=True)
class Ports:
    """Where the parts of a stack listen.

    Attributes:
        prefect: Prefect's server.
        mlflow: MLflow's server.
        server: The model server.
    """

    prefect: int
    mlflow: int
    server: int


@dataclass(frozen=True)
class Wishes:
    """The ports that the user chose; None leaves the choice.

    Attributes:
        prefect: For Prefect's server.
        mlflow: For MLflow's server.
        server: For the model server.
    """

    prefect: int | None = None
    mlflow: int | None = None
    server: int | None = None


@contextlib.contextmanager
def claim(wishes: Wishes, host: str) -> Iterator[Ports]:
    """Choose the ports of a stack; until the block ends no other stack of this user chooses the same.

    Args:
        wishes: What the user chose.
        host: Address that is to be listened on.

    Raises:
        UsageError: A port that the user chose is taken, given twice, or not allowed.
        StackError: No free port can be found.
    """
    chosen = [port for port in (wishes.prefect, wishes.mlflow, wishes.server) if port]
    for port in chosen:
        if chosen.count(port) > 1:
            raise UsageError(f"the port {port} is chosen twice", cure="Every part needs one of its own.")
    with contextlib.ExitStack() as claims:
        found = {
            part: _chosen(claims, host, part, wished) if wished else _any(claims, host, usual, chosen)
            for part, usual in USUAL.items()
            for wished in (getattr(wishes, part),)
        }
        yield Ports(**found)


def listener(port: int) -> psutil.Process | None:
    """Return the process that listens on a port; None when nobody does, or one of another user."""
    for connection in psutil.net_connections(kind="tcp"):
        here = connection.laddr
        if connection.status == psutil.CONN_LISTEN and here and here.port == port and connection.pid:
            with contextlib.suppress(psutil.Error):
                return psutil.Process(connection.pid)
    return None


def describe_listener(port: int) -> str:
    """Say who listens on a port.

    Example:
        >>> describe_listener(1)
        'a process of another user'
    """
    process = listener(port)
    if process is None:
        return "a process of another user"
    with contextlib.suppress(psutil.Error):
        words = " ".join(process.cmdline()) or process.name()
        return f"process {process.pid}, `{words[:80]}{'…' if len(words) > 80 else ''}`"
    return f"process {process.pid}"


def sweep() -> None:
    """Remove the claims of stacks that were killed while they started; those of living ones stay."""
    with contextlib.ExitStack() as claims:
        for file in Path(tempfile.gettempdir()).glob(f"tiltyard-{os.getuid()}-port-[0-9]*.lock"):
            _claimed(claims, int(file.stem.rpartition("-")[2]))


def _chosen(claims: contextlib.ExitStack, host: str, part: str, port: int) -> int:
    """Take the port that the user chose, or say who has it."""
    where = f"{host}:{port}"
    try:
        free = _free(host, port)
    except PermissionError:
        raise UsageError("this port is not allowed", where=where, cure="Take one above 1023.") from None
    except OSError as error:
        raise UsageError(
            f"cannot be listened on ({error.strerror or error})", where=where, cure="Check --host."
        ) from None
    if not free:
        option = "--port" if part == "server" else f"--{part}-port"
        what = f"the port {port} is taken by {describe_listener(port)}"
        raise UsageError(what, cure=f"Stop it, or give another port with {option}.")
    if not _claimed(claims, port):
        raise UsageError(f"the port {port} is being taken by another stack that starts just now", cure="Give another.")
    return port


def _any(claims: contextlib.ExitStack, host: str, usual: int, chosen: list[int]) -> int:
    """Take the usual port when it is free, else any that is."""
    port = usual
    for _ in range(_MOST_TRIES):
        try:
            if port not in chosen and _free(host, port) and _claimed(claims, port):
                return port
            with socket.socket(_family(host)) as probe:
                probe.bind((host, 0))
                port = int(probe.getsockname()[1])
        except OSError as error:
            raise UsageError(
                f"`{host}` cannot be listened on ({error.strerror or error})", cure="Give an address of this machine."
            ) from None
    raise StackError(
        "no free port was found", where=host, cure="Choose ports with --port, --mlflow-port, --prefect-port."
    )


def _free(host: str, port: int) -> bool:
    """Whether a port can be listened on now.

    Raises:
        OSError: Not on this host, or not by this user.
    """
    with socket.socket(_family(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def _family(host: str) -> socket.AddressFamily:
    """Return the address family of a host."""
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]


def _claimed(claims: contextlib.ExitStack, port: int) -> bool:
    """Claim a port among the stacks of this user; False when another one has it while it starts."""
    file = Path(tempfile.gettempdir()) / f"tiltyard-{os.getuid()}-port-{port}.lock"
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        if not lock_descriptor(descriptor, blocking=False):
            os.close(descriptor)
            return False
        if os.fstat(descriptor).st_nlink:
            claims.callback(os.close, descriptor)
            claims.callback(file.unlink, missing_ok=True)
            return True
        os.close(descriptor)  # its holder removed it after we had opened it
