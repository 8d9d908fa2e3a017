"""Fixtures of the bundle room: a fitted model and its bundle."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from tests.bundle.tables import LEVELS, TEST, fitted, make_contract
from tiltyard.bundle.build import build_bundle
from tiltyard.bundle.model import FittedModel
from tiltyard.bundle.transforms import DenseView
from tiltyard.project.metrics import Task


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Fit on one thread: on a busy machine, OpenMP's threads spin for each other."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def model() -> FittedModel:
    """A logistic regression on the dense view."""
    return fitted(Task.BINARY, make_pipeline(DenseView(LEVELS), LogisticRegression(max_iter=500)))


@pytest.fixture(scope="session")
def built(model: FittedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle, not to be changed."""
    folder = tmp_path_factory.mktemp("bundles") / "churn"
    build_bundle(model, make_contract(Task.BINARY), TEST, folder, project="churn", parity=1e-5)
    return folder


@pytest.fixture
def bundle(built: Path, tmp_path: Path) -> Path:
    """A copy of the bundle, free to be damaged."""
    return Path(shutil.copytree(built, tmp_path / "bundle"))
