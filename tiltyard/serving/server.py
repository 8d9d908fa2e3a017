"""The supervisor: binds the socket, starts workers and sidecar, starts again what dies, drains at the end.

It answers no request and knows no model, so that nothing a request or a bundle does can take it down.
"""

import asyncio
import errno
import ipaddress
import logging
import os
import re
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import tiltyard
from tiltyard.errors import ServingError, UsageError
from tiltyard.predictions.files import log_folder
from tiltyard.predictions.settings import LogSettings
from tiltyard.project.environment import Workplace
from tiltyard.project.gates import GatesSection
from tiltyard.serving.children import Child
from tiltyard.serving.cold_start import begin_from_others
from tiltyard.serving.counting import clear, metrics_folder
from tiltyard.serving.head_start import SECONDS, HeadStart
from tiltyard.serving.newcomers import turn_newcomers_away
from tiltyard.serving.plan import covers, forget_looks, has_rollouts
from tiltyard.serving.processes import start_log
from tiltyard.serving.settings import (
    DRAIN_SECONDS,
    Limits,
    ShadowSettings,
    SidecarSettings,
    TlsFiles,
    WorkerSettings,
)
from tiltyard.serving.tls import check_tls
from tiltyard.serving.tokens import Tokens

BACKLOG = 2048
STOP_SECONDS = 40.0
"""After a worker's drain, when children are killed: longer than a worker's own grace."""

AWAY_SECONDS = DRAIN_SECONDS / 2
"""Before the listening socket is closed, for the workers to accept who has come."""

KEPT = LogSettings()
"""The prediction log as it is kept unless somebody says otherwise."""

_IMPATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
"""The next look is the better retry."""

