"""Deployments: the flows of a project as Prefect starts them, by schedule, from its form, or by an event."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate, WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.objects import ConcurrencyLimitStrategy, ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

import tiltyard
from flows.automations import keep_automations
from flows.form import form
from flows.orchestrator import TAG, api_of, connected, page
from flows.scoring import score
from flows.training import train
from tiltyard.errors import UsageError, did_you_mean
from tiltyard.project.environment import Workplace
from tiltyard.project.loading import PROJECT_FILE, load_project
from tiltyard.project.model import Project
from tiltyard.project.section import Section

POOL = "tiltyard"
"""Work pool of all deployments."""

RUN_SETTINGS = {
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    "PREFECT_CLIENT_MAX_RETRIES": "8",
    "PREFECT_LOGGING_LEVEL": "INFO",
    "PREFECT_LOGGING_TO_API_ENABLED": "true",
    "DO_NOT_TRACK": "true",
}
"""Environment of every run: a sign of life each 30 s, patience (some eight minutes) with a server that restarts, and
its log in the UI."""

_HOME = "TILTYARD_HOME"
_PAGE = 200


class Deployed(Section):
    """One deployment after `deploy` or `remove`.

    Attributes:
        name: Its name at Prefect, flow and project, such as `train/churn`.
        project: Name of the project.
        change: What became of it.
        schedule: When it starts by itself, in words; None when it does not.
        url: Its page in Prefect's UI.
    """

    name: str
    project: str
    change: Literal["created", "updated", "unchanged", "removed"]
    schedule: str | None = None
    url: str


def deploy(project_files: Sequence[Path], *, alone: bool = True) -> tuple[Deployed, ...]:
    """Bring Prefect's deployments into agreement with the project files; doing it again changes nothing.

    Args:
        project_files: Project files, or the folders that hold them; all of one home.
        alone: Whether these are all the projects of their home, so that the deployments of others are removed.

    Returns:
        What was made, changed, left as it was, or removed.

    Raises:
        ProjectError: A project file is missing or wrong.
        OrchestrationError: Prefect cannot be reached, or refuses.
        UsageError: Two projects have one name.
    """
    files = [(file / PROJECT_FILE if file.is_dir() else file).resolve() for file in project_files]
    projects = {file: load_project(file) for file in files}
    _check_names(projects)
    place = Workplace(files[0])
    api = api_of(place)
    with connected(api) as client:
        _keep_pool(client)
        keep_automations(client)
        known = {_name(client, found): found for found in _read_all(client)}
        kept = [_keep(client, api, wanted, known) for file in files for wanted in _wanted(file, projects[file])]
        names = {deployed.name for deployed in kept}
        gone = [
            _remove(client, api, name, found)
            for name, found in known.items()
            if name not in names and _is_over(found, place.home, alone=alone)
        ]
    return (*kept, *gone)


def remove(name: str, workplace: Workplace) -> tuple[Deployed, ...]:
    """Remove the deployments of a project; its runs and models stay.

    Args:
        name: Name of the project.
        workplace: Whose Prefect server is meant.

    Raises:
        OrchestrationError: Prefect cannot be reached, or refuses.
        UsageError: There is no deployment of such a project.
    """
    api = api_of(workplace)
    with connected(api) as client:
        every = _read_all(client)
        if name not in {found.name for found in every}:
            cure = did_you_mean(name, {found.name for found in every})
            raise UsageError(f"no project `{name}` is deployed", where=api, cure=cure)
        return tuple(_remove(client, api, _name(client, found), found) for found in every if found.name == name)


def behind(project_file: Path) -> tuple[str, ...]:
    """Return the names of a project's deployments that are missing, or not as its file has them; change nothing.

    Args:
        project_file: The project file, or the folder that holds it.

    Raises:
        ProjectError: The project file is missing or wrong.
        OrchestrationError: Prefect cannot be reached, or refuses.
    """
    file = (project_file / PROJECT_FILE if project_file.is_dir() else project_file).resolve()
    project = load_project(file)
    with connected(api_of(Workplace(file))) as client:
        every = {f"{wanted['flow']}/{project.name}": wanted for wanted in _wanted(file, project)}
        found = {name: _read(client, name) for name in every}
    return tuple(
        name for name, wanted in every.items() if (known := found[name]) is None or _content(known) != _asked(wanted)
    )


def _check_names(projects: Mapping[Path, Project]) -> None:
    """Refuse two files of one name: their deployments would be one."""
    owners: dict[str, Path] = {}
    for file, project in projects.items():
        other = owners.setdefault(project.name, file)
        if other != file:
            what = f"the name `{project.name}` is that of {other} as well"
            raise UsageError(what, where=str(file), cure="Give each project its own `name`.")


def _keep_pool(client: SyncPrefectClient) -> None:
    """Make the work pool when it is missing; whatever type it has otherwise is somebody's choice."""
    try:
        client.read_work_pool(POOL)
    except ObjectNotFound:
        description = "Runs of Tiltyard's flows."
        try:
            client.create_work_pool(WorkPoolCreate(name=POOL, type="process", description=description))
        except ObjectAlreadyExists:  # somebody else made it at the same moment
            return


