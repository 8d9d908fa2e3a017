"""Two projects on one full stack, and a browser before its two UIs; all of it once a session."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.browser.pages import Mlflow, Prefect, browsing, find_browser
from tests.conftest import free_port
from tests.flows.conftest import contract, table
from tiltyard.data.contract_file import dump_contract
from tiltyard.project.addresses import Addresses, read_addresses
from tiltyard.registry.ledger import Ledger
from tiltyard.storage.folder import FolderStore

PROJECTS: dict[str, dict[str, str]] = {"churn": {}, "churn-dev": {"approval": "required"}}
"""Name and gates: what is tried in `churn-dev` is approved by a person, and copied to `churn`."""

_SECONDS = 120.0


@dataclass(frozen=True)
class Stack:
    """A stack that is up, and what a test asks of it besides the pages.

    Attributes:
        home: Home of the stack.
        addresses: Where its parts listen.
        environment: Variables of a command that is run beside it.
    """

    home: Path
    addresses: Addresses
    environment: dict[str, str]

    @property
    def prefect(self) -> str:
        """Address of Prefect's UI."""
        return self.addresses.prefect.removesuffix("/api")

    def deployed(self, name: str) -> dict[str, Any]:
        """Return a deployment such as `train/churn`, as Prefect's API shows it."""
        return self._ask(f"deployments/name/{name}")

    def start(self, deployment: str, **parameters: Any) -> str:
        """Start a run of a deployment as Prefect's UI does; return its id."""
        path = f"{self.addresses.prefect}/deployments/{self.deployed(deployment)['id']}/create_flow_run"
        answer = httpx.post(path, json={"parameters": parameters}, timeout=60).raise_for_status()
        return str(answer.json()["id"])

    def artifact(self, run: str, key: str) -> dict[str, Any]:
        """Return what a flow run shows under a key."""
        wanted = {"flow_runs": {"id": {"any_": [run]}}, "artifacts": {"key": {"any_": [key]}}}
        answer = httpx.post(f"{self.addresses.prefect}/artifacts/filter", json=wanted, timeout=60).raise_for_status()
        (found,) = answer.json()
        return dict(found)

    def wait_for_state(self, run: str, *names: str) -> str:
        """Wait until a flow run is in one of some states; return which."""
        deadline = time.monotonic() + _SECONDS
        while True:
            found = self._ask(f"flow_runs/{run}")["state"]
            if found["name"] in names:
                return str(found["name"])
            assert time.monotonic() < deadline, found
            assert found["type"] not in {"FAILED", "CRASHED", "CANCELLED"}, found
            time.sleep(0.3)

    def _ask(self, path: str) -> dict[str, Any]:
        """Ask Prefect's API, patiently: the machine is busy with the runs."""
        answer = httpx.get(f"{self.addresses.prefect}/{path}", timeout=60).raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def ledger(self, project: str) -> list[dict[str, Any]]:
        """Return the entries of a project's ledger."""
        entries = Ledger(FolderStore(self.home / "store"), project).entries()
        return [entry.model_dump(mode="json") for entry in entries]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The full stack with both projects, deployed; it is down afterwards."""
    folder = tmp_path_factory.mktemp("yard")
    files = [_write_project(folder / name, name, gates) for name, gates in PROJECTS.items()]
    home = folder / "home"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_"))}
    environment |= {"TILTYARD_HOME": str(home), "TILTYARD_ACTOR": "the-worker", "OMP_NUM_THREADS": "1"}
    environment |= {"TILTYARD_LOG_SECONDS": "2"}
    options = [word for file in files for word in ("--project", str(file))]
    ports = [word for name in ("--port", "--mlflow-port", "--prefect-port") for word in (name, str(free_port()))]
    tiltyard(environment, "up", "--detach", *options, *ports)
    try:
        addresses = read_addresses(home)
        assert addresses is not None
        yield Stack(home, addresses, environment)
    finally:
        tiltyard(environment, "down", "--project", str(files[0]))


def tiltyard(environment: dict[str, str], *words: str) -> str:
    """Run a command as a person would; return what it says."""
    command = [sys.executable, "-m", "tiltyard", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _write_project(folder: Path, name: str, gates: dict[str, str]) -> Path:
    """Write a project whose model is quick to find."""
    folder.mkdir()
    table(1_500).to_csv(folder / "data.csv", index=False)
    (folder / "contract.yaml").write_text(dump_contract(contract()), encoding="utf-8")
    content = {
        "name": name,
        "task": {"kind": "binary", "positive": "yes"},
        "data": {"source": "data.csv", "target": "left"},
        "search": {"families": ["tree"] if name == "churn" else ["linear"], "trials": 2, "folds": 2, "workers": 1},
        "gates": gates,
    }
    file = folder / "tiltyard.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def browser() -> str:
    """Path of a browser; the tests are skipped where there is none."""
    found = find_browser()
    if found is None:
        pytest.skip("neither Chromium nor Chrome is installed")
    return found


@pytest.fixture
def prefect(browser: str, stack: Stack) -> Iterator[Prefect]:
    """A page before Prefect's UI."""
    with browsing(browser) as page:
        yield Prefect(page, stack.prefect)


@pytest.fixture
def mlflow(browser: str, stack: Stack) -> Iterator[Mlflow]:
    """A page before MLflow's UI."""
    with browsing(browser) as page:
        yield Mlflow(page, stack.addresses.mlflow)
