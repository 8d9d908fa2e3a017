"""supervisord, which starts the parts, keeps their logs and starts again what dies."""

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, cast
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from tiltyard.errors import StackError
from tiltyard.project.addresses import STACK
from tiltyard.stack.marks import SUPERVISOR
from tiltyard.stack.parts import PARTS, SERVERS

LOGS = "logs"
"""Folder of the logs within the stack's folder."""

_CONFIGURATION = "supervisord.conf"
_SOCKET = "TILTYARD_STACK_SOCKET"
_LONGEST_SOCKET = 90
"""Bytes of a socket's path, less than the 104 or 108 that systems allow: supervisord appends a number for a moment."""

_CURE = "Run `tiltyard down`, then `tiltyard up`."
_LONGEST_SAID = 300
_STOP_SECONDS = {"prefect": 15, "mlflow": 15, "server": 45, "worker": 20}

_GROUP = "servers"
"""What stops together, after the worker: a run that is told to end can still say so to Prefect."""

_HEAD = """\
; Written by `tiltyard up`. Paths and commands come in by the environment, in which no character has a meaning.
[unix_http_server]
file=%(ENV_TILTYARD_STACK_SOCKET)s
chmod=0700

[supervisord]
logfile=logs/supervisor.log
logfile_maxbytes=1MB
logfile_backups=1
pidfile=supervisord.pid
childlogdir=logs
identifier=tiltyard
umask={umask:03o}
{user}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[group:{group}]
programs={together}
priority=10
"""

_PROGRAM = """
[program:{name}]
command=%(ENV_TILTYARD_STACK_{upper})s
priority={priority}
autostart={autostart}
autorestart=true
startsecs=30
startretries=1000000
stopwaitsecs={stop}
stopasgroup=true
redirect_stderr=true
stdout_logfile=logs/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""


@dataclass(frozen=True)
class Child:
    """A part as the supervisor sees it.

    Attributes:
        name: Which part.
        pid: Process id; 0 when it does not run.
        started: When it was started, seconds since 1970; 0 when it never was.
        trouble: Why it does not run; empty when it does.
    """

    name: str
    pid: int
    started: float
    trouble: str


def start(home: Path, commands: Mapping[str, str], environment: Mapping[str, str]) -> psutil.Process:
    """Start the supervisor, apart from this process, with the parts that the others need.

    Args:
        home: Home of the stack.
        commands: Command of every part.
        environment: Environment of all.

    Raises:
        OSError: The home cannot be written.
        StackError: It does not start.
    """
    folder = home / STACK
    (folder / LOGS).mkdir(parents=True, exist_ok=True)
    (folder / _CONFIGURATION).write_text(configuration(), encoding="utf-8")
    told = {f"TILTYARD_STACK_{name.upper()}": command for name, command in commands.items()}
    socket = socket_of(home)
    socket.unlink(missing_ok=True)
    begun = subprocess.run(  # it puts itself into the background
        [sys.executable, "-P", "-m", SUPERVISOR, "-c", _CONFIGURATION],
        cwd=folder,
        env={**environment, **told, _SOCKET: str(socket)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if begun.returncode:
        said = " ".join((begun.stderr or begun.stdout).split()) or f"exit code {begun.returncode}"
        raise StackError(
            f"the supervisor does not start ({said[:_LONGEST_SAID]})", where=str(home), cure="Run `tiltyard doctor`."
        )
    with _calling(socket) as remote:
        return psutil.Process(cast("int", remote.supervisor.getPID()))


def configuration() -> str:
    """Return the supervisor's configuration; the same for every stack of a user."""
    programs = (
        _PROGRAM.format(
            name=name,
            upper=name.upper(),
            priority=10 * (place + 1),
            autostart=str(name in SERVERS).lower(),
            stop=_STOP_SECONDS[name],
        )
        for place, name in enumerate(PARTS)
    )
    user = "user=root\n" if os.getuid() == 0 else ""  # it asks for that rather than warn at every start
    mask = os.umask(0)
    os.umask(mask)
    together = ",".join(name for name in PARTS if name != "worker")
    return _HEAD.format(user=user, umask=mask, group=_GROUP, together=together) + "".join(programs)


def socket_of(home: Path) -> Path:
    """Return where the supervisor of a home listens: in the home, or below the temporary folder for a long path."""
    inside = home / STACK / "supervisor.sock"
    if len(os.fsencode(inside)) <= _LONGEST_SOCKET:
        return inside
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"tiltyard-{name}.sock"


def clear(home: Path) -> None:
    """Remove what a supervisor that is gone left: its socket and the file with its process id."""
    for left in (socket_of(home), home / STACK / "supervisord.pid"):
        left.unlink(missing_ok=True)


def start_part(supervisor: psutil.Process, name: str) -> None:
    """Start a part.

    Raises:
        StackError: The supervisor does not answer, or cannot start it.
    """
    with _calling(_socket(supervisor)) as remote:
        remote.supervisor.startProcess(name if name == "worker" else f"{_GROUP}:{name}", False)


def children(supervisor: psutil.Process) -> dict[str, Child]:
    """Return how the parts are, by name.

    Raises:
        StackError: The supervisor does not answer.
    """
    with _calling(_socket(supervisor)) as remote:
        infos = cast("list[dict[str, Any]]", remote.supervisor.getAllProcessInfo())
    return {info["name"]: _child(info) for info in infos}


def _child(info: Mapping[str, Any]) -> Child:
    """Read one part from the supervisor's answer."""
    runs = info["statename"] in {"RUNNING", "STARTING"}
    trouble = "" if runs else str(info["spawnerr"] or info["description"] or info["statename"].lower())
    return Child(name=info["name"], pid=int(info["pid"]), started=float(info["start"]), trouble=trouble)


def _socket(supervisor: psutil.Process) -> Path:
    """Return where a supervisor listens, which it knows best itself.

    Raises:
        StackError: It is gone.
    """
    try:
        return Path(supervisor.environ()[_SOCKET])
    except (psutil.Error, KeyError) as error:
        raise StackError(f"the supervisor is gone ({type(error).__name__})", cure=_CURE) from None


@contextlib.contextmanager
def _calling(socket: Path) -> Iterator[ServerProxy]:
    """Call the supervisor.

    Raises:
        StackError: It does not answer, or refuses.
    """
    try:
        with contextlib.closing(SupervisorTransport(None, None, f"unix://{socket}")) as transport:
            yield ServerProxy("http://127.0.0.1", transport=transport)
    except (OSError, HTTPException, Fault) as error:
        said = error.faultString if isinstance(error, Fault) else error
        raise StackError(f"the supervisor does not answer ({said})", where=str(socket), cure=_CURE) from None
