"""A deployed project, its runs, and a worker that can be killed."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

import psutil
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun

TRAIN = "train/churn"
LONG = 240.0


def until(true: Callable[[], bool], what: str, seconds: float = LONG) -> None:
    """Wait for something."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.5)


class Yard:
    """A project deployed at a server, and what a test does with its runs."""

    def __init__(self, client: SyncPrefectClient, file: Path) -> None:
        self.client, self.file = client, file
        self.api = str(client.api_url).rstrip("/")

    def start(self, **parameters: object) -> UUID:
        """Trigger a training."""
        identity = self.client.read_deployment_by_name(TRAIN).id
        return self.client.create_flow_run_from_deployment(identity, parameters=parameters).id

    def run(self, identity: UUID) -> FlowRun:
        """Return a run as it is now; a server that restarts is waited for."""
        return self.client.read_flow_run(identity)

    def state(self, identity: UUID) -> str:
        """Return the name of a run's state."""
        state = self.run(identity).state
        return (state.name if state else None) or "none"

    def end(self, identity: UUID) -> str:
        """Wait for a run's end, and return the name of its state."""
        until(lambda: bool((state := self.run(identity).state) and state.is_final()), "the end of a run")
        return self.state(identity)

    def tasks(self, identity: UUID) -> Counter[str]:
        """Return how often each step of a run ended, by name of the step and of its state."""
        mine = FlowRunFilter(id=FlowRunFilterId(any_=[identity]))
        found = self.client.read_task_runs(flow_run_filter=mine)
        return Counter(f"{task.name.rsplit('-', 1)[0]}: {task.state_name}" for task in found)

    def under_way(self, identity: UUID, step: str) -> None:
        """Wait until a run has come to a step."""
        until(lambda: any(name.startswith(f"{step}: Running") for name in self.tasks(identity)), f"the step {step}")


@contextmanager
def working(folder: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker from a folder that has nothing to do with the project; its runs end with it."""
    settings = {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_HOME": str(folder / "prefect"), "DO_NOT_TRACK": "true"}
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "tiltyard", "--type", "process"]
    with (folder / "worker.log").open("ab") as log:
        worker = subprocess.Popen(
            command, cwd=folder, env=os.environ | settings | environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield worker
    finally:
        kill_all(worker.pid)
        worker.wait(30)


def kill_all(pid: int) -> None:
    """Kill a process and all that it has started, like a machine that loses power."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
