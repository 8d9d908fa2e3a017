"""What a project's deployments are to be, and whether a deployment at Prefect is that already."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions, DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule

import tiltyard
from flows.form import form
from flows.monitoring import monitor
from flows.orchestrator import PROCESS, TAG
from flows.rollout import roll_out
from flows.scoring import score
from flows.training import train
from tiltyard.project.model import Project
from tiltyard.stack.parts import POOL

HOME = "TILTYARD_HOME"
"""Variable of a run's environment by which a deployment is known to be of a home."""

RUN_SETTINGS = {
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_CLIENT_MAX_RETRIES": "8",
    "PREFECT_LOGGING_LEVEL": "INFO",
    "PREFECT_LOGGING_TO_API_ENABLED": "true",
    "DO_NOT_TRACK": "true",
}
"""Environment of every run: a sign of life each 30 s, patience (some eight minutes) with a server that restarts, and
its log in the UI."""


@dataclass(frozen=True)
class Plan:
    """One deployment as it is to be.

    Attributes:
        flow: Name of the flow.
        content: What `create_deployment` of Prefect's client takes.
    """

    flow: str
    content: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name at Prefect, flow and project, such as `train/churn`."""
        return f"{self.flow}/{self.content['name']}"

    @property
    def schedule(self) -> str | None:
        """When it starts by itself, in words; None when it does not."""
        plans = [f"{plan.schedule.cron} ({plan.schedule.timezone})" for plan in self.content["schedules"]]
        return ", ".join(plans) or None

    def is_met_by(self, found: DeploymentResponse) -> bool:
        """Whether a deployment is as it is to be; a schedule that somebody paused may stay so."""
        asked, limit, busy = self.content, found.global_concurrency_limit, found.concurrency_options
        return (
            all(getattr(found, key) == asked[key] for key in _SAME)
            and sorted(found.tags) == sorted(asked["tags"])
            and (limit.limit if limit else None) == asked.get("concurrency_limit")
            and (busy.collision_strategy if busy else None) == _strategy(asked)
            and [_times(plan) for plan in found.schedules] == [_times(plan) for plan in asked["schedules"]]
        )


_SAME = (
    "version",
    "description",
    "parameters",
    "entrypoint",
    "work_pool_name",
    "parameter_openapi_schema",
    "enforce_parameter_schema",
    "job_variables",
)


def job_variables(pool_type: str, home: Path) -> dict[str, Any]:
    """Return how a worker starts a run: in this home, and where it starts processes, without a helper in between.

    The helper prepares code that a worker has to fetch; ours is installed, and the helper costs seconds.

    Args:
        pool_type: Type of the work pool.
        home: Folder of runs, caches and the embedded registry.
    """
    variables: dict[str, Any] = {"env": RUN_SETTINGS | {HOME: str(home)}}
    if pool_type == PROCESS:
        variables["command"] = f"{shlex.quote(sys.executable)} -m prefect.engine"
    return variables


def plans(file: Path, project: Project, variables: Mapping[str, Any]) -> tuple[Plan, ...]:
    """Return what the deployments of a project are to be.

    Args:
        file: The project file, absolute.
        project: Its content.
        variables: How a worker starts a run.
    """
    fixed = {"project": str(file)}
    common: dict[str, Any] = {
        "name": project.name,
        "version": tiltyard.__version__,
        "tags": [TAG, project.name],
        "parameters": fixed,
        "work_pool_name": POOL,
        "enforce_parameter_schema": True,
        "job_variables": dict(variables),
    }
    training = {
        "entrypoint": "flows.training.train",
        "description": _describe("Train a challenger, judge it against the champion, promote it if it wins.", project),
        "parameter_openapi_schema": form(train, fixed=fixed, hints=_hints(project)),
        "schedules": _schedules(project.schedule.cron, project),
        **_one_at_a_time(project),
    }
    scoring = {
        "entrypoint": "flows.scoring.score",
        "description": _describe("Predict every row of a table with the champion.", project),
        "parameter_openapi_schema": form(score, fixed=fixed),
        "schedules": [],
    }
    rolling_out = {
        "entrypoint": "flows.rollout.roll_out",
        "description": _describe("Let a version take over step by step, and follow it to the end.", project),
        "parameter_openapi_schema": form(roll_out, fixed=fixed),
        "schedules": [],
    }
    watching = {
        "entrypoint": "flows.monitoring.monitor",
        "description": _describe("Look whether the champion is still good, and what follows from that.", project),
        "parameter_openapi_schema": form(monitor, fixed=fixed, hints=_monitoring_hints(project)),
        "schedules": _schedules(project.monitoring.cron, project),
    }
    named = ((train, training), (score, scoring), (roll_out, rolling_out), (monitor, watching))
    return tuple(Plan(flow.name, common | content) for flow, content in named)


def _describe(work: str, project: Project) -> str:
    return f"{work}\n\n**{project.name}**: {project.purpose}" if project.purpose else work


def _hints(project: Project) -> dict[str, str]:
    """Say in the form what holds when a field stays empty."""
    search = project.search
    seconds = "no limit" if search.wall_seconds is None else f"{search.wall_seconds:g}"
    return {
        "seconds": f"Empty: {seconds}.",
        "trials": f"Empty: {search.trials or 'as many as the time allows'}.",
        "mode": f"Empty: {project.gates.mode}.",
    }


def _monitoring_hints(project: Project) -> dict[str, str]:
    """Say in the form of a check what holds when a field stays empty."""
    window = project.monitoring.window
    return {
        "window": f"Empty: {f'the last {window:,} rows' if isinstance(window, int) else window}.",
        "since": "Empty: it ends now.",
    }


def _schedules(cron: str | None, project: Project) -> list[DeploymentScheduleCreate]:
    """Return a cron schedule, when there is one, in the project's time zone."""
    if cron is None:
        return []
    schedule = CronSchedule(cron=cron, timezone=project.schedule.timezone)
    return [DeploymentScheduleCreate(schedule=schedule, parameters={"reason": "scheduled"})]


def _one_at_a_time(project: Project) -> dict[str, Any]:
    """Return the limit of one training at a time, and what becomes of another that is started meanwhile."""
    busy = ConcurrencyLimitStrategy.CANCEL_NEW
    if project.schedule.when_busy == "queue":
        busy = ConcurrencyLimitStrategy.ENQUEUE
    return {"concurrency_limit": 1, "concurrency_options": ConcurrencyOptions(collision_strategy=busy)}


def _strategy(content: Mapping[str, Any]) -> ConcurrencyLimitStrategy | None:
    options: ConcurrencyOptions | None = content.get("concurrency_options")
    return options.collision_strategy if options else None


def _times(plan: DeploymentSchedule | DeploymentScheduleCreate) -> tuple[object, ...]:
    """Return what a schedule says, as far as a project file decides it."""
    times = plan.schedule
    return getattr(times, "cron", None), getattr(times, "timezone", None), plan.parameters