_FRUGAL = {"MALLOC_ARENA_MAX": "2", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""One heap for what becomes Parquet, so that what is freed of it can be given back (`tiltyard.serving.shipping`)."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_log = logging.getLogger(__name__)


def serve(  # noqa: PLR0913  # the options of `tiltyard serve`
    gates: Mapping[str, GatesSection],
    workplace: Workplace,
    *,
    files: Mapping[str, Path] | None = None,
    host: str = "127.0.0.1",
    port: int = 8080,
    workers: int = 1,
    poll_seconds: float = 1.0,
    limits: Limits | None = None,
    memory_mb: float | None = None,
    log: LogSettings | None = KEPT,
    tls: TlsFiles | None = None,
    drain_seconds: float = DRAIN_SECONDS,
) -> None:
    """Serve the champions of some models until SIGTERM or Ctrl-C, then drain.

    Args:
        gates: Registered models, each with what its project says about moves by hand; each is answered for as soon as
            it has a champion.
        workplace: Addresses of registry and store, and the home that holds plan and cache.
        files: Project files by model; a change of what they say about moves by hand is followed.
        host: Address to listen on.
        port: Port to listen on; 0 for any free one.
        workers: Processes that answer.
        poll_seconds: Pause between two looks at the registry.
        limits: What a request may ask for.
        memory_mb: What the models of one worker may take in memory, megabytes: they are loaded when somebody asks for
            them, and leave again; None to have all of them there at all times.
        log: How the prediction log is kept; None to keep none.
        tls: Certificate and key for HTTPS; None for HTTP.
        drain_seconds: After SIGTERM, how long it goes on answering while it tells load balancers that it drains.

    Raises:
        UsageError: No name, a name that is none, or no worker.
        ServingError: The address cannot be listened on, or certificate and key cannot be served with.
        ProjectError: The tokens in the environment cannot be read.
    """
    _check(tuple(gates), workers, poll_seconds)
    warnings = _warnings(host, tls)
    with listen(host, port) as listener, _pipe() as (ear, mouth):
        start_log("server")
        _log.info("listening on %s for %s", address_of(listener, secure=tls is not None), ", ".join(gates))
        for warning in warnings:
            _log.warning("%s", warning)
        folder = workplace.home / "serving"
        writer = f"port-{listener.getsockname()[1]}"
        plan = folder / writer / "plan.json"
        forget_looks(plan)
        begun = begin_from_others(plan, tuple(gates))
        if begun is not None:
            _log.info("begins with what another port of this home has fetched: %s", ", ".join(sorted(begun.models)))
        clear(metrics_folder(plan))
        told = WorkerSettings(
            names=tuple(gates),
            plan=plan,
            socket=listener.fileno(),
            parent=os.getpid(),
            limits=limits or Limits(),
            hint=mouth,
            memory_mb=memory_mb,
            log=log,
            log_folder=log_folder(workplace.home),
            writer=writer,
            tls=tls,
            drain_seconds=drain_seconds,
        )
        sidecar = SidecarSettings(
            gates=dict(gates),
            files=dict(files or {}),
            plan=plan,
            cache=folder / "bundles",
            project_file=workplace.project_file,
            parent=os.getpid(),
            poll_seconds=poll_seconds,
            hint=ear,
        )
        children = [Child("worker", told, _worker_environment(), (told.socket, mouth)) for _ in range(workers)]
        children.append(Child("sidecar", sidecar, _sidecar_environment(workplace), (ear,)))
        shadow = ShadowSettings(names=told.names, plan=plan, log=told.log_folder, writer=writer, parent=os.getpid())
        children.append(Child("shadow", shadow, _worker_environment(), wanted=lambda: has_rollouts(plan)))
        head_start, hurry = HeadStart(ear, workers), not covers(plan, told.names)
        asyncio.run(_supervise(children, listener, head_start, hurry=hurry, drain_seconds=drain_seconds))


def _warnings(host: str, tls: TlsFiles | None) -> list[str]:
    """Return what deserves a look before others can reach the server.

    Raises:
        ServingError: Certificate and key cannot be served with.
        ProjectError: The tokens in the environment cannot be read.
    """
    found = [] if tls is None else [check_tls(tls)]
    if not Tokens.of(os.environ).needed and not _is_near(host):
        found.append(
            f"everybody who reaches {host} may ask for everything: set TILTYARD_TOKENS or TILTYARD_TOKENS_FILE"
        )
    return [warning for warning in found if warning]


def _is_near(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """Open the way from workers to sidecar: file descriptors to read from and to write to, neither of which waits."""
    ends = os.pipe()
    try:
        for end in ends:
            os.set_blocking(end, False)
        yield ends
    finally:
        for end in ends:
            os.close(end)


def _check(names: Sequence[str], workers: int, poll_seconds: float) -> None:
    """Refuse what cannot be served."""
    if not names:
        raise UsageError("there is no model to serve", cure="Name at least one project.")
    for name in names:
        if not _NAME.fullmatch(name):
            raise UsageError(f"`{name}` is not the name of a project", cure="Lower case, digits, `-`, `_`.")
    if workers < 1:
        raise UsageError(f"{workers} workers cannot answer", cure="Start at least one.")
    if not poll_seconds > 0:
        raise UsageError(f"{poll_seconds} s is no pause between two looks at the registry", cure="Give 2, say.")


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        ServingError: The port is in use or not allowed, or the host is none of this machine's.
    """
    where = f"{host}:{port}"
    if not 0 <= port <= 65_535:
        raise ServingError(f"{port} is not a port", where=where, cure="Ports are 1 to 65535.")
    try:
        family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except PermissionError:
        raise ServingError("this port is not allowed", where=where, cure="Take one above 1023.") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ServingError(
                f"the port {port} is in use", where=where, cure="Stop the server there, or take another port."
            ) from None
        raise ServingError(f"cannot listen ({error})", where=where, cure="Check host and port.") from error


def address_of(listener: socket.socket, *, secure: bool = False) -> str:
    """Return the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    scheme = "https" if secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


async def _supervise(
    children: Sequence[Child], listener: socket.socket, head_start: HeadStart, *, hurry: bool, drain_seconds: float
) -> None:
    """Keep the children until a signal, then let them drain.

    The sidecar ends last: it brings away what the workers have logged to their end. The shadow has nothing to finish,
    and may be stalled.

    Args:
        children: The processes.
        listener: The listening socket.
        head_start: That of the workers.
        hurry: Give them none: they have nothing to answer with before the sidecar has looked.
        drain_seconds: How long the workers go on accepting at the end.
    """
    stopping, at_once = asyncio.Event(), asyncio.Event()
    at_once.set()
    head_start.begin(0.0 if hurry else SECONDS)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    begin = {child: at_once if child.role == "worker" else head_start.over for child in children}
    keeping = {child: asyncio.create_task(child.keep(stopping, begin[child])) for child in children}
    await stopping.wait()
    head_start.end()
    _log.info("stopping: workers finish what has begun")
    first = {child: task for child, task in keeping.items() if child.role != "sidecar"}
    for child in first:
        child.stop(signal.SIGKILL if child.role == "shadow" else signal.SIGTERM)
    await asyncio.sleep(drain_seconds - AWAY_SECONDS)
    turn_newcomers_away(listener)
    listener.close()
    await _ended(first, STOP_SECONDS + drain_seconds)
    last = {child: task for child, task in keeping.items() if child.role == "sidecar"}
    for child in last:
        child.stop(signal.SIGTERM)
    await _ended(last, STOP_SECONDS)
    _log.info("stopped")


async def _ended(keeping: Mapping[Child, asyncio.Task[None]], seconds: float) -> None:
    """Wait for the end of some children; one that is late is killed."""
    _, late = await asyncio.wait(keeping.values(), timeout=seconds)
    for child, task in keeping.items():
        if task in late:
            child.stop(signal.SIGKILL)
    await asyncio.gather(*keeping.values())


def _base_environment() -> dict[str, str]:
    """Return this process's environment, with the same code on the children's path.

    Plugins of pydantic, which nothing here has a use for, would be looked for among all that is installed.
    """
    code = str(Path(tiltyard.__file__).parents[1])
    paths = [code, os.environ.get("PYTHONPATH", "")]
    path = os.pathsep.join(path for path in paths if path)
    return {"PYDANTIC_DISABLE_PLUGINS": "__all__", **os.environ, "PYTHONPATH": path}


def _worker_environment() -> dict[str, str]:
    """One thread a worker, and memory for as many: its parallelism is the number of workers."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    return {**_base_environment(), **threads}


def _sidecar_environment(workplace: Workplace) -> dict[str, str]:
    """The addresses in force, whether they came from the environment or not."""
    settings = workplace.environment
    addresses = {
        "TILTYARD_HOME": str(workplace.home),
        "TILTYARD_STORE": settings.store,
        "TILTYARD_S3_ENDPOINT": settings.s3_endpoint,
        "TILTYARD_ACTOR": settings.actor,
        "MLFLOW_TRACKING_URI": settings.tracking_uri,
    }
    others = {key: value for key, value in _base_environment().items() if key not in addresses}
    return _IMPATIENT | _FRUGAL | others | {key: value for key, value in addresses.items() if value}
