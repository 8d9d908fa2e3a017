"""A real MLflow in both forms: embedded on SQLite, and as a server started by the project's own script."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.project.metrics import Task
from tiltyard.registry.client import Registry
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.records import TrackedRun
from tiltyard.registry.registration import Submission
from tiltyard.registry.tracking import start_run
from tiltyard.storage.folder import FolderStore

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
    return "".join(letter if letter.isalnum() else "-" for letter in request.node.name.lower())[-60:].strip("-")


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
