"""A real server, worker, MLflow and model server, each of which goes away in the middle of a training."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows import automations, runs
from flows.deployments import deploy
from tests.conftest import free_port, mlflow_serving, wait_until_healthy
from tests.flows.conftest import contract, table
from tests.flows.yard import LONG, Yard, kill_all, until, working
from tiltyard.data.contract_file import dump_contract

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(900)]

LEASES = "prefect.server.concurrency.lease_storage.filesystem"


def project(folder: Path, **sections: object) -> Path:
    """Write the project file; its search takes so long that something can happen meanwhile."""
    content = {
        "name": "churn",
        "task": {"kind": "binary", "positive": "yes"},
        "data": {"source": "data.csv", "target": "left"},
        "search": {"families": ["tree"], "trials": 2, "folds": 2, "workers": 1},
        **sections,
    }
    (folder / "tiltyard.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder / "tiltyard.yaml"


@contextmanager
def prefect_serving(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Prefect server as the stack does; what it keeps stays in the folder."""
    settings = {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "true"}
    settings["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] = LEASES
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/api/health", process)
        yield process
    finally:
        kill_all(process.pid)
        process.wait(30)


class Load:
    """A steady load on the model server, in a thread."""

    def __init__(self, url: str) -> None:
        self.url, self.answered, self.lost = url, 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        row = {"usage": 0.1, "age": 0.2, "debt": -0.1, "visits": 0.0, "plan": "plus"}
        body = json.dumps({"rows": [row]}).encode()
        while not self._stop.wait(0.1):
            try:
                with urllib.request.urlopen(f"{self.url}/v1/models/churn/predict", body, timeout=10) as answer:
                    self.answered += answer.status == 200
            except OSError:
                self.lost += 1

    def end(self) -> None:
        """Stop asking."""
        self._stop.set()
        self._thread.join()


class World:
    """Everything that runs, each part of which can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.parts = folder, {name: ExitStack() for name in ("prefect", "mlflow", "worker", "server")}
        self.prefect_port, self.mlflow_port, self.port = free_port(), free_port(), free_port()
        for name in ("prefect-home", "mlflow", "worker"):
            (folder / name).mkdir()

    def start(self, name: str) -> None:
        """Start a part."""
        parts = {
            "prefect": lambda: prefect_serving(self.folder / "prefect-home", self.prefect_port),
            "mlflow": lambda: mlflow_serving(self.folder / "mlflow", self.mlflow_port),
            "worker": lambda: working(self.folder / "worker"),
            "server": self._model_server,
        }
        self.parts[name].enter_context(parts[name]())

    def stop(self, name: str) -> None:
        """Stop a part and all that it has started; nobody is asked to put anything in order."""
        self.parts[name].close()

    @contextmanager
    def _model_server(self) -> Iterator[None]:
        command = [sys.executable, "-m", "tiltyard", "serve", "--project", str(self.folder), "--port", str(self.port)]
        with (self.folder / "serve.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until_healthy(f"http://127.0.0.1:{self.port}/health/ready", process)
            yield
        finally:
            kill_all(process.pid)
            process.wait(30)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All parts but the model server, which has no champion yet."""
    world = World(tmp_path_factory.mktemp("world"))
    table().to_csv(world.folder / "data.csv", index=False)
    (world.folder / "contract.yaml").write_text(dump_contract(contract()), encoding="utf-8")
    project(world.folder)
    api = f"http://127.0.0.1:{world.prefect_port}/api"
    with pytest.MonkeyPatch.context() as patch, ExitStack() as everything:
        patch.setenv("PREFECT_API_URL", api)
        patch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{world.mlflow_port}")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        everything.enter_context(temporary_settings({PREFECT_API_URL: api, PREFECT_CLIENT_MAX_RETRIES: 8}))
        for part in world.parts.values():
            everything.enter_context(part)
        for name in ("prefect", "mlflow", "worker"):
            world.start(name)
        deploy([world.folder])
        yield world


@pytest.fixture(scope="module")
def yard(world: World) -> Iterator[Yard]:
    """The project's runs; a first champion is there."""
    with get_client(sync_client=True) as client:
        yard = Yard(client, world.folder / "tiltyard.yaml")
        assert yard.end(yard.start(reason="the first")) == "Completed"
        yield yard


@pytest.fixture(scope="module")
def load(world: World, yard: Yard) -> Iterator[Load]:
    """A load on the model server over all outages."""
    assert yard.api
    world.start("server")
    load = Load(f"http://127.0.0.1:{world.port}")
    yield load
    load.end()
    assert load.answered > 100
    assert load.lost == 0


def in_mid_search(yard: Yard, seconds: float) -> UUID:
    """Start a training and wait until it searches."""
    identity = yard.start(seconds=seconds, reason="something happens")
    yard.under_way(identity, "Tune the families")
    return identity


@pytest.mark.usefixtures("load")
def test_worker_killed_with_its_run(world: World, yard: Yard) -> None:
    assert automations.SILENT_SECONDS < LONG
    lost = in_mid_search(yard, 21)
    world.stop("worker")
    until(lambda: yard.state(lost) == "Crashed", "that the silence is noticed")
    world.start("worker")
    runs.retry(yard.api, lost)
    assert yard.end(lost) == "Completed"
    steps = yard.tasks(lost)
    assert steps["Check the contract: Cached"] == 1, steps
    assert steps["Split the rows: Cached"] == 1, steps


@pytest.mark.usefixtures("load")
def test_prefect_killed_and_started_again(world: World, yard: Yard) -> None:
    run = in_mid_search(yard, 22)
    world.stop("prefect")
    time.sleep(5)
    world.start("prefect")
    assert yard.end(run) == "Completed"
    world.stop("worker")  # it gives up a server that is away for long; the stack's supervisor starts it again
    world.start("worker")


@pytest.mark.usefixtures("load")
def test_mlflow_away_for_a_minute(world: World, yard: Yard) -> None:
    run = in_mid_search(yard, 23)
    world.stop("mlflow")
    time.sleep(60)
    world.start("mlflow")
    if yard.end(run) != "Completed":
        assert "MLflow" in runs.find(yard.api, run).message
        runs.retry(yard.api, run)
        assert yard.end(run) == "Completed"


@pytest.mark.usefixtures("load")
def test_cron_fires_and_twenty_triggers_give_one_run(world: World, yard: Yard) -> None:
    project(world.folder, schedule={"cron": "* * * * *"})
    deploy([world.folder])
    until(lambda: any(run.due for run in runs.upcoming(yard.api, "churn")), "that the scheduler plans")
    planned = runs.upcoming(yard.api, "churn")[0]
    project(world.folder)
    assert yard.end(planned.id) == "Completed"
    deploy([world.folder])
    twenty = [yard.start(reason=f"trigger {number}", seconds=24) for number in range(20)]
    assert sorted(yard.end(identity) for identity in twenty) == ["Cancelled"] * 19 + ["Completed"]
