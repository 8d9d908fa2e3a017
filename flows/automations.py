"""What Prefect does by itself about Tiltyard's runs: those that fell silent, and those nobody decided about."""

from collections.abc import Iterable
from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.events import Automation
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification

_Labels = dict[str, str | list[str]]

_TAG_OF_RUNS: _Labels = {"prefect.resource.id": "prefect.tag.tiltyard", "prefect.resource.role": "tag"}

SILENT_SECONDS = 120
"""A running run that gives no sign of life for so long has died; runs give one each 30 s."""

START_SECONDS = 300
"""A run whose process has not begun for so long after a worker took it never will."""

_NEVER_RESUMED = "The flow was*"
"""How Prefect's message on a run begins that was suspended, and not resumed in time."""


def keep_automations(client: SyncPrefectClient, every: Iterable[AutomationCore]) -> None:
    """Make automations, or change them when they differ; doing it again changes nothing.

    Args:
        client: Connected to the server.
        every: What they are to be.
    """
    known = {automation.name: automation for automation in client.read_automations()}
    for wanted in every:
        found = known.get(wanted.name)
        if found is None:
            client.create_automation(wanted)
        elif _content(found) != _content(wanted):
            client.update_automation(found.id, wanted.model_copy(update={"enabled": found.enabled}))


def automations() -> tuple[AutomationCore, ...]:
    """Return the automations of a server: two that free the place of a dead run, one that ends a wait in vain."""
    silent = _absence(
        "Tiltyard: crash runs that fell silent",
        after={"prefect.flow-run.Running", "prefect.flow-run.heartbeat"},
        seconds=SILENT_SECONDS,
        message="The run gave no sign of life: its process or its machine has died. "
        "Retry it (here, or by `tiltyard resume`): it goes on after the last finished step.",
    )
    stillborn = _absence(
        "Tiltyard: crash runs that never began",
        after={"prefect.flow-run.Pending"},
        seconds=START_SECONDS,
        message="A worker took the run and its process never began: the worker has died, or its machine is overloaded. "
        "Retry it (here, or by `tiltyard resume`).",
    )
    return silent, stillborn, _lapse()


def _absence(name: str, *, after: set[str], seconds: int, message: str) -> AutomationCore:
    """Crash a run when nothing follows an event of it."""
    trigger = EventTrigger(
        after=after,
        expect={"prefect.flow-run.*"},
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification(_TAG_OF_RUNS),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=seconds),
    )
    action = ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=message, force=False)
    return AutomationCore(name=name, description=message, trigger=trigger, actions=[action])


def _lapse() -> AutomationCore:
    """Start a run once more that has waited for a person in vain: it writes that down, and ends well."""
    trigger = EventTrigger(
        expect={"prefect.flow-run.Failed"},
        match=ResourceSpecification(
            {"prefect.resource.id": "prefect.flow-run.*", "prefect.state-message": _NEVER_RESUMED}
        ),
        match_related=ResourceSpecification(_TAG_OF_RUNS),
        for_each={"prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
    )
    message = "Nobody decided in time: the run takes note of that, and ends without a promotion."
    action = ChangeFlowRunState(state=StateType.SCHEDULED, name="Lapsed", message=message, force=False)
    name = "Tiltyard: end runs for which nobody decided in time"
    return AutomationCore(name=name, description=message, trigger=trigger, actions=[action])


def _content(automation: AutomationCore | Automation) -> dict[str, object]:
    """Return what an automation does, in a form that compares."""
    content = automation.model_dump(mode="json", include={"name", "description", "trigger", "actions"})
    trigger = content["trigger"]
    for key in ("after", "expect", "for_each"):
        trigger[key] = sorted(trigger[key])
    trigger.pop("id", None)
    return content
