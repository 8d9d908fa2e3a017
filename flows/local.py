"""Prefect without a server: where it keeps its state, and how little it says.

Prefect reads its settings when it is first imported, so this module imports nothing of it and `prepare` must be
called before `flows.training` is.
"""

import os
from pathlib import Path

import psutil

from flows.temporary import APPLICATION, TemporaryServer
from tiltyard.project.environment import Workplace

_QUIET = {
    "DO_NOT_TRACK": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
}

_temporary: list[TemporaryServer] = []
"""The one of this process, once it was needed."""


def prepare(workplace: Workplace) -> None:
    """Set what the environment leaves open: Prefect's home inside the project's, no telemetry, no chatter.

    Args:
        workplace: The folders in force. With `PREFECT_API_URL` set, or a local stack up, runs are recorded there.
    """
    workplace.home.mkdir(parents=True, exist_ok=True)  # Prefect makes its own folder, but none above it
    defaults = {**_QUIET, "PREFECT_HOME": str(workplace.home / "prefect")}
    if workplace.prefect_api is not None:
        defaults["PREFECT_API_URL"] = workplace.prefect_api
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    _end_orphans(os.environ["PREFECT_HOME"])


def temporary_server(workplace: Workplace) -> TemporaryServer | None:
    """Prepare, and start a temporary server when no other is known; the same one for all runs of a process.

    Call it before Prefect is imported, and wait for the server before the first run.

    Args:
        workplace: The folders in force.

    Returns:
        The server; None when another is known, or a profile of Prefect's may name one.
    """
    prepare(workplace)
    home = Path(os.environ["PREFECT_HOME"])
    if "PREFECT_API_URL" in os.environ or (home / "profiles.toml").exists():
        return None
    if not _temporary or not _temporary[-1].alive:
        _temporary.append(TemporaryServer(home))
    return _temporary[-1]


def is_temporary(api: str) -> bool:
    """Whether an address is that of this process's temporary server, which will be gone when anybody looks."""
    return any(server.api == api for server in _temporary)


def _end_orphans(home: str) -> None:
    """End temporary Prefect servers of this home whose run was killed: they do not notice it themselves."""
    for process in psutil.process_iter():
        try:
            orphan = process.ppid() == 1 and APPLICATION in process.cmdline()
            if orphan and process.environ().get("PREFECT_HOME") == home:
                process.terminate()
        except psutil.Error:  # ended meanwhile, or somebody else's
            continue