def _wanted(file: Path, project: Project) -> tuple[dict[str, Any], ...]:
    """Return what a project's deployments are to be, as Prefect's client takes them."""
    fixed = {"project": str(file)}
    environment = RUN_SETTINGS | {_HOME: str(Workplace(file).home)}
    common: dict[str, Any] = {
        "name": project.name,
        "version": tiltyard.__version__,
        "tags": [TAG, project.name],
        "parameters": fixed,
        "work_pool_name": POOL,
        "enforce_parameter_schema": True,
        "job_variables": {"env": environment},
    }
    busy = ConcurrencyLimitStrategy.CANCEL_NEW
    if project.schedule.when_busy == "queue":
        busy = ConcurrencyLimitStrategy.ENQUEUE
    training = {
        "flow": train.name,
        "entrypoint": "flows.training.train",
        "description": _describe("Train a challenger, judge it against the champion, promote it if it wins.", project),
        "parameter_openapi_schema": form(train, fixed=fixed, hints=_hints(project)),
        "schedules": _schedules(project),
        "concurrency_limit": 1,
        "concurrency_options": ConcurrencyOptions(collision_strategy=busy),
    }
    scoring = {
        "flow": score.name,
        "entrypoint": "flows.scoring.score",
        "description": _describe("Predict every row of a table with the champion.", project),
        "parameter_openapi_schema": form(score, fixed=fixed),
        "schedules": [],
    }
    return common | training, common | scoring


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


def _schedules(project: Project) -> list[DeploymentScheduleCreate]:
    """Return the project's cron schedule, when it has one."""
    plan = project.schedule
    if plan.cron is None:
        return []
    cron = CronSchedule(cron=plan.cron, timezone=plan.timezone)
    return [DeploymentScheduleCreate(schedule=cron, parameters={"reason": "scheduled"})]


def _keep(
    client: SyncPrefectClient, api: str, wanted: Mapping[str, Any], known: Mapping[str, DeploymentResponse]
) -> Deployed:
    """Make one deployment, or change it when it differs from what is wanted."""
    flow = wanted["flow"]
    name = f"{flow}/{wanted['name']}"
    found = known.get(name) or _read(client, name)
    change: Literal["created", "updated", "unchanged"] = "updated" if found else "created"
    if found is not None and _content(found) == _asked(wanted):
        change, identity = "unchanged", found.id
    else:
        content = {key: value for key, value in wanted.items() if key != "flow"}
        if found is not None and found.schedules and not any(schedule.active for schedule in found.schedules):
            content["schedules"] = [plan.model_copy(update={"active": False}) for plan in wanted["schedules"]]
        identity = client.create_deployment(client.create_flow_from_name(flow), **content)
    plans = [f"{plan.schedule.cron} ({plan.schedule.timezone})" for plan in wanted["schedules"]]
    return Deployed(
        name=name,
        project=wanted["name"],
        change=change,
        schedule=", ".join(plans) or None,
        url=page(api, f"deployments/deployment/{identity}"),
    )


def _asked(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is wanted in the form of `_content`."""
    options = wanted.get("concurrency_options")
    return {
        "version": wanted["version"],
        "description": wanted["description"],
        "tags": sorted(wanted["tags"]),
        "parameters": wanted["parameters"],
        "entrypoint": wanted["entrypoint"],
        "pool": wanted["work_pool_name"],
        "schema": wanted["parameter_openapi_schema"],
        "enforced": wanted["enforce_parameter_schema"],
        "variables": wanted["job_variables"],
        "limit": wanted.get("concurrency_limit"),
        "busy": options.collision_strategy if options else None,
        "schedules": [_plan(plan) for plan in wanted["schedules"]],
    }


def _content(found: DeploymentResponse) -> dict[str, Any]:
    """Return what a deployment is now, as far as a project file decides it; a schedule that is paused stays so."""
    limit, options = found.global_concurrency_limit, found.concurrency_options
    return {
        "version": found.version,
        "description": found.description,
        "tags": sorted(found.tags),
        "parameters": found.parameters,
        "entrypoint": found.entrypoint,
        "pool": found.work_pool_name,
        "schema": found.parameter_openapi_schema,
        "enforced": found.enforce_parameter_schema,
        "variables": found.job_variables,
        "limit": limit.limit if limit else None,
        "busy": options.collision_strategy if options else None,
        "schedules": [_plan(plan) for plan in found.schedules],
    }


def _plan(plan: Any) -> tuple[str | None, str | None, dict[str, Any]]:
    return getattr(plan.schedule, "cron", None), plan.schedule.timezone, plan.parameters


def _read(client: SyncPrefectClient, name: str) -> DeploymentResponse | None:
    """Return a deployment that somebody else made under this name, such as `prefect deploy`."""
    try:
        return client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None


def _read_all(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """Return every deployment of Tiltyard's at the server."""
    mine = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    every: list[DeploymentResponse] = []
    while True:
        some = client.read_deployments(deployment_filter=mine, limit=_PAGE, offset=len(every))
        every += some
        if len(some) < _PAGE:
            return every


def _name(client: SyncPrefectClient, found: DeploymentResponse) -> str:
    return f"{client.read_flow(found.flow_id).name}/{found.name}"


def _is_over(found: DeploymentResponse, home: Path, *, alone: bool) -> bool:
    """Whether a deployment of this home is of a project that is no more: not given, gone, or of another name now."""
    if found.job_variables.get("env", {}).get(_HOME) != str(home):
        return False
    file = Path(str(found.parameters.get("project", "")))
    return alone or not file.exists() or load_project(file).name != found.name


def _remove(client: SyncPrefectClient, api: str, name: str, found: DeploymentResponse) -> Deployed:
    """Delete a deployment; that it is gone already is as good."""
    with contextlib.suppress(ObjectNotFound):
        client.delete_deployment(found.id)
    return Deployed(name=name, project=found.name, change="removed", url=page(api, "deployments"))
