"""A person's decision in Prefect: the run is suspended until somebody fills in a form, and holds no place meanwhile.

A suspended run has no process. When it is resumed, or its time is over, a worker starts it again from the top: it finds
by its own note at Prefect that it has asked, takes the answer, and ends; nothing is read or trained again. Prefect is
one way in only; what counts is the ledger.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NoReturn
from uuid import UUID, uuid4

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.exceptions import Pause
from prefect.input import RunInput
from prefect.input.actions import create_flow_run_input, read_flow_run_input
from prefect.input.run_input import Keyset, keyset_from_base_key
from prefect.runtime import deployment, flow_run
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed, Failed, Suspended
from pydantic import Field

from flows import runs
from flows.notifying import page_of, tell
from flows.orchestrator import connected
from tasks import approving
from tiltyard.errors import ConflictError, OrchestrationError, TiltyardError
from tiltyard.registry import approvals
from tiltyard.registry.approvals import Approval
from tiltyard.steps.approving import Answer, settle
from tiltyard.steps.judging import Evaluation
from tiltyard.steps.notifying import question_notice, verdict_notice
from tiltyard.steps.pages import outcome_in_words
from tiltyard.steps.place import Place, open_place
from tiltyard.steps.registering import Registered
from tiltyard.steps.run import TrainingOutcome, TrainingRun

_NOTE = "tiltyard-approval"
"""Name of a run's own note at Prefect: the version it has asked about."""

_GRACE_SECONDS = 60
"""Prefect gives up a suspended run so much later than the question lapses."""


_LOOK_BACK = 50
"""So many of a project's last runs may wait for their decision to be carried out."""


_REFUSED = {"Cancelled", "Resuming", "AwaitingConcurrencySlot"}
"""States of a resumed run that cannot start because another one is under way."""


class Decision(RunInput):
    """What a person fills in, in Prefect's UI."""

    decision: Literal["approve", "reject"] = Field(
        title="Decision", description="Approve: the version becomes champion. Reject: the champion stays."
    )
    reason: str = Field(title="Reason", description="Why, for the ledger.", pattern=r"\S")
    who: str = Field(title="Who decides", description="Your name, for the ledger.", pattern=r"\S")


def resumed(project: Path) -> TrainingOutcome | None:
    """End the present run when it has asked a person before, or let it wait on; None when it has not asked.

    Args:
        project: The project file, or the folder that holds it.

    Raises:
        Pause: The question is still open; the run is suspended again.
        ConflictError: The champion is another one by now; nothing was moved.
        TiltyardError: The decision cannot be carried out; says what to do.
    """
    version = _read(_NOTE) if deployment.id else None
    if version is None:
        return None
    place = open_place(project)
    approval = approvals.find(place.ledger, version)
    answer = _answer(approval) if approval else None
    if approval and approval.standing == "waiting" and answer is None:
        _suspend(place, approval)
    outcome = approving.settle(place.workplace.project_file, version, answer)
    tell(place.workplace, verdict_notice(outcome, page_of(str(flow_run.id))))
    return outcome


def ask(
    run: TrainingRun, registered: Registered, evaluation: Evaluation, outcome: TrainingOutcome, why: str
) -> TrainingOutcome:
    """Ask for a person's decision; a run that Prefect can start again is suspended until it is there.

    Args:
        run: The run.
        registered: Its version.
        evaluation: What was measured.
        outcome: How the run ends unless it is approved.
        why: Why a person is asked.

    Returns:
        How the run ends without waiting: it has no deployment, another run waits already, or all is decided.

    Raises:
        Pause: The run is suspended.
        TiltyardError: The ledger or the registry cannot be reached, or refuses.
    """
    approval = approving.ask(run, registered, evaluation, outcome, why)
    place = Place(run.project, run.workplace)
    if approval.standing != "waiting":
        return approving.settle(run.project_file, approval.version, None)
    waits = bool(deployment.id) and not _waiting_runs(place, approval.version)
    tell(place.workplace, question_notice(approval, run.page if waits else ""))
    if waits:
        create_flow_run_input(_NOTE, approval.version)
        _suspend(place, approval)
    return outcome.model_copy(update={"approval": "waiting"})


def end_waiting(place: Place, approval: Approval) -> None:
    """End the runs at Prefect that wait for a decision which was taken elsewhere.

    Args:
        place: The project.
        approval: The question with its answer.

    Raises:
        OrchestrationError: Prefect cannot be reached, or refuses.
    """
    api = place.workplace.prefect_api
    if api is None:
        return
    ended: State[None] = Completed(message=f"{approval.sentence[:1].upper()}{approval.sentence[1:]}.")
    with connected(api) as client:
        for run in _waiting_runs(place, approval.version):
            client.set_flow_run_state(run, ended)


