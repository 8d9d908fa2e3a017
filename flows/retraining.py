"""The event by which a check asks for a training run, and the automation that starts one for it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId, FlowRunFilterExpectedStartTime
from prefect.events.actions import RunDeployment
from prefect.events.filters import EventFilter, EventIDFilter
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import Event, Resource, ResourceSpecification
from prefect.exceptions import ObjectNotFound

from tiltyard.steps.monitoring import Checked

EVENT = "tiltyard.retrain"
"""Name of the event; its resource is that of `resource_id`."""

WITHIN = timedelta(minutes=5)
"""Further events of a project start no second run for so long: fifty that come at once are one."""

TIMES, PATIENCE = 3, 10.0
"""How often an event is told, and for how many seconds a run is waited for each time."""

_PAUSE = 0.5
_CLOCKS_DIFFER = timedelta(minutes=1)
_REASON = "{{ event.payload.get('reason') or 'asked for by an event' }}"
_MODE = "{{ event.payload.get('mode') or 'superiority' }}"


def resource_id(project: str) -> str:
    """Return the name by which Prefect's events know a project.

    Example:
        >>> resource_id("churn")
        'tiltyard.project.churn'
    """
    return f"tiltyard.project.{project}"


def ask(client: SyncPrefectClient, checked: Checked) -> bool:
    """Tell Prefect that a check asks for a training run; to say it twice, however late, is to say it once.

    It is told at once, and not by Prefect's thread in the background: only what Prefect has taken counts as done. Some
    minutes later Prefect itself would take the same event for another one. A busy server may take an event and lose it
    before its automations have seen it (with SQLite, after four tries), so it is told again until there is a run: the
    automation starts one, however often that is.

    Args:
        client: Connected to the server.
        checked: The check.

    Returns:
        Whether Prefect has started a run for it, now or when it was told before; False where nothing there would.
    """
    event, awaited = event_of(checked), is_awaited(client, checked.check.model)
    if is_told(client, checked):
        return awaited
    for again in range(TIMES):
        told = event if not again else event.model_copy(update={"id": uuid5(event.id, str(again))})
        client.request("POST", "/events", json=[told.model_dump(mode="json")])
        if not awaited or _comes(client, checked.check.model):
            return awaited
    return False


def _comes(client: SyncPrefectClient, project: str) -> bool:
    """Wait for the run that the automation starts; whether it has come."""
    end = time.monotonic() + PATIENCE
    while not (come := is_started(client, project)) and time.monotonic() < end:
        time.sleep(_PAUSE)
    return come


def is_started(client: SyncPrefectClient, project: str) -> bool:
    """Whether an automation has started a training run so lately that it starts no second one."""
    now = datetime.now(UTC)
    deployment = FlowRunFilterDeploymentId(any_=[client.read_deployment_by_name(f"train/{project}").id])
    lately = FlowRunFilterExpectedStartTime(after_=now - WITHIN, before_=now + _CLOCKS_DIFFER)
    wanted = FlowRunFilter(deployment_id=deployment, expected_start_time=lately)
    runs = client.read_flow_runs(flow_run_filter=wanted)
    return any(run.created_by is not None and run.created_by.type == "AUTOMATION" for run in runs)


def is_told(client: SyncPrefectClient, checked: Checked) -> bool:
    """Whether Prefect's records have the event of a check; they keep events for a week unless told otherwise."""
    same = EventFilter(id=EventIDFilter(id=[event_of(checked).id]))
    found = client.request("POST", "/events/filter", json={"filter": same.model_dump(mode="json"), "limit": 1})
    return bool(found.json()["events"])


def event_of(checked: Checked) -> Event:
    """Return the event by which a check asks for a training run."""
    check, decision = checked.check, checked.decision
    payload: dict[str, Any] = {
        "trigger": decision.trigger,
        "mode": decision.mode,
        "reason": f"monitoring: {decision.reason}",
        "evidence": list(decision.evidence),
        "version": check.version,
        "window_start": check.start.isoformat(),
        "window_end": check.end.isoformat(),
        "page": dict(checked.pages.links),
    }
    resource = {"prefect.resource.id": resource_id(check.model), "prefect.resource.name": check.model}
    return Event(event=EVENT, resource=Resource(resource), payload=payload, id=uuid5(NAMESPACE_URL, decision.trigger))


def is_awaited(client: SyncPrefectClient, project: str) -> bool:
    """Whether the server has a training deployment of a project, and the automation that starts it for an event."""
    try:
        client.read_deployment_by_name(f"train/{project}")
    except ObjectNotFound:
        return False
    return any(found.enabled for found in client.read_automations_by_name(name_of(project)))


def name_of(project: str) -> str:
    """Return the name of the automation in Prefect's UI."""
    return f"Tiltyard: retrain {project}"


def automation(project: str, deployment: UUID) -> AutomationCore:
    """Return the automation that starts a project's training for the event.

    Args:
        project: Name of the project.
        deployment: Identity of its training deployment.
    """
    trigger = EventTrigger(
        expect={EVENT},
        match=ResourceSpecification({"prefect.resource.id": resource_id(project)}),
        for_each={"prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
        within=WITHIN,
    )
    parameters = {name: {"__prefect_kind": "jinja", "template": text} for name, text in _TEMPLATES.items()}
    action = RunDeployment(deployment_id=deployment, parameters=parameters)
    said = f"Train {project} anew when monitoring asks for it."
    return AutomationCore(name=name_of(project), description=said, trigger=trigger, actions=[action])


_TEMPLATES = {"reason": _REASON, "mode": _MODE}
