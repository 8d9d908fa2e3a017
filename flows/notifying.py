"""Telling people from a flow, and when one fails; what cannot be told goes to the run's log."""

from pathlib import Path
from typing import Any

from prefect import Flow, get_run_logger
from prefect.client.schemas.objects import FlowRun, State
from prefect.logging.loggers import flow_run_logger
from prefect.settings import PREFECT_API_URL

from flows.local import is_temporary
from flows.orchestrator import page
from tiltyard.errors import TiltyardError
from tiltyard.notification.notice import Notice
from tiltyard.project.environment import Workplace
from tiltyard.project.loading import load_project, project_file_of
from tiltyard.steps import notifying


def tell(workplace: Workplace, notice: Notice | None) -> None:
    """Tell people something that a flow came to; nothing when there is nothing to tell.

    Args:
        workplace: The folders and addresses in force.
        notice: What they are to know.
    """
    for problem in notifying.tell(workplace, notice) if notice else ():
        get_run_logger().warning(problem)


def tell_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Tell people that a run failed or crashed, as a hook of its flow.

    Args:
        flow: The flow.
        flow_run: Its run, which has the parameter `project`.
        state: The state that it ended in.
    """
    file = project_file_of(Path(str(flow_run.parameters.get("project", ""))))
    try:
        name = load_project(file).name
    except TiltyardError:  # which is perhaps why it failed
        name = file.parent.name
    log = flow_run_logger(flow_run, flow)
    try:
        message = state.message or f"The run ended as {state.name}."
        problems = notifying.tell(Workplace(file), notifying.failure_notice(name, message, page_of(str(flow_run.id))))
    except TiltyardError as error:
        problems = (str(error),)
    for problem in problems:
        log.warning(problem)


def page_of(run: str) -> str:
    """Return the address of a run's page in Prefect's UI; empty when its server is a temporary one."""
    api = PREFECT_API_URL.value()
    return page(api, f"runs/flow-run/{run}") if api and not is_temporary(api) else ""
