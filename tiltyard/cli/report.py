"""`tiltyard report`: the page about the last check."""

from typing import Annotated

import typer

from tiltyard.cli.options import HERE, ProjectOption


def report(
    *,
    project: ProjectOption = HERE,
    path: Annotated[bool, typer.Option("--path", help="Print the path of the page, and open nothing.")] = False,
) -> None:
    """Open the page about the check of the latest window: what, how sure, since when, what to do; pictures over time.

    Evidently's report is linked from it.

    Examples:
      tiltyard report
      tiltyard report --path
    """
    import webbrowser

    from tiltyard.cli.opening import find_project, find_store
    from tiltyard.cli.output import say
    from tiltyard.monitoring.shelf import latest_page

    found, workplace = find_project(project)
    page = latest_page(find_store(workplace), found.name, workplace.home / "reports")
    if path or not webbrowser.open(page.as_uri()):
        say(str(page))
