"""The monitoring flow against a real Prefect server: what it shows, what it sets in motion, and the command line."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
    FlowRunFilter,
    FlowRunFilterDeploymentId,
)
from prefect.client.schemas.objects import FlowRun

from flows import monitoring, retraining
from flows.automations import automations
from flows.deployments import deploy, remove
from flows.monitoring import monitor
from flows.plan import plans
from tests.flows.conftest import WriteProject
from tests.flows.yard import until
from tests.steps.conftest import table
from tests.traffic import Traffic, copy_of, trained_project
from tiltyard.cli.app import main
from tiltyard.monitoring import watching
from tiltyard.monitoring.history import History
from tiltyard.predictions.settings import LogSettings
from tiltyard.project.environment import Workplace
from tiltyard.project.loading import load_project
from tiltyard.serving.shipping import LOOK_SECONDS
from tiltyard.steps import acting, monitoring_pages
from tiltyard.steps.monitoring import Checked, check_champion
from tiltyard.steps.place import Place

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")

DAY = timedelta(days=1)
NIGHTLY = {"window": "1d", "cron": "0 6 * * *", "cooldown_hours": 0}


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained project."""
    return trained_project(tmp_path_factory.mktemp("watched"))


@pytest.fixture
def place(pattern: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_prefect_server: str) -> Place:
    """A copy of the project, with the server known to commands; estimate and drawing, which take seconds, left out."""
    for name in ("TILTYARD_STORE", "TILTYARD_HOME"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PREFECT_API_URL", on_prefect_server)
    monkeypatch.setattr(monitoring_pages, "_report", lambda *_: None)
    monkeypatch.setattr(monitoring_pages, "draw_charts", lambda *_: {})
    monkeypatch.setattr(watching, "estimated", lambda *_: None)
    return copy_of(pattern, tmp_path, monitoring=NIGHTLY)


@pytest.fixture
def client(on_prefect_server: str) -> Iterator[SyncPrefectClient]:
    """A client of the server, which is empty of deployments and automations before and after."""
    with get_client(sync_client=True) as client:
        assert str(client.api_url).startswith(on_prefect_server)
        yield client
        for found in client.read_deployments():
            client.delete_deployment(found.id)
        for automation in client.read_automations():
            client.delete_automation(automation.id)


def moved(seed: int) -> pd.DataFrame:
    """Return rows that the champion never saw the like of."""
    frame = table(1500, seed=seed)
    return frame.assign(usage=frame["usage"] + 1.5)


def runs_of(client: SyncPrefectClient, deployment: str) -> list[FlowRun]:
    """Return the runs of a deployment."""
    found = client.read_deployment_by_name(deployment).id
    return client.read_flow_runs(flow_run_filter=FlowRunFilter(deployment_id=FlowRunFilterDeploymentId(any_=[found])))


def test_a_check_is_shown_with_our_page_first(place: Place, client: SyncPrefectClient) -> None:
    now = datetime.now(UTC)
    Traffic(place).ask(table(1500, seed=3), now - DAY / 2, now)
    state = monitor(place.workplace.project_file, reason="a look", return_state=True)
    assert state.is_completed()
    assert "Nothing has changed beyond what is usual" in str(state.message)
    key = ArtifactFilter(key=ArtifactFilterKey(any_=["churn-monitoring"]))
    shown = client.read_artifacts(artifact_filter=key)
    assert len(shown) == 1
    assert str(shown[0].data).startswith("# Nothing has changed beyond what is usual")
    assert "What to do" in str(shown[0].data)


def test_the_deployment_has_the_schedule_and_a_form(place: Place) -> None:
    project = load_project(place.workplace.project_file)
    plan = next(one for one in plans(place.workplace.project_file, project, {}) if one.flow == "monitor")
    assert plan.name == "monitor/churn"
    assert plan.schedule == "0 6 * * * (UTC)"
    fields = plan.content["parameter_openapi_schema"]["properties"]
    assert set(fields) == {"project", "window", "since", "reason", "domain"}
    assert fields["window"]["description"].endswith("Empty: 1d.")
    assert [kind["format"] for kind in fields["since"]["anyOf"]] == ["date", "date-time"]


def test_deploying_makes_the_automation_and_removing_takes_it_away(
    client: SyncPrefectClient, write_project: WriteProject, monkeypatch: pytest.MonkeyPatch, on_prefect_server: str
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", on_prefect_server)
    file = write_project("tree")
    deploy([file])
    deploy([file])
    names = [automation.name for automation in client.read_automations()]
    assert sorted(names) == sorted(["Tiltyard: retrain churn", *(one.name for one in automations())])
    assert retraining.is_awaited(client, "churn")
    remove("churn", Workplace(file))
    assert [one.name for one in client.read_automations() if "retrain" in one.name] == []
    assert not retraining.is_awaited(client, "churn")


def test_fifty_triggers_at_once_are_one_training_run(place: Place, client: SyncPrefectClient) -> None:
    now = datetime.now(UTC)
    Traffic(place).ask(moved(1), now - DAY / 2, now)
    deploy([place.workplace.project_file])
    checked = check_champion(place.workplace.project_file, now=now)
    asking = [asking_for(checked, f"t{number}") for number in range(50)]
    time.sleep(2)  # the server takes notice of a new automation
    client.request("POST", "/events", json=[retraining.event_of(one).model_dump(mode="json") for one in asking[1:]])
    assert retraining.ask(client, asking[0])  # which is told again where a busy server has lost them all
    time.sleep(3)
    runs = runs_of(client, "train/churn")
    assert len(runs) == 1
    assert runs[0].parameters["mode"] == "superiority"
    assert runs[0].parameters["reason"] == 'monitoring: it "drifts" {{ 1 + 1 }}'


def asking_for(checked: Checked, trigger: str) -> Checked:
    """Return a check that asks for a retraining."""
    decision = checked.decision.model_copy(
        update={"action": "retrain", "mode": "superiority", "trigger": trigger, "reason": 'it "drifts" {{ 1 + 1 }}'}
    )
    return checked.model_copy(update={"check": checked.check.model_copy(update={"decision": decision})})


def test_an_event_that_the_server_loses_is_told_again(
    place: Place, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    lost: list[str] = []
    Traffic(place).ask(table(1500, seed=3), now - DAY / 2, now)
    asking = asking_for(check_champion(place.workplace.project_file, now=now), "once")
    assert not retraining.ask(client, asking)  # nobody there would start a run
    deploy([place.workplace.project_file])
    time.sleep(2)  # the server takes notice of a new automation
    monkeypatch.setattr(retraining, "is_told", lambda *_: False)
    monkeypatch.setattr(retraining, "PATIENCE", 4.0)
    request = type(client).request

    def losing(self: SyncPrefectClient, method: Any, path: Any, **more: Any) -> Any:
        if path == "/events" and not lost:
            return lost.append(path)
        return request(self, method, path, **more)

    monkeypatch.setattr(type(client), "request", losing)
    assert retraining.ask(client, asking)
    assert lost
    assert len(runs_of(client, "train/churn")) == 1


def test_lasting_drift_starts_a_training_once(
    place: Place, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, told = datetime.now(UTC) + timedelta(minutes=1), []
    deploy([place.workplace.project_file])
    traffic = Traffic(place)
    monkeypatch.setattr(monitoring, "tell", lambda _, notice: told.append(notice))
    for day in range(2):
        traffic.ask(moved(day), start + day * DAY, start + (day + 1) * DAY)
        monkeypatch.setattr(monitoring, "_moment", lambda end=start + (day + 1) * DAY: end)
        checked = monitor(place.workplace.project_file)
    assert checked.decision.action == "retrain"
    again = monitor(place.workplace.project_file)
    assert again.decision.trigger == checked.decision.trigger
    until(lambda: bool(runs_of(client, "train/churn")), "a training run", seconds=60)
    assert len(runs_of(client, "train/churn")) == 1
    assert [notice.event for notice in told] == ["retraining"]
    assert "tiltyard train" not in told[0].text
    actions = History(place.store, "churn").actions()
    assert [(action.action, action.done) for action in actions] == [("retrain", True)]


@pytest.mark.parametrize(("scheduled", "minutes"), [(True, 2), (False, 0)])
def test_a_scheduled_check_leaves_out_what_may_not_be_in_the_store_yet(
    monkeypatch: pytest.MonkeyPatch, *, scheduled: bool, minutes: int
) -> None:
    due = datetime(2026, 11, 21, 3, tzinfo=UTC)
    begun = SimpleNamespace(flow_run=SimpleNamespace(auto_scheduled=scheduled))
    monkeypatch.setattr(monitoring, "FlowRunContext", SimpleNamespace(get=lambda: begun))
    monkeypatch.setattr(monitoring, "flow_run", SimpleNamespace(scheduled_start_time=due))
    assert monitoring._moment() == due - timedelta(minutes=minutes)
    assert timedelta(seconds=2 * LogSettings().rotate_seconds + LOOK_SECONDS) < monitoring.SHIPPED


class KilledError(BaseException):
    """What no code catches."""


def test_a_check_that_is_cut_off_before_it_asks_is_taken_up_by_the_next(
    place: Place, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, carry_out, traffic = datetime.now(UTC) + timedelta(minutes=1), monitoring._carry_out, Traffic(place)
    deploy([place.workplace.project_file])
    for day, frame in enumerate((moved(1), moved(2), table(1500, seed=3))):
        traffic.ask(frame, start + day * DAY, start + (day + 1) * DAY)

    def checked(day: int) -> Checked:
        monkeypatch.setattr(monitoring, "_moment", lambda: start + day * DAY)
        return monitor(place.workplace.project_file)

    monkeypatch.setattr(monitoring, "_carry_out", _die)
    history, first = History(place.store, "churn"), checked(1)
    assert first.decision.action == "none"
    older = first.decision.model_copy(
        update={"action": "retrain", "trigger": "one before, so that this is another one"}
    )
    history.claim(first.check.model_copy(update={"decision": older}), start - timedelta(minutes=1))
    history.done(older.trigger)
    with pytest.raises(KilledError):
        checked(2)
    claimed = history.actions()[-1]
    assert (claimed.action, claimed.done, runs_of(client, "train/churn")) == ("retrain", False, [])
    monkeypatch.setattr(monitoring, "_carry_out", carry_out)
    monkeypatch.setattr(acting, "_CUT_OFF", timedelta(0))
    third = checked(3)
    assert (third.decision.action, [action.done for action in history.actions()]) == ("none", [True, True])
    until(lambda: bool(runs_of(client, "train/churn")), "a training run", seconds=60)
    cause = third.model_copy(update={"check": history.check_of(claimed)})
    until(lambda: retraining.is_told(client, cause), "the event in Prefect's records", seconds=60)
    with monkeypatch.context() as patch:
        patch.setattr(type(client), "request", _reading(type(client).request))
        retraining.ask(client, cause)  # hours later, say


def _die(*_: object) -> None:
    raise KilledError


def _reading(request: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse to send any event."""

    def read(self: SyncPrefectClient, method: str, path: str, **more: Any) -> Any:
        assert path != "/events"
        return request(self, method, path, **more)

    return read


def test_the_command_line(place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    folder, now = str(place.workplace.folder), datetime.now(UTC)
    monkeypatch.chdir(folder)
    assert main(["report", "--path"]) == 6
    assert "was not checked yet" in capsys.readouterr().err
    traffic = Traffic(place)
    traffic.ask(table(1500, seed=3), now - DAY / 2, now)
    assert main(["monitor"]) == 0
    said = capsys.readouterr().out
    assert "Nothing has changed beyond what is usual." in said
    assert "What to do: " in said
    assert main(["report", "--path"]) == 0
    assert Path(capsys.readouterr().out.strip()).name == "page.html"
    broken = table(1500, seed=4).assign(debt=np.nan)
    traffic.ask(broken, now - DAY / 4, now - DAY / 5, name="b")
    assert main(["monitor", "--window", "6h", "--json"]) == 14
    found = json.loads(capsys.readouterr().out)
    assert (found["summary"]["state"], found["check"]["decision"]["action"]) == ("broken", "alert")
    assert main(["monitor", "--window", "soon"]) == 2
    assert "`--window soon`" in capsys.readouterr().err
