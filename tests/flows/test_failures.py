"""What a training run does when the world around it fails: it ends with a sentence, and goes on when told again."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from flows.training import train
from tasks import bundling, registering
from tests.conftest import free_port, mlflow_serving
from tests.flows.conftest import Warm, WriteProject
from tiltyard.errors import RegistryError, StorageError
from tiltyard.registry import models
from tiltyard.steps.place import open_place


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once, so that the tests need not wait."""
    for task in (bundling.verify, registering.register):
        monkeypatch.setattr(task, "retry_delay_seconds", [0.0, 0.0, 0.0])


def after(monkeypatch: pytest.MonkeyPatch, task: Any, happens: Callable[[], None]) -> None:
    """Let something happen when a step has done its work."""
    work = task.fn

    def changed(*arguments: Any, **options: Any) -> Any:
        result = work(*arguments, **options)
        happens()
        return result

    changed.__name__ = work.__name__
    changed.__wrapped__ = work  # type: ignore[attr-defined]  # keeps the signature that Prefect binds to
    monkeypatch.setattr(task, "fn", changed)


def test_registry_gone_in_mid_run(write_project: WriteProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, port = tmp_path / "server", free_port()
    folder.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    with ExitStack() as servers:
        servers.enter_context(mlflow_serving(folder, port))
        train(write_project("tree"))
        file = write_project("linear")
        with monkeypatch.context() as patch:
            after(patch, bundling.verify, servers.close)
            with pytest.raises(RegistryError, match="MLflow answers"):
                train(file)
    with mlflow_serving(folder, port):
        outcome = train(file)
        place = open_place(file)
        assert (outcome.version, outcome.promoted) == (2, True)
        assert [info.ref.version for info in models.versions(place.registry, "churn")] == [2, 1]
        assert models.champion(place.registry, "churn") == models.versions(place.registry, "churn")[0].ref


def test_object_store_unreachable(write_project: WriteProject, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_project("tree")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    monkeypatch.setenv("TILTYARD_S3_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("TILTYARD_STORE", "s3://bucket/prefix")
    with pytest.raises(StorageError, match="bucket"):
        train(file)
    for name in ("TILTYARD_STORE", "TILTYARD_S3_ENDPOINT"):
        monkeypatch.delenv(name)
    assert train(file).promoted


@pytest.mark.parametrize("limit", [12_000, 150_000])
def test_full_disk(write_project: WriteProject, warm: Warm, limit: int) -> None:
    train(write_project("tree"))
    file = write_project("linear")
    status, error = warm.train(file, file_bytes=limit)
    assert status not in {0, 1}, error
    assert "Traceback" not in error
    place = open_place(file)
    champion = models.champion(place.registry, "churn")
    assert champion is not None
    assert champion.version == 1
    assert place.ledger.verify() is None
    outcome = train(file)
    assert (outcome.version, outcome.promoted) == (2, True)
