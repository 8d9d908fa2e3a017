"""Real servers in processes of their own, for tests."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.conftest import free_port
from tests.serving.bundles import CONTRACT_OF_DEMAND, write_bundle
from tiltyard.serving.plan import Plan, SlotPlan, write_plan

_PROGRAM = """
import sys
from pathlib import Path
from tiltyard.project.environment import Workplace
from tiltyard.project.gates import GatesSection
from tiltyard.serving.server import serve
gates = dict.fromkeys(sys.argv[2].split(","), GatesSection())
port, workers, poll = int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
serve(gates, Workplace(Path(sys.argv[1])), port=port, workers=workers, poll_seconds=poll)
"""


def planned(folder: Path, version: int) -> SlotPlan:
    """Write a bundle that predicts its own version, and return its place in a plan."""
    bundle = folder / f"demand-{version}"
    digest = write_bundle(bundle, CONTRACT_OF_DEMAND, [float(version)])
    return SlotPlan(version=version, bundle=str(bundle), digest=digest, since=datetime.now(UTC))


def eventually(condition: Callable[[], Any], *, seconds: float = 60.0) -> Any:
    """Return the first true value of a condition, or fail."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"nothing came true within {seconds:g} s")


class Server:
    """A running server.

    Attributes:
        port: Where it listens.
        plan: Its plan file.
        process: The supervisor.
    """

    def __init__(
        self,
        home: Path,
        *,
        names: str,
        workers: int,
        tracking_uri: str | None,
        plan: Plan | None,
        poll: float,
        port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.plan = home / "serving" / f"port-{self.port}" / "plan.json"
        if plan is not None:
            write_plan(self.plan, plan)
        environment = {**os.environ, "TILTYARD_HOME": str(home), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        environment.pop("MLFLOW_TRACKING_URI", None)
        if tracking_uri is not None:
            environment["MLFLOW_TRACKING_URI"] = tracking_uri
        command = [sys.executable, "-c", _PROGRAM, str(home / "tiltyard.yaml"), names, str(self.port), str(workers)]
        command.append(str(poll))
        self.log = home / "server.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10)

    def children(self, role: str) -> list[int]:
        """Return the process ids of workers or sidecar."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):  # it has just died
                found += [child.pid] if f"tiltyard.serving.{role}" in child.cmdline() else []
        return found

    def get(self, path: str) -> httpx.Response | None:
        """Return an answer, None when there is none."""
        try:
            return self.client.get(path)
        except httpx.TransportError:
            return None

    def version(self, name: str = "demand") -> int | None:
        """Return the version that answers for a model."""
        answer = self.get(f"/v1/models/{name}")
        return answer.json()["version"] if answer is not None and answer.status_code == 200 else None

    def ready(self) -> bool:
        """Whether every model can be answered for."""
        answer = self.get("/health/ready")
        return answer is not None and answer.status_code == 200

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@contextlib.contextmanager
def running(
    home: Path,
    *,
    names: str = "demand",
    workers: int = 1,
    tracking_uri: str | None = None,
    plan: Plan | None = None,
    poll: float = 0.2,
) -> Iterator[Server]:
    """Run a server; without a `tracking_uri` its registry is the home's own."""
    home.mkdir(parents=True, exist_ok=True)
    server = Server(home, names=names, workers=workers, tracking_uri=tracking_uri, plan=plan, poll=poll)
    try:
        yield server
    finally:
        server.client.close()
        if server.process.poll() is None:
            server.stop()
