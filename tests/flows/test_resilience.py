"""Runs on a real Prefect server when triggers crowd in, or a run falls silent; workers are played by the test."""

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.states import Completed, Failed, Pending, Running

from flows import automations, runs
from flows.deployments import deploy
from tests.flows.conftest import WriteProject
from tests.flows.yard import TRAIN, Yard, until
from tiltyard.errors import ConflictError


@pytest.fixture
def yard(on_prefect_server: str, write_project: WriteProject, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    """A deployed project on the shared server."""
    monkeypatch.setenv("PREFECT_API_URL", on_prefect_server)
    file = write_project("tree")
    deploy([file])
    with get_client(sync_client=True) as client:
        yield Yard(client, file)
        client.delete_deployment(client.read_deployment_by_name(TRAIN).id)


def take(yard: Yard, identity: UUID) -> str:
    """Take a run as a worker does, and return the name of the state it then has."""
    yard.client.set_flow_run_state(identity, Pending())
    return yard.state(identity)


def test_twenty_triggers_give_one_run(yard: Yard) -> None:
    twenty = [yard.start(reason=f"trigger {number}") for number in range(20)]
    states = Counter(take(yard, identity) for identity in twenty)
    assert states == {"Pending": 1, "Cancelled": 19}
    refused = runs.recent(yard.api, "churn", limit=20)
    assert {run.message for run in refused if run.state == "Cancelled"} == {"Deployment concurrency limit reached."}


def test_twenty_triggers_queue_when_the_project_says_so(yard: Yard, write_project: WriteProject) -> None:
    deploy([write_project("tree", schedule={"when_busy": "queue"})])
    five = [yard.start(reason=f"trigger {number}") for number in range(5)]
    assert Counter(take(yard, identity) for identity in five) == {"Pending": 1, "AwaitingConcurrencySlot": 4}
    assert len(runs.upcoming(yard.api, "churn", limit=10)) == 4


def test_a_run_that_falls_silent_is_crashed_and_can_be_resumed(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automations, "SILENT_SECONDS", 10)
    deploy([yard.file])
    lost = yard.start(reason="will be lost")
    take(yard, lost)
    yard.client.set_flow_run_state(lost, Running())
    assert take(yard, yard.start()) == "Cancelled"
    until(lambda: yard.state(lost) == "Crashed", "that the silence is noticed", 60)
    found = runs.find(yard.api, lost)
    assert "no sign of life" in found.message
    assert runs.ended_badly(runs.recent(yard.api, "churn")) == found
    assert runs.retry(yard.api, lost).state == "AwaitingRetry"
    assert take(yard, lost) == "Pending"


def test_a_run_is_not_resumed_into_its_refusal(yard: Yard) -> None:
    begun = yard.start(reason="fails once")
    take(yard, begun)
    yard.client.set_flow_run_state(begun, Running())
    yard.client.set_flow_run_state(begun, Failed())
    other = yard.start(reason="takes the place meanwhile")
    assert take(yard, other) == "Pending"
    with pytest.raises(ConflictError, match="one runs at a time"):
        runs.retry(yard.api, begun)
    assert yard.state(begun) == "Failed"
    yard.client.set_flow_run_state(other, Completed(), force=True)
    assert runs.retry(yard.api, begun).state == "AwaitingRetry"
    assert take(yard, begun) == "Pending"
