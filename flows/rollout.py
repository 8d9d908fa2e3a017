"""The rollout flow: a version takes over step by step, followed until it is champion or is sent back.

The model servers watch and decide; this flow starts, shows and tells, and ends a step whose time is over when no server
is there to do it. Killed and started again, it follows on.
"""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from prefect import flow, get_run_logger
from prefect.runtime import flow_run
from pydantic import Field

from flows.ending import explained
from flows.notifying import page_of, tell, tell_failure
from tasks import artifacts, rolling_out
from tiltyard.errors import OverdueError, StorageError
from tiltyard.registry.rollout import Rollout
from tiltyard.steps.notifying import rollout_notice
from tiltyard.steps.place import Place, open_place
from tiltyard.steps.rolling_out import View, look, standing

Way = Literal["canary", "blue_green", "shadow"]

_PAUSE = 2.0
_SEEN_TO = timedelta(seconds=30)
"""Between two looks at whether something is left open."""


def _in_words(rollout: Rollout) -> str:
    """Say in a line how a rollout stands."""
    return f"{rollout.sentence[:1].upper()}{rollout.sentence[1:]}."


def _title() -> str:
    """Name a flow run: the version, or that the rollout in force is followed."""
    version = flow_run.parameters.get("version")
    return "following the rollout" if version is None else f"rollout of version {version}"


@flow(
    name="rollout",
    flow_run_name=_title,
    persist_result=False,
    validate_parameters=True,
    on_failure=[tell_failure],
    on_crashed=[tell_failure],
)
@explained(_in_words)
def roll_out(
    project: Path,
    *,
    version: Annotated[int, Field(ge=1)] | None = None,
    strategy: Way | None = None,
    reason: str = "",
    hours: Annotated[float, Field(gt=0)] | None = None,
) -> Rollout:
    """Let a version take over step by step, and follow it to the end.

    Args:
        project: The project file, or the folder that holds it.
        version: Version that is to become champion; the rollout in force is followed when left out.
        strategy: How it takes over, in place of the project file's; canary where neither says.
        reason: Why, for the ledger.
        hours: Longest time to follow it; as long as its steps may take when left out. The rollout itself goes on.

    Returns:
        The rollout at its end, whichever.

    Raises:
        TiltyardError: Something went wrong that a person can cure; says what to do.
    """
    place = open_place(project)
    if version is None:
        rollout = standing(place)
    else:
        why = reason or "started in Prefect"
        rollout = rolling_out.begin(place, version, strategy=strategy, reason=why, cause=str(flow_run.id))
    tell(place.workplace, rollout_notice(rollout, page_of(str(flow_run.id))) if rollout.is_standing else None)
    ended = _follow(place, rollout, hours)
    tell(place.workplace, rollout_notice(ended, page_of(str(flow_run.id))))
    return ended


def _follow(place: Place, rollout: Rollout, hours: float | None) -> Rollout:
    """Show how a rollout goes until it has ended.

    Raises:
        OverdueError: It has not ended in time; it goes on without this flow.
    """
    steps = len(rollout.settings.shares)
    end = datetime.now(UTC) + timedelta(hours=hours if hours is not None else rollout.settings.hours * steps + 1)
    seen_to = datetime.now(UTC)
    shown: View | None = None
    while True:
        view = _look(place, rollout)
        if view is not None and (shown is None or _news(view) != _news(shown)):
            artifacts.show_rollout(place, view.rollout)
            get_run_logger().info("%s %s", _in_words(view.rollout), view.decision.sentence)
            shown = view
        if view is not None and not view.rollout.is_standing:
            rolling_out.see_to(place, view.rollout)
            return view.rollout
        if datetime.now(UTC) >= end:
            raise OverdueError(
                f"the rollout of version {rollout.version} has not ended in the time it was followed",
                where=place.project.name,
                cure="It goes on: see `tiltyard rollout status`, or run this flow again without a version.",
            )
        if datetime.now(UTC) >= seen_to:
            rolling_out.see_to(place, rollout)
            seen_to = datetime.now(UTC) + _SEEN_TO
        time.sleep(_PAUSE)


def _look(place: Place, rollout: Rollout) -> View | None:
    """Look at a rollout; None when the store cannot be reached now."""
    try:
        return look(place, rollout)
    except StorageError as error:
        get_run_logger().warning("%s", error)
        return None


def _news(view: View) -> tuple[object, ...]:
    """Return what is worth a new line: the step and the end, and each hundred requests."""
    rollout, evidence = view.rollout, view.evidence
    return rollout.step, rollout.outcome, evidence.candidate.requests // 100, evidence.paired.count // 1000
