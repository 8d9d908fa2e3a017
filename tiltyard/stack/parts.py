"""The four parts of a stack: their commands, their environment, their addresses."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tiltyard
from tiltyard.errors import StackError
from tiltyard.project.environment import ARTIFACTS
from tiltyard.stack.keys import Keys
from tiltyard.stack.marks import MARK
from tiltyard.stack.ports import Ports

PARTS = {"prefect": "Prefect", "mlflow": "MLflow", "server": "model server", "worker": "worker"}
"""The parts in the order in which they start, and what people call them."""

SERVERS = ("prefect", "mlflow")
"""The parts that the others need."""

POOL = "tiltyard"
"""Prefect's work pool of all deployments."""

WEBHOOK_SECRET = "TILTYARD_WEBHOOK_SECRET"  # noqa: S105  # the name of the variable, not its value

_FILES = ("TILTYARD_SERVE_TLS_CERT", "TILTYARD_SERVE_TLS_KEY", "TILTYARD_TOKENS_FILE")
"""Variables that name a file, from the folder of the command that starts the stack; the parts run in another."""

_CODE = Path(tiltyard.__file__).parents[1]
_START = (_CODE / "mlflow" / "start", Path(__file__).parent / "mlflow_server" / "start")
"""Where the start of the MLflow server is: in a checkout, and in an installed package."""


@dataclass(frozen=True)
class Layout:
    """One stack, before it runs.

    Attributes:
        home: Home it belongs to.
        projects: Project files it serves and trains, absolute.
        host: Address its servers listen on.
        ports: Where they listen.
        certificate: Certificate that the model server shows; None where it speaks HTTP.
    """

    home: Path
    projects: tuple[Path, ...]
    host: str
    ports: Ports
    certificate: Path | None = None

    def url(self, part: str) -> str:
        """Return the address of a server for the commands and browsers of this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  # compared, not bound
        scheme = "https" if part == "server" and self.certificate is not None else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{getattr(self.ports, part)}"

    @property
    def prefect_api(self) -> str:
        """Prefect's API."""
        return f"{self.url('prefect')}/api"


def commands(layout: Layout) -> dict[str, str]:
    """Return the command of every part, quoted for a shell.

    Raises:
        StackError: This installation lacks the start of the MLflow server.
    """
    python = [sys.executable, "-P", "-m"]
    prefect = ["prefect", "server", "start", "--host", layout.host, "--port", str(layout.ports.prefect)]
    server = ["tiltyard", "serve", "--host", layout.host, "--port", str(layout.ports.server)]
    server += [word for file in layout.projects for word in ("--project", str(file))]
    worker = ["prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", "local stack"]
    return {
        "prefect": shlex.join([*python, *prefect]),
        "mlflow": shlex.join(["/usr/bin/env", "-u", "MLFLOW_TRACKING_URI", "/bin/sh", str(mlflow_start())]),
        "server": shlex.join([*python, *server]),
        "worker": shlex.join([*python, *worker]),
    }


def mlflow_start(places: Sequence[Path] = _START) -> Path:
    """Return the script that starts the MLflow server.

    Args:
        places: Where to look, in order.

    Raises:
        StackError: It is nowhere.
    """
    for place in places:
        if place.is_file():
            return place
    tried = ", ".join(map(str, places))
    raise StackError(f"the start of the MLflow server is missing (looked for {tried})", cure="Install Tiltyard again.")


def environment(layout: Layout, keys: Keys, outer: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of everything in the stack.

    Args:
        layout: The stack.
        keys: Its secrets.
        outer: The environment of the command that starts it; its addresses of Prefect and MLflow do not count.
    """
    home = layout.home
    own = {
        MARK: str(home),
        "TILTYARD_HOME": str(home),
        "PYTHON": sys.executable,
        "PYTHONUNBUFFERED": "1",
        "PYTHONPATH": _joined(os.pathsep, str(_CODE), outer.get("PYTHONPATH", "")),
        "DO_NOT_TRACK": "true",
        "NO_COLOR": "1",
        **_around_proxies(layout, outer),
        **{name: str(Path(outer[name]).absolute()) for name in _FILES if outer.get(name)},
    }
    return {**outer, **own, **_prefect(layout, outer), **_mlflow(layout, keys)}


def _prefect(layout: Layout, outer: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of Prefect's server, worker and runs; how browsers elsewhere reach it only the user knows."""
    return {
        "PREFECT_HOME": str(layout.home / "prefect"),
        "PREFECT_API_URL": layout.prefect_api,
        "PREFECT_UI_API_URL": outer.get("PREFECT_UI_API_URL") or layout.prefect_api,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # A run holds its place by a lease; kept in memory, it would be lost, and the run ended, with the server.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_WORKER_QUERY_SECONDS": "2",
    }


def _mlflow(layout: Layout, keys: Keys) -> dict[str, str]:
    """Return the settings of the MLflow server and its clients; it keeps what the home's own registry keeps."""
    return {
        "MLFLOW_TRACKING_URI": layout.url("mlflow"),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_HOST": layout.host,
        "MLFLOW_PORT": str(layout.ports.mlflow),
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{layout.home / 'mlflow.db'}",
        "MLFLOW_ARTIFACTS_DESTINATION": str(layout.home / ARTIFACTS),
        "MLFLOW_WEBHOOK_ALLOWED_SCHEMES": "http,https",
        "MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS": "true",
        "MLFLOW_WEBHOOK_CACHE_TTL": "5",
        "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY": keys.fernet,
        WEBHOOK_SECRET: keys.webhook,
    }


def _around_proxies(layout: Layout, outer: Mapping[str, str]) -> dict[str, str]:
    """Keep the parts' talk with each other away from a proxy."""
    near = ",".join(dict.fromkeys(("127.0.0.1", "localhost", "::1", layout.host)))
    return {name: _joined(",", outer.get(name, ""), near) for name in ("NO_PROXY", "no_proxy")}


def _joined(separator: str, *words: str) -> str:
    return separator.join(word for word in words if word)
