"""`tiltyard serve`: the champion answers over HTTP."""

from typing import Annotated

import typer

from tiltyard.cli.options import ProjectsOption


def serve(
    *,
    project: ProjectsOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for every network.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that answer.")] = 1,
    poll_seconds: Annotated[float, typer.Option(min=0.1, help="Pause between two looks at the registry.")] = 1.0,
) -> None:
    """Serve the champions over HTTP; when another is promoted, swap to it without dropping a request.

    Examples:
      tiltyard serve
      tiltyard serve --port 9000 --workers 4
      TILTYARD_HOME=~/yard tiltyard serve --project churn --project fraud
      curl localhost:8080/v1/models/churn/predict -d '{"rows": [{"age": 41, "plan": "basic"}]}'
    """
    from tiltyard.cli.opening import find_projects
    from tiltyard.serving import server

    found = find_projects(project or ())
    gates = {project.name: project.gates for project, _ in found}
    files = {project.name: workplace.project_file for project, workplace in found}
    workplace = found[0][1]
    server.serve(gates, workplace, files=files, host=host, port=port, workers=workers, poll_seconds=poll_seconds)
