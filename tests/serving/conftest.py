"""Slots with hand-made bundles."""

import shutil
import warnings
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.serving.bundles import CONTRACT_OF_CHURN, CONTRACT_OF_DEMAND, write_bundle
from tests.serving.registries import Registered, workplace_at
from tiltyard.registry.client import connect
from tiltyard.serving.loading import next_slots
from tiltyard.serving.plan import Plan, SlotPlan
from tiltyard.serving.settings import Limits
from tiltyard.serving.slots import Served

NAMES = ("churn", "demand", "waiting")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A server with a binary model, a regression, and a model that has no champion yet."""
    folder = tmp_path_factory.mktemp("bundles")
    now = datetime(2026, 11, 20, 18, tzinfo=UTC)
    models = {}
    for name, contract, answer in (
        ("churn", CONTRACT_OF_CHURN, [0.25, 0.75]),
        ("demand", CONTRACT_OF_DEMAND, [3.5]),
    ):
        digest = write_bundle(folder / name, contract, answer)
        models[name] = SlotPlan(version=3, bundle=str(folder / name), digest=digest, since=now)
    slots, problems = next_slots({}, Plan(models=models), NAMES)
    assert not problems
    return Served(names=NAMES, slots=slots, limits=Limits(body_bytes=100_000, rows=100))


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with an empty registry: MLflow takes its seconds to make the tables once."""
    home = tmp_path_factory.mktemp("registry")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        connect(workplace_at(home)).client.search_registered_models()
    return home


@pytest.fixture
def registered(empty_registry: Path, tmp_path: Path) -> Registered:
    """A registered model of a test's own, in `tmp_path`."""
    shutil.copy(empty_registry / "mlflow.db", tmp_path)
    return Registered(tmp_path)
