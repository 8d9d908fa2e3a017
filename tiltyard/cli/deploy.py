"""`tiltyard deploy`: schedules, forms and limits of a project's flows at Prefect, as the project file has them."""

from typing import TYPE_CHECKING, Annotated

import typer

from tiltyard.cli.options import HERE, JsonOption, ProjectsOption
from tiltyard.errors import UsageError

if TYPE_CHECKING:
    from flows.deployments import Deployed
    from tiltyard.project.environment import Workplace


def deploy(
    *,
    project: ProjectsOption = None,
    remove: Annotated[
        str | None, typer.Option("--remove", metavar="NAME", help="Remove the deployments of the project NAME instead.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Bring Prefect's deployments into agreement with the project file; doing it again changes nothing.

    They start training and scoring by schedule, from the form in Prefect's UI, or by an event. `tiltyard up` does the
    same by itself.

    Examples:
      tiltyard deploy
      tiltyard deploy --remove churn
      PREFECT_API_URL=https://prefect.example/api tiltyard deploy --project churn --json
    """
    from flows.local import prepare
    from tiltyard.cli.opening import find_projects
    from tiltyard.cli.output import write_json
    from tiltyard.project.environment import Workplace

    files = [place.project_file for _, place in find_projects(project or ())] if remove is None else []
    workplace = Workplace(files[0]) if files else _without_reading(project)
    prepare(workplace)

    from flows import deployments

    done = deployments.deploy(files, alone=False) if remove is None else deployments.remove(remove, workplace)
    if json:
        write_json([each.model_dump(mode="json") for each in done])
    else:
        _show(done)


def _without_reading(project: ProjectsOption) -> "Workplace":
    """Return the place whose Prefect server is meant; the project file may be gone already."""
    from tiltyard.project.environment import Workplace
    from tiltyard.project.loading import project_file_of

    if project is not None and len(project) > 1:
        raise UsageError("--remove takes one --project, whose Prefect server is meant", cure="Leave the others out.")
    path = project[0] if project else HERE
    return Workplace(project_file_of(path))


def _show(done: "tuple[Deployed, ...]") -> None:
    """Say what became of each deployment, and where it is."""
    from tiltyard.cli.output import say

    for each in done:
        plan = f"; starts by itself at {each.schedule}" if each.schedule else ""
        say(f"{each.name}: {each.change}{plan}")
        if each.change != "removed":
            say(f"  {each.url}")
