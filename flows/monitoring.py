"""The monitoring flow: one check of the champion, shown, and what follows set in motion, once. It never trains."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.context import FlowRunContext
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL

from flows import retraining, runs
from flows.ending import explained
from flows.local import is_temporary
from flows.notifying import page_of, tell, tell_failure
from flows.orchestrator import connected
from tasks import artifacts, monitoring
from tiltyard.data.as_of import AsOf
from tiltyard.steps.acting import by_hand, monitoring_notice
from tiltyard.steps.monitoring import Checked
from tiltyard.steps.place import Place, open_place

SHIPPED = timedelta(minutes=2)
"""What was asked so long ago is in the store: a server brings it there after 30 seconds unless it is told otherwise."""

_LOOK_BACK = 20
_AT_REST = {"Completed", "Failed", "Crashed", "Cancelled", "TimedOut", "Lapsed", "Suspended", "Paused"}
"""States of a run that trains nothing: it has ended, or waits for a person."""


def _in_words(checked: Checked) -> str:
    """Say in a line or two what was found, and what follows."""
    return f"{checked.summary.headline}. {checked.summary.todo}"


def _title() -> str:
    """Name a flow run: the window, or why it is looked at."""
    given = flow_run.parameters
    window = f"the last {given['window']}" if given.get("window") else "the window"
    since = f" since {given['since']}" if given.get("since") else ""
    return given.get("reason") or f"check of {window}{since}"


@flow(
    name="monitor",
    flow_run_name=_title,
    persist_result=False,
    validate_parameters=True,
    on_failure=[tell_failure],
    on_crashed=[tell_failure],
)
@explained(_in_words)
def monitor(
    project: Path, *, window: str | None = None, since: AsOf = None, reason: str = "", domain: bool = False
) -> Checked:
    """Look whether the champion is still good: data, drift, score; and what follows from that.

    Args:
        project: The project file, or the folder that holds it.
        window: What is looked at: a stretch of time such as `7d` or `24h`, or a number of the latest rows.
        since: Look from then on (UTC), for as long as `window` says or until now.
        reason: Why it is looked at.
        domain: Whether a classifier is asked to tell the window from the reference by all columns together, too.

    Returns:
        What was found, what was decided, and where its pages are.

    Raises:
        TiltyardError: Something went wrong that a person can cure; says what to do.
    """
    place = open_place(project)
    checked = monitoring.check(
        project, window=window, since=since, reason=reason, domain=domain, now=_moment(), running=_is_training(place)
    )
    if checked.pages.problem:
        get_run_logger().warning("MLflow did not take the pages: %s", checked.pages.problem)
    artifacts.show_check(checked)
    for asked in monitoring.claim(place, checked):
        _carry_out(place, asked)
        monitoring.done(place, asked)
    return checked


def _moment() -> datetime:
    """Return as of when is looked: when the run was to start, so that, retried or late, it looks at the same window.

    Started by schedule it leaves out what may not be in the store yet: the windows of one check after the other have
    all their rows, and leave none out between them.
    """
    due: datetime | None = flow_run.scheduled_start_time
    if due is None:
        return datetime.now(UTC)
    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    moment = datetime.fromtimestamp(due.timestamp(), UTC)  # not Prefect's own kind
    return moment - SHIPPED if run is not None and run.auto_scheduled else moment


def _carry_out(place: Place, checked: Checked) -> None:
    """Ask for the retraining, and tell people."""
    started = checked.decision.action != "retrain" or _ask(checked)
    if not started:
        get_run_logger().warning(
            "Nothing trains `%s` for an event here: %s.", place.project.name, by_hand(checked.decision)
        )
    tell(place.workplace, monitoring_notice(checked, page_of(str(flow_run.id)), started=started))


def _ask(checked: Checked) -> bool:
    """Ask for a training run; whether there is anybody who starts it."""
    api = PREFECT_API_URL.value()
    if not api or is_temporary(api):
        return False
    with connected(api) as client:
        return retraining.ask(client, checked)


def _is_training(place: Place) -> bool:
    """Whether Prefect knows a training run of the project that is at work."""
    api = PREFECT_API_URL.value()
    if not api or is_temporary(api):
        return False
    found = runs.recent(api, place.project.name, limit=_LOOK_BACK)
    return any(run.flow == "train" and run.state not in _AT_REST for run in found)