@contextmanager
def catching_up(place: Place) -> Iterator[None]:
    """Carry out, after a run, the decisions that came in while it was under way.

    Prefect refuses to start a suspended run again while another one of its project is under way. Its answer is at
    Prefect all the same, and the run that was in its way sees to it, however it ends itself.
    """
    try:
        yield
    finally:
        try:
            _catch_up(place)
        except TiltyardError as error:
            get_run_logger().warning("A decision is still to be carried out: %s Retry its run.", error)


def _catch_up(place: Place) -> None:
    """End the refused runs whose question is still open and answered."""
    api = PREFECT_API_URL.value()
    waiting = {approval.version: approval for approval in approvals.waiting(place.ledger)}
    if api is None or not waiting:
        return
    name = place.project.name
    for run in (*runs.recent(api, name, limit=_LOOK_BACK), *runs.upcoming(api, name, limit=_LOOK_BACK)):
        if run.state not in _REFUSED:
            continue
        with connected(api) as client:
            approval = waiting.get(_read(_NOTE, run.id) or 0)
            answer = _answer(approval, run.id) if approval else None
            if approval is None or answer is None:
                continue
            try:
                outcome = settle(place.workplace.project_file, approval.version, answer)
            except ConflictError as error:
                client.set_flow_run_state(run.id, Failed(message=str(error)), force=True)
                continue
            client.set_flow_run_state(run.id, Completed(message=outcome_in_words(outcome)), force=True)
            tell(place.workplace, verdict_notice(outcome, run.url))


def _suspend(place: Place, approval: Approval) -> NoReturn:
    """Leave the form at Prefect, and let the present run wait for it to be filled in.

    The form is there before the state, unlike in Prefect's own `suspend_flow_run`, and the state says what it is about.

    Raises:
        Pause: Always, when Prefect accepts it.
        OrchestrationError: It does not.
    """
    keys = _keys(approval)
    if _read(keys["schema"]) is None:
        Decision.with_initial_data(description=_question(place, approval)).save(keys)
    left = (approval.expires - datetime.now(UTC)).total_seconds()
    seconds = max(0, math.ceil(left)) + _GRACE_SECONDS
    state: State[None] = Suspended(timeout_seconds=seconds, pause_key=uuid4().hex, message=_call(approval))
    state.state_details.run_input_keyset = {str(part): key for part, key in keys.items()}
    with get_client(sync_client=True) as client:
        result = client.set_flow_run_state(UUID(flow_run.id), state)
    if result.state is None or not result.state.is_paused():
        reason = getattr(result.details, "reason", None) or result.status.value
        raise OrchestrationError(f"Prefect does not let the run wait ({reason})", cure="Decide by `tiltyard approve`.")
    raise Pause(state=result.state)


def _read(name: str, run: UUID | None = None) -> Any:
    """Return what a run has noted or was told at Prefect; the present run when none is named, None when nothing."""
    return read_flow_run_input(name, flow_run_id=run)


def _answer(approval: Approval, run: UUID | None = None) -> Answer | None:
    """Return what a person filled in for a run, the present one when none is named; None when nobody did."""
    given = _read(_keys(approval)["response"], run)
    if given is None:
        return None
    form = Decision(**given)
    return Answer(choice=form.decision, actor=form.who, reason=form.reason)


def _keys(approval: Approval) -> Keyset:
    """Return the names of form and answer at Prefect; each question has its own."""
    return keyset_from_base_key(f"{_NOTE}-{approval.asked}")


def _waiting_runs(place: Place, version: int) -> list[UUID]:
    """Return the suspended runs that have asked about a version."""
    api = PREFECT_API_URL.value() or place.workplace.prefect_api
    if api is None:
        return []
    found = [run.id for run in runs.waiting(api, place.project.name)]
    with connected(api):
        return [run for run in found if _read(_NOTE, run) == version]


def _call(approval: Approval) -> str:
    """Say in the run's state what is to be done."""
    until = f"{approval.expires:%Y-%m-%d %H:%M} UTC"
    return (
        f"Version {approval.version} of {approval.project} waits for a person's decision until {until}. Choose Resume "
        f"in this run's menu, or `tiltyard approve {approval.version}` or `tiltyard reject {approval.version}`."
    )


def _question(place: Place, approval: Approval) -> str:
    """Write what stands above the form, as Markdown."""
    instead = "as the first champion" if approval.replaces is None else f"instead of version {approval.replaces}"
    lines = [
        f"**Shall version {approval.version} of {approval.project} become champion, {instead}?**",
        f"{approval.question} Its verdict:",
        f"> {approval.verdict}",
        f"Without a decision until {approval.expires:%Y-%m-%d %H:%M} UTC, the champion stays.",
    ]
    if place.registry.is_server:
        address = f"{place.registry.shown_uri.rstrip('/')}/#/models/{approval.project}/versions/{approval.version}"
        lines.append(f"[Version {approval.version} in MLflow]({address})")
    return "\n\n".join(lines)
