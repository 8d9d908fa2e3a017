"""`tiltyard doctor`: what is missing or misconfigured, and what to do about it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tiltyard.cli.options import HERE, JsonOption, ProjectOption

if TYPE_CHECKING:
    from tiltyard.project.diagnosis import Diagnosis
    from tiltyard.project.environment import Workplace

    Check = tuple[str, Callable[[], Iterator[Diagnosis]]]

_WIDTH = 16


def doctor(*, project: ProjectOption = HERE, json: JsonOption = False) -> None:
    """Look for what is missing or misconfigured, here and at every server in force, and say what to do about it.

    Ends with 1 when something is wrong. What only deserves a look does not count as wrong.

    Examples:
      tiltyard doctor
      tiltyard doctor --project churn/ --json
    """
    from tiltyard.cli.output import write_json
    from tiltyard.project.diagnosis import diagnosed

    found = []
    for subject, check in _checks(project):
        for diagnosis in diagnosed(subject, check):
            found.append(diagnosis)
            if not json:
                _show(diagnosis)
    if json:
        write_json([diagnosis.model_dump() for diagnosis in found])
    else:
        _conclude(found)
    if any(diagnosis.level == "wrong" for diagnosis in found):
        raise typer.Exit(1)


def _checks(path: Path) -> "Iterator[Check]":
    """Yield all checks, from the ground up: the machine, the project, then what it is run with."""
    from tiltyard.project import machine
    from tiltyard.project.environment import Workplace
    from tiltyard.project.loading import project_file_of

    file = project_file_of(path).resolve()
    workplace = Workplace(file)
    yield "python", machine.check_python
    yield "packages", machine.check_packages
    yield "home", partial(machine.check_home, workplace.home)
    yield "disk", partial(machine.check_disk, workplace.home)
    if file.exists() or path != HERE:
        yield from _checks_of_project(file, workplace)
    else:
        yield "project", _no_project
    yield from _checks_of_servers(workplace)


def _checks_of_servers(workplace: "Workplace") -> "Iterator[Check]":
    """Yield what needs no project."""
    from tiltyard.notification.diagnosis import check_channels
    from tiltyard.stack.diagnosis import check_stack

    yield "notification", partial(check_channels, workplace.environment)
    yield "stack", partial(check_stack, workplace.home)
    if workplace.prefect_api is None:
        yield "prefect", _no_prefect
        return
    from flows.local import prepare

    prepare(workplace)

    from flows.diagnosis import check_prefect

    yield "prefect", partial(check_prefect, workplace)


def _checks_of_project(file: Path, workplace: "Workplace") -> "Iterator[Check]":
    """Yield what needs the project; where it cannot be loaded, the rest would only say so again."""
    from tiltyard.errors import TiltyardError
    from tiltyard.project.loading import load_project
    from tiltyard.steps.diagnosis import check_project

    yield "project", partial(check_project, file)
    try:
        name = load_project(file).name
    except TiltyardError:
        return
    yield from _checks_of_records(name, workplace)
    if workplace.prefect_api is not None:
        from flows.diagnosis import check_deployments

        yield "deployments", partial(check_deployments, file)


def _checks_of_records(name: str, workplace: "Workplace") -> "Iterator[Check]":
    """Yield what is about store, ledger and MLflow."""
    from tiltyard.registry.diagnosis import check_ledger, check_mlflow, check_webhook
    from tiltyard.registry.ledger import Ledger
    from tiltyard.serving.hooks import HOOK
    from tiltyard.storage.diagnosis import check_store
    from tiltyard.storage.opening import open_store

    store = open_store(workplace.store, endpoint=workplace.environment.s3_endpoint, cache=workplace.cache)
    yield "store", partial(check_store, store, workplace.store)
    yield "ledger", partial(check_ledger, Ledger(store, name))
    yield "mlflow", partial(check_mlflow, workplace, Ledger(store, name))
    stack = workplace.stack
    if stack is not None and workplace.tracking_uri == stack.mlflow and not stack.certificate:
        yield "webhook", partial(check_webhook, workplace, stack.server + HOOK)


def _no_project() -> "Iterator[Diagnosis]":
    from tiltyard.project.diagnosis import doubtful

    cure = "`tiltyard init data.csv --target COLUMN` makes one; `--project` names one elsewhere."
    yield doubtful("project", "There is none in this folder.", cure)


def _no_prefect() -> "Iterator[Diagnosis]":
    from tiltyard.project.diagnosis import fine

    yield fine("prefect", "No server is known: each run starts a temporary one. `tiltyard up` starts one to stay.")


def _show(diagnosis: "Diagnosis") -> None:
    """Print one line, and its cure below it."""
    from tiltyard.cli.output import say

    style = "" if diagnosis.level == "ok" else diagnosis.level
    say(f"{diagnosis.level:<6} {diagnosis.subject:<{_WIDTH}} {diagnosis.sentence}", style=style)
    if diagnosis.cure:
        say(f"{'':<6} {'':<{_WIDTH}} {diagnosis.cure}")


def _conclude(found: "Sequence[Diagnosis]") -> None:
    """Say how many things want attention."""
    from tiltyard.cli.output import say

    wrong = sum(diagnosis.level == "wrong" for diagnosis in found)
    doubtful = sum(diagnosis.level == "warn" for diagnosis in found)
    if wrong:
        say(f"Wrong: {wrong}. Worth a look: {doubtful}.", style="wrong")
    else:
        say(f"Nothing is wrong. Worth a look: {doubtful}." if doubtful else "All is well.")
