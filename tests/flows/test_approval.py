"""A person's decision: a run that asks, waits without a process, and ends by what was decided wherever it was."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.states import Cancelled, Scheduled

from flows.deployments import deploy
from flows.training import train
from tests.flows.conftest import WriteProject
from tests.notification.listener import Listener, listening
from tiltyard.cli.app import main as tiltyard
from tiltyard.errors import DataError
from tiltyard.registry import models
from tiltyard.steps.approving import decide, waiting
from tiltyard.steps.place import Place, open_place

REQUIRED = {"gates": {"approval": "required"}}


def champion(place: Place) -> int | None:
    found = models.champion(place.registry, place.project.name)
    return found.version if found else None


def kinds(place: Place) -> list[str]:
    return [entry.kind for entry in place.ledger.entries()]


@pytest.fixture
def client(on_prefect_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncPrefectClient]:
    """The Prefect server, for this test and for the commands it calls."""
    monkeypatch.setenv("PREFECT_API_URL", on_prefect_server)
    with get_client(sync_client=True) as opened:
        yield opened


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    """A webhook that is told what happens."""
    with listening() as opened:
        monkeypatch.setenv("TILTYARD_NOTIFY", opened.url)
        yield opened


def start(client: SyncPrefectClient, file: Path) -> FlowRun:
    """Start a deployment's run, as a worker does, in this process."""
    deploy([file])
    deployed = client.read_deployment_by_name(f"train/{open_place(file).project.name}")
    return go_on(client, file, client.create_flow_run_from_deployment(deployed.id).id)


def go_on(client: SyncPrefectClient, file: Path, run: UUID) -> FlowRun:
    """Start a run from the top, as a worker does once it was resumed."""
    with suppress(Pause):
        run_flow(train, flow_run=client.read_flow_run(run), parameters={"project": file})
    return client.read_flow_run(run)


def state(client: SyncPrefectClient, run: FlowRun) -> tuple[str | None, str]:
    """Return the name and the message of a run's state."""
    found = client.read_flow_run(run.id).state
    assert found is not None
    return found.name, str(found.message)


@pytest.mark.exhaustive
def test_run_without_a_deployment_ends_and_says_that_it_waits(write_project: WriteProject, listener: Listener) -> None:
    file = write_project("tree", **REQUIRED)
    outcome = train(file)
    place = open_place(file)
    assert (outcome.verdict.outcome, outcome.promoted, outcome.approval) == ("promote", False, "waiting")
    assert (champion(place), [approval.version for approval in waiting(place)]) == (None, [1])
    assert [text.splitlines()[0] for text in listener.texts] == ["*churn: version 1 waits for a decision*"]
    decide(place, 1, "approve", actor="ada", reason="fine")
    assert champion(place) == 1
    again = train(file)
    assert (again.version, again.promoted, again.approval) == (1, True, "promoted")
    assert kinds(place) == ["registered", "judged", "approval_wanted", "approved", "promoting", "promoted"]


def test_resumed_run_carries_out_the_decision_and_nothing_else(
    write_project: WriteProject, client: SyncPrefectClient, listener: Listener
) -> None:
    file = write_project("tree", name="resumed", **REQUIRED)
    place = open_place(file)
    waits = start(client, file)
    assert (state(client, waits)[0], champion(place)) == ("Suspended", None)
    assert "Version 1 of resumed waits for a person's decision" in state(client, waits)[1]
    (file.parent / "data.csv").write_text("no,such,table\n")
    form = {"decision": "approve", "reason": "looks good", "who": "ada"}
    assert client.resume_flow_run(waits.id, run_input={**form, "reason": ""}).status == "REJECT"
    assert client.resume_flow_run(waits.id, run_input=form).status == "ACCEPT"
    go_on(client, file, waits.id)
    name, message = state(client, waits)
    assert name == "Completed", message
    assert message.startswith("Version 1 was approved by ada (")
    assert champion(place) == 1
    assert kinds(place) == ["registered", "judged", "approval_wanted", "approved", "promoting", "promoted"]
    assert [entry.actor for entry in place.ledger.entries()[3:]] == ["ada"] * 3
    assert [text.splitlines()[0] for text in listener.texts][1:] == ["*resumed: version 1 is the champion*"]


@pytest.mark.exhaustive
def test_decision_on_the_command_line_ends_the_run_that_waits(
    write_project: WriteProject, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_project("tree", name="elsewhere", **REQUIRED)
    waits = start(client, file)
    other = start(client, file)
    assert (state(client, waits)[0], state(client, other)[0]) == ("Suspended", "Completed")
    monkeypatch.setenv("TILTYARD_ACTOR", "bob")
    assert tiltyard(["reject", "1", "--reason", "not this week", "--project", str(file)]) == 0
    name, message = state(client, waits)
    assert (name, champion(open_place(file))) == ("Completed", None)
    assert message.startswith("Version 1 was rejected by bob (")
    assert tiltyard(["approve", "1", "--reason", "why not", "--project", str(file)]) == 7


@pytest.mark.exhaustive
def test_decision_that_came_during_another_run_is_carried_out_at_its_end(
    write_project: WriteProject, client: SyncPrefectClient
) -> None:
    file = write_project("tree", name="busy", **REQUIRED)
    waits = start(client, file)
    client.resume_flow_run(waits.id, run_input={"decision": "approve", "reason": "good", "who": "ada"})
    client.set_flow_run_state(waits.id, Cancelled(message="Deployment concurrency limit reached."), force=True)
    other = start(client, write_project("tree", name="busy", trials=1, **REQUIRED))
    assert (state(client, other)[0], champion(open_place(file))) == ("Suspended", 1)
    name, message = state(client, waits)
    assert (name, message.split(" (")[0]) == ("Completed", "Version 1 was approved by ada")


def test_question_that_nobody_answers_ends_without_a_promotion(
    write_project: WriteProject, client: SyncPrefectClient
) -> None:
    file = write_project("tree", name="lapsed", gates={"approval": "required", "approval_hours": 1e-4})
    waits = start(client, file)
    client.set_flow_run_state(waits.id, Scheduled())
    go_on(client, file, waits.id)
    name, message = state(client, waits)
    assert (name, champion(open_place(file))) == ("Completed", None), message
    assert message.startswith("Nobody decided about version 1 until ")
    assert kinds(open_place(file)) == ["registered", "judged", "approval_wanted", "expired"]


@pytest.mark.exhaustive
def test_failure_is_told_once(write_project: WriteProject, listener: Listener) -> None:
    file = write_project("tree")
    (file.parent / "data.csv").unlink()
    for _ in range(2):
        with pytest.raises(DataError):
            train(file)
    assert len(listener.texts) == 1
    assert listener.texts[0].startswith("*churn: a run failed*\nAt the step “Read the table”: ")
