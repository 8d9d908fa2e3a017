"""Runs of a project as Prefect knows them: what was, what is, what comes, and starting one again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterState,
    FlowRunFilterStateName,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Scheduled

from flows.orchestrator import TAG, connected, page
from tiltyard.errors import ConflictError, UsageError
from tiltyard.project.section import Section

_ENDED_BADLY = (StateType.FAILED, StateType.CRASHED, StateType.CANCELLED)
_UNDER_WAY = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
_AHEAD = [StateType.SCHEDULED]
_BEGUN = [kind for kind in StateType if kind is not StateType.SCHEDULED]


class Run(Section):
    """One flow run, as it was when asked.

    Attributes:
        id: Its identity at Prefect.
        name: Its name in the UI.
        flow: `train` or `score`; empty when Prefect has forgotten the flow.
        project: Name of the project.
        state: Name of its state, such as `Running`, `Completed`, `Crashed`, `Suspended`.
        message: What the state says of itself; empty when nothing.
        due: When it was or is to start, UTC.
        started: When it started, UTC; None when it has not.
        ended: When it ended, UTC; None when it has not.
        deployed: Whether it comes of a deployment, so that Prefect can start it again.
        url: Its page in Prefect's UI.
    """

    id: UUID
    name: str
    flow: str
    project: str
    state: str
    message: str
    due: datetime | None
    started: datetime | None
    ended: datetime | None
    deployed: bool
    url: str


def recent(api: str, project: str, *, limit: int = 5) -> tuple[Run, ...]:
    """Return the last runs of a project that have begun or ended, newest first.

    Args:
        api: Address of Prefect's API.
        project: Name of the project.
        limit: At most so many.

    Raises:
        OrchestrationError: Prefect cannot be reached, or refuses.
    """
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=_BEGUN))
    return _find(api, project, state, FlowRunSort.EXPECTED_START_TIME_DESC, limit)


def upcoming(api: str, project: str, *, limit: int = 5) -> tuple[Run, ...]:
    """Return the runs of a project that are scheduled or queued, the next first; arguments as for `recent`.

    Raises:
        OrchestrationError: Prefect cannot be reached, or refuses.
    """
    state = FlowRunFilterState(type=FlowRunFilterStateType(any_=_AHEAD))
    return _find(api, project, state, FlowRunSort.EXPECTED_START_TIME_ASC, limit)


def waiting(api: str, project: str, *, limit: int = 20) -> tuple[Run, ...]:
    """Return the runs of a project that wait for a person's decision, newest first; arguments as for `recent`.

    Raises:
        OrchestrationError: Prefect cannot be reached, or refuses.
    """
    state = FlowRunFilterState(name=FlowRunFilterStateName(any_=["Suspended", "Paused"]))
    return _find(api, project, state, FlowRunSort.EXPECTED_START_TIME_DESC, limit)


def find(api: str, run: UUID) -> Run:
    """Return one run.

    Raises:
        OrchestrationError: Prefect cannot be reached, or refuses.
        UsageError: There is no such run.
    """
    with connected(api) as client:
        try:
            found = client.read_flow_run(run)
            project = next((tag for tag in found.tags if tag != TAG), "")
            if found.deployment_id is not None:
                project = client.read_deployment(found.deployment_id).name
            return _described(api, found, client.read_flow(found.flow_id).name, project)
        except ObjectNotFound:
            raise UsageError(
                f"there is no run {run}", where=api, cure="`tiltyard status` lists the last runs."
            ) from None


def retry(api: str, run: UUID) -> Run:
    """Start a run again that failed, crashed or was cancelled, as *Retry* in Prefect's UI does.

    It goes on after the last step that was finished.

    Args:
        api: Address of Prefect's API.
        run: Identity of the run.

    Raises:
        ConflictError: The run has not ended, or has ended well, or somebody else was first.
        OrchestrationError: Prefect cannot be reached, or refuses.
        UsageError: There is no such run, or it has no deployment, so that Prefect cannot start it.
    """
    found = find(api, run)
    if not found.deployed:
        what = f"`{found.name}` was started without Prefect's deployments, which cannot start it again"
        raise UsageError(what, cure="Run `tiltyard train` again: it goes on after the last finished step.")
    with connected(api) as client:
        state = client.read_flow_run(run).state
        if state is None or state.type not in _ENDED_BADLY:
            cure = _cure(final=state is not None and state.is_final())
            raise ConflictError(f"`{found.name}` is {found.state}", where=found.url, cure=cure)
        _refuse_a_second(client, api, found)
        result = client.set_flow_run_state(run, _again())
        if result.state is None or result.state.type != StateType.SCHEDULED:
            reason = getattr(result.details, "reason", None) or result.status
            what = f"Prefect does not start `{found.name}` again: {reason}"
            raise ConflictError(what, where=found.url, cure="Look at the run in Prefect's UI.")
    return find(api, run)


def _refuse_a_second(client: SyncPrefectClient, api: str, wanted: Run) -> None:
    """Refuse to start a run again that Prefect would cancel at once, because another one has the only place."""
    deployment = client.read_deployment_by_name(f"{wanted.flow}/{wanted.project}")
    limit = deployment.concurrency_options
    if limit is None or limit.collision_strategy != ConcurrencyLimitStrategy.CANCEL_NEW:
        return
    others = FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[deployment.id]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_UNDER_WAY)),
    )
    for other in client.read_flow_runs(flow_run_filter=others, limit=1):
        what = f"`{wanted.name}` cannot go on now: `{other.name}` is under way, and one runs at a time"
        where = page(api, f"runs/flow-run/{other.id}")
        raise ConflictError(what, where=where, cure="Wait for its end, and resume again.")


def ended_badly(runs: Sequence[Run]) -> Run | None:
    """Return the newest of some runs that failed or crashed, before others one that Prefect can start again.

    Returns:
        None when none ended so.
    """
    bad = [run for run in runs if run.state in {"Failed", "Crashed", "TimedOut"}]
    return next((run for run in bad if run.deployed), bad[0] if bad else None)


def _again() -> State[None]:
    """Return the state that *Retry* in the UI sets."""
    return Scheduled(name="AwaitingRetry", message="Retried by `tiltyard resume`.", scheduled_time=datetime.now(UTC))


def _cure(*, final: bool) -> str:
    return "It has ended well: start a new run." if final else "Wait for its end, or cancel it in Prefect's UI."


def _find(api: str, project: str, state: FlowRunFilterState, sort: FlowRunSort, limit: int) -> tuple[Run, ...]:
    """Return the runs that carry the project's tags and are in such a state."""
    wanted = FlowRunFilter(tags=FlowRunFilterTags(all_=[TAG, project]), state=state)
    with connected(api) as client:
        found = client.read_flow_runs(flow_run_filter=wanted, sort=sort, limit=limit)
        names = {identity: client.read_flow(identity).name for identity in {run.flow_id for run in found}}
        return tuple(_described(api, run, names[run.flow_id], project) for run in found)


def _described(api: str, run: FlowRun, flow: str, project: str) -> Run:
    state = run.state
    return Run(
        id=run.id,
        name=run.name,
        flow=flow,
        project=project,
        state=(state.name if state else None) or "Pending",
        message=(state.message if state else None) or "",
        due=run.expected_start_time,
        started=run.start_time,
        ended=run.end_time,
        deployed=run.deployment_id is not None,
        url=page(api, f"runs/flow-run/{run.id}"),
    )
