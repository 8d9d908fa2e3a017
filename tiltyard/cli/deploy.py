"""`tiltyard deploy`: schedules, forms and limits of a project's flows at Prefect, as the project file has them."""

from typing import TYPE_CHECKING, Annotated

import typer

from tiltyard.cli.options import HERE, JsonOption, ProjectsOption

if TYPE_CHECKING:
    from flows.deployments import Deployed


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
    from tiltyard.cli.opening import find_project, find_projects
    from tiltyard.cli.output import write_json
    from tiltyard.errors import UsageError

    if remove is not None and project is not None and len(project) > 1:
        raise UsageError("--remove takes one --project, whose Prefect server is meant", cure="Leave the others out.")
    found = find_projects(project or ()) if remove is None else (find_project((project or [HERE])[0]),)
    workplace = found[0][1]
    prepare(workplace)

    from flows import deployments

    if remove is None:
        done = deployments.deploy([place.project_file for _, place in found], alone=False)
    else:
        done = deployments.remove(remove, workplace)
    if json:
        write_json([each.model_dump(mode="json") for each in done])
    else:
        _show(done)


def _show(done: "tuple[Deployed, ...]") -> None:
    """Say what became of each deployment, and where it is."""
    from tiltyard.cli.output import say

    for each in done:
        plan = f"; starts by itself at {each.schedule}" if each.schedule else ""
        say(f"{each.name}: {each.change}{plan}")
        if each.change != "removed":
            say(f"  {each.url}")
