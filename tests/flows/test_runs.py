"""What Prefect knows of a project's runs, and what is said when one cannot be started again."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import pytest
from prefect import flow, tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.states import Completed, Crashed, Pending, Running, Suspended

from flows import runs
from flows.deployments import deploy
from tests.flows.conftest import WriteProject
from tests.flows.yard import TRAIN
from tiltyard.cli.app import main
from tiltyard.errors import ConflictError, UsageError


@pytest.fixture
def client(
    on_prefect_server: str, write_project: WriteProject, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SyncPrefectClient]:
    """A client; the project `leavers` is deployed, so that runs of other tests are not among its own."""
    monkeypatch.setenv("PREFECT_API_URL", on_prefect_server)
    deploy([write_project("tree", name="leavers")])
    with get_client(sync_client=True) as client:
        yield client
        for run in client.read_flow_runs():
            client.delete_flow_run(run.id)
        for found in client.read_deployments():
            client.delete_deployment(found.id)


def start(client: SyncPrefectClient) -> UUID:
    """Trigger a run."""
    deployment = client.read_deployment_by_name(TRAIN.replace("churn", "leavers"))
    return client.create_flow_run_from_deployment(deployment.id, name="leavers: new data").id


def begin(client: SyncPrefectClient) -> UUID:
    """Trigger a run and let it begin."""
    run = start(client)
    client.set_flow_run_state(run, Pending())
    client.set_flow_run_state(run, Running())
    return run


def test_runs_are_told_apart_by_what_they_do(client: SyncPrefectClient, on_prefect_server: str) -> None:
    done, asks = begin(client), None
    client.set_flow_run_state(done, Completed(message="Version 3 is the champion."))
    asks = begin(client)
    client.set_flow_run_state(asks, Suspended(timeout_seconds=600))
    queued = start(client)
    assert [run.id for run in runs.upcoming(on_prefect_server, "leavers")] == [queued]
    assert [run.id for run in runs.waiting(on_prefect_server, "leavers")] == [asks]
    past = {run.id: run for run in runs.recent(on_prefect_server, "leavers")}
    assert set(past) == {done, asks}
    assert (past[done].flow, past[done].project, past[done].deployed) == ("train", "leavers", True)
    assert past[done].message == "Version 3 is the champion."
    assert past[done].ended is not None
    assert past[done].url.endswith(f"/v2/runs/flow-run/{done}")
    assert runs.recent(on_prefect_server, "nobody") == ()


def test_only_what_ended_badly_is_started_again(client: SyncPrefectClient, on_prefect_server: str) -> None:
    run = begin(client)
    with pytest.raises(ConflictError, match="Wait for its end"):
        runs.retry(on_prefect_server, run)
    client.set_flow_run_state(run, Completed())
    with pytest.raises(ConflictError, match="start a new run"):
        runs.retry(on_prefect_server, run)
    with pytest.raises(UsageError, match="there is no run"):
        runs.retry(on_prefect_server, uuid4())


def test_a_run_of_the_command_line_is_started_there(on_prefect_server: str) -> None:
    @flow
    def fails() -> None:
        raise ValueError("on purpose")

    with tags("tiltyard", "by-hand"):
        fails(return_state=True)
    lost = runs.ended_badly(runs.recent(on_prefect_server, "by-hand"))
    assert lost is not None
    assert not lost.deployed
    with pytest.raises(UsageError, match="Run `tiltyard train` again"):
        runs.retry(on_prefect_server, lost.id)


def test_what_prefect_cannot_start_again_is_not_resumed_before_what_it_can(
    client: SyncPrefectClient, on_prefect_server: str
) -> None:
    run = begin(client)
    client.set_flow_run_state(run, Crashed())
    older = runs.find(on_prefect_server, run)
    newer = older.model_copy(update={"id": uuid4(), "deployed": False})
    assert runs.ended_badly((newer, older)) == older
    assert runs.ended_badly((newer,)) == newer


def test_the_command_resumes_the_last_that_crashed(
    client: SyncPrefectClient, write_project: WriteProject, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(write_project("tree", name="leavers").parent)
    assert main(["resume", "--project", folder, "nobody"]) == UsageError.exit_code
    assert "none of the last" in capsys.readouterr().err
    run = begin(client)
    client.set_flow_run_state(run, Crashed())
    assert main(["resume", "--project", folder]) == 0
    assert "leavers: new data goes on" in capsys.readouterr().out
    state = client.read_flow_run(run).state
    assert state is not None
    assert state.name == "AwaitingRetry"
