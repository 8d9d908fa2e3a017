"""What a training run does when the world around it fails: it ends with a sentence, and goes on when told again."""

import functools
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.flow_engine import run_flow
from prefect.states import AwaitingRetry

from flows.training import train
from tasks import bundling, data, judging, registering
from tasks.step import Step
from tests.conftest import free_port, mlflow_serving
from tests.flows.conftest import Warm, WriteProject, contract, table
from tiltyard.data.coercion import coerce
from tiltyard.data.dataset import fingerprint
from tiltyard.errors import DataError, OverdueError, RegistryError, StorageError
from tiltyard.registry import models
from tiltyard.steps.place import open_place


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retry at once, so that the tests need not wait."""
    for step in (data.ingest, judging.find_opponent, registering.register):
        monkeypatch.setattr(step.task, "retry_delay_seconds", [0.0, 0.0, 0.0])


def after(monkeypatch: pytest.MonkeyPatch, step: Step[Any, Any], happens: Callable[[], None]) -> None:
    """Let something happen when a step has done its work."""
    work = step.task.fn

    @functools.wraps(work)
    def changed(*arguments: Any, **options: Any) -> Any:
        result = work(*arguments, **options)
        happens()
        return result

    monkeypatch.setattr(step.task, "fn", changed)


@pytest.mark.exhaustive
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


@pytest.mark.exhaustive
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


def test_state_says_which_step_why_and_what_to_do(write_project: WriteProject, tmp_path: Path) -> None:
    file = write_project("tree")
    (tmp_path / "data.csv").write_text((tmp_path / "data.csv").read_text().replace("basic", "", 3))
    state: Any = train(file, return_state=True)
    with pytest.raises(DataError) as failure:
        state.result()
    assert state.is_failed()
    assert state.message == f"At the step “Check the contract”: {failure.value}"
    run = UUID(str(state.state_details.flow_run_id))
    with get_client(sync_client=True) as client:
        ours = FlowRunFilter(id=FlowRunFilterId(any_=[run]))
        shown = client.read_artifacts(flow_run_filter=ours)
    assert "1 error" in {artifact.description for artifact in shown}


def test_step_that_hangs_is_ended(write_project: WriteProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data.ingest.task, "timeout_seconds", 0.3)
    after(monkeypatch, data.ingest, hang)
    state: Any = train(write_project("tree"), return_state=True)
    assert "“Read the table”: the step took longer than 0.3 seconds, and was ended" in state.message
    with pytest.raises(OverdueError):
        state.result()


def test_retried_flow_run_goes_on_with_the_same_rows(
    write_project: WriteProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_project("tree")
    with monkeypatch.context() as patch:
        after(patch, data.ingest, (tmp_path / "data.csv").unlink)
        patch.setattr(judging.find_opponent.task, "retries", 0)
        after(patch, judging.find_opponent, broken)
        state: Any = train(file, return_state=True)
    assert "broken on purpose" in state.message
    table(seed=2).to_csv(tmp_path / "data.csv", index=False)
    first = retry(state, file).result()
    other = train(file, dry_run=True)
    assert first.run_key[:12] == fingerprint(coerce(table(), contract(), where=""))[:12]
    assert other.run_key[:12] == fingerprint(coerce(table(seed=2), contract(), where=""))[:12]


def test_mended_table_is_read_when_a_refused_run_is_retried(write_project: WriteProject, tmp_path: Path) -> None:
    file = write_project("tree")
    whole = (tmp_path / "data.csv").read_text()
    (tmp_path / "data.csv").write_text(whole.replace("basic", "", 3))
    state: Any = train(file, return_state=True)
    assert "has 3 values missing" in state.message
    (tmp_path / "data.csv").write_text(whole.replace("basic", "", 2))
    assert "has 2 values missing" in retry(state, file).message


def retry(state: Any, file: Path) -> Any:
    """Do what Prefect's UI does to a flow run on *Retry*, and return how that ends."""
    run = UUID(str(state.state_details.flow_run_id))
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run, AwaitingRetry(), force=True)
        again = client.read_flow_run(run)
    parameters = {"project": file, "dry_run": True}
    return run_flow(train, flow_run=again, parameters=parameters, return_type="state")


def hang() -> None:
    """Wait for what never comes; in small pieces, because pytest's own alarm leaves Prefect no other way in."""
    for _ in range(3000):
        time.sleep(0.01)


def broken() -> None:
    """Fail as an outside system does."""
    raise RegistryError("broken on purpose")
