"""A real MLflow in both forms: embedded on SQLite, and as a server started by the project's own script."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.conftest import free_port, wait_until_healthy
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.project.metrics import Task
from tiltyard.registry.client import Registry
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.records import TrackedRun
from tiltyard.registry.registration import Submission
from tiltyard.registry.tracking import start_run
from tiltyard.storage.folder import FolderStore

ROOT = Path(__file__).parents[2]
CONTRACT = Contract(
    task=Task.BINARY,
    columns=(
        Column(name="age", kind=Kind.INTEGER, nullable=True),
        Column(name="income", kind=Kind.NUMBER),
        Column(name="churned", kind=Kind.INTEGER, role=Role.TARGET),
    ),
    classes=(0, 1),
)


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real MLflow server as `mlflow/start` makes it; yields its address."""
    folder = tmp_path_factory.mktemp("mlflow-server")
    port = free_port()
    environment = os.environ | {
        "MLFLOW_PORT": str(port),
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "MLFLOW_ARTIFACTS_DESTINATION": str(folder / "artifacts"),
        "PYTHON": sys.executable,
    }
    with (folder / "server.log").open("wb") as log:
        command = [str(ROOT / "mlflow" / "start")]
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """MLflow on SQLite with local artifacts, as a project has it by default."""
    home = tmp_path_factory.mktemp("embedded")
    return Registry(f"sqlite:///{home / 'mlflow.db'}", artifact_root=(home / "mlartifacts").as_uri())


@pytest.fixture(params=["embedded", "server"])
def registry(request: pytest.FixtureRequest) -> Registry:
    """Both forms of MLflow in turn."""
    if request.param == "embedded":
        made: Registry = request.getfixturevalue("embedded")
        return made
    return Registry(request.getfixturevalue("mlflow_server"))


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Name of a project that no other test uses."""
    return "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower())[:60]


@pytest.fixture
def ledger(tmp_path: Path, name: str) -> Ledger:
    """An empty ledger in a folder."""
    return Ledger(FolderStore(tmp_path / "store"), name)


@pytest.fixture
def run(registry: Registry, name: str) -> TrackedRun:
    """An open MLflow run."""
    return start_run(registry, name, "key-1", name="first run")


@pytest.fixture
def submission(tmp_path: Path, name: str) -> Submission:
    """A fitted scikit-learn pipeline with a bundle of two files."""
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "model.onnx").write_bytes(b"graph")
    (bundle / "manifest.json").write_text("{}")
    seen = tmp_path / "seen.bin"
    seen.write_bytes(b"keys")
    frame, model = fitted()
    return Submission(
        project=name,
        run_key="key-1",
        model=model,
        contract=CONTRACT,
        example=frame,
        bundle=bundle,
        files={"tiltyard/seen.bin": seen},
        tags={"tiltyard.verdict": "promote"},
        description="Better than the champion.",
    )


def fitted() -> tuple[pd.DataFrame, Pipeline]:
    """Return typed rows and a pipeline fitted on them."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"age": rng.integers(18, 90, 200), "income": rng.normal(size=200)})
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, frame["income"] > 0)
    return frame.astype({"age": "Int64"}), model
