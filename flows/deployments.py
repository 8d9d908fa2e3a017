"""Deployments: the flows of a project as Prefect starts them, by schedule, from its form, or by an event."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags
from prefect.client.schemas.responses import DeploymentResponse
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound

from flows import retraining
from flows.automations import automations, keep_automations
from flows.orchestrator import PROCESS, TAG, api_of, connected, page
from flows.plan import HOME, Plan, job_variables, plans
from tiltyard.errors import ProjectError, UsageError, did_you_mean
from tiltyard.project.environment import Workplace
from tiltyard.project.loading import load_project, project_file_of
from tiltyard.project.model import Project
from tiltyard.project.section import Section
from tiltyard.stack.parts import POOL

_PAGE = 200
_TRAIN = "train/"

Change = Literal["created", "updated", "unchanged", "removed"]


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
    change: Change
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
    files = [project_file_of(file).resolve() for file in project_files]
    projects = {file: load_project(file) for file in files}
    _check_names(projects)
    place = Workplace(files[0])
    api = api_of(place)
    with connected(api) as client:
        variables = job_variables(_keep_pool(client), place.home)
        wanted = [plan for file, project in projects.items() for plan in plans(file, project, variables)]
        known = _read_all(client)
        kept = [_keep(client, api, plan, known.get(plan.name)) for plan in wanted]
        trained = {
            project.name: client.read_deployment_by_name(f"{_TRAIN}{project.name}").id for project in projects.values()
        }
        keep_automations(client, (*automations(), *(retraining.automation(*each) for each in trained.items())))
        names = {plan.name for plan in wanted}
        gone = [
            _remove(client, api, name, found)
            for name, found in known.items()
            if name not in names and _is_over(found, place.home, alone=alone)
        ]
    return (*kept, *gone)


def behind(project_file: Path) -> tuple[str, ...]:
    """Return the names of a project's deployments that are missing or not as the project file says.

    Args:
        project_file: The project file, or the folder that holds it.

    Raises:
        ProjectError: The project file is missing or wrong.
        OrchestrationError: Prefect cannot be reached, or refuses.
    """
    file = project_file_of(project_file).resolve()
    place = Workplace(file)
    with connected(api_of(place)) as client:
        try:
            kind = client.read_work_pool(POOL).type
        except ObjectNotFound:
            kind = PROCESS
        wanted = plans(file, load_project(file), job_variables(kind, place.home))
        found = {plan.name: _read(client, plan.name) for plan in wanted}
    return tuple(plan.name for plan in wanted if (known := found[plan.name]) is None or not plan.is_met_by(known))


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
        projects = {found.name for found in every.values()}
        if name not in projects:
            raise UsageError(f"no project `{name}` is deployed", where=api, cure=did_you_mean(name, projects))
        mine = {known: found for known, found in every.items() if found.name == name}
        return tuple(_remove(client, api, known, found) for known, found in mine.items())


def _check_names(projects: Mapping[Path, Project]) -> None:
    """Refuse two files of one name: their deployments would be one."""
    owners: dict[str, Path] = {}
    for file, project in projects.items():
        other = owners.setdefault(project.name, file)
        if other != file:
            what = f"the name `{project.name}` is that of {other} as well"
            raise UsageError(what, where=str(file), cure="Give each project its own `name`.")


def _keep_pool(client: SyncPrefectClient) -> str:
    """Make the work pool when it is missing, and return its type; another type than ours is somebody's choice."""
    try:
        return client.read_work_pool(POOL).type
    except ObjectNotFound:
        pool = WorkPoolCreate(name=POOL, type=PROCESS, description="Runs of Tiltyard's flows.")
        with contextlib.suppress(ObjectAlreadyExists):  # somebody else made it at the same moment
            client.create_work_pool(pool)
        return client.read_work_pool(POOL).type


def _keep(client: SyncPrefectClient, api: str, plan: Plan, known: DeploymentResponse | None) -> Deployed:
    """Make one deployment, or change it when it differs from what it is to be."""
    found = known or _read(client, plan.name)
    change: Change = "updated" if found else "created"
    if found is not None and plan.is_met_by(found):
        change, identity = "unchanged", found.id
    else:
        content = dict(plan.content)
        if found is not None and found.schedules and not any(schedule.active for schedule in found.schedules):
            content["schedules"] = [each.model_copy(update={"active": False}) for each in content["schedules"]]
        identity = client.create_deployment(client.create_flow_from_name(plan.flow), **content)
    return Deployed(
        name=plan.name,
        project=plan.content["name"],
        change=change,
        schedule=plan.schedule,
        url=page(api, f"deployments/deployment/{identity}"),
    )


def _read(client: SyncPrefectClient, name: str) -> DeploymentResponse | None:
    """Return a deployment that somebody else made under this name, without our tag."""
    try:
        return client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None


def _read_all(client: SyncPrefectClient) -> dict[str, DeploymentResponse]:
    """Return every deployment of Tiltyard's at the server, by its name with that of the flow."""
    mine = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    every: list[DeploymentResponse] = []
    while True:
        some = client.read_deployments(deployment_filter=mine, limit=_PAGE, offset=len(every))
        every += some
        if len(some) < _PAGE:
            break
    flows = {identity: client.read_flow(identity).name for identity in {found.flow_id for found in every}}
    return {f"{flows[found.flow_id]}/{found.name}": found for found in every}


def _is_over(found: DeploymentResponse, home: Path, *, alone: bool) -> bool:
    """Whether a deployment is of this home, and of a project that is no more: not given, gone, or renamed."""
    if found.job_variables.get("env", {}).get(HOME) != str(home):
        return False
    if alone:
        return True
    try:
        return load_project(Path(str(found.parameters.get("project")))).name != found.name
    except ProjectError:
        return True


def _remove(client: SyncPrefectClient, api: str, name: str, found: DeploymentResponse) -> Deployed:
    """Delete a deployment, and what would start it; that it is gone already is as good."""
    for starter in client.read_automations_by_name(retraining.name_of(found.name)) if name.startswith(_TRAIN) else ():
        client.delete_automation(starter.id)
    with contextlib.suppress(ObjectNotFound):
        client.delete_deployment(found.id)
    return Deployed(name=name, project=found.name, change="removed", url=page(api, "deployments"))
