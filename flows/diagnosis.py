"""Does Prefect answer, is there a worker, and are the deployments those of the project file?"""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import WorkerStatus
from prefect.exceptions import ObjectNotFound

from flows.deployments import behind
from flows.orchestrator import connected
from tiltyard.project.diagnosis import Diagnosis, doubtful, fine, wrong
from tiltyard.project.environment import Workplace
from tiltyard.stack.parts import POOL

_START = "Start one: `tiltyard up` on one machine, else `prefect worker start --pool tiltyard`."
_MOST_WORKERS = 200


def check_prefect(workplace: Workplace) -> Iterator[Diagnosis]:
    """See whether Prefect answers, and whether a worker would carry out a run.

    Args:
        workplace: Where Prefect is.

    Raises:
        OrchestrationError: It does not answer, or refuses.
    """
    api = workplace.prefect_api
    if api is None:
        yield fine("prefect", "No server is known: every run starts a temporary one. `tiltyard up` starts one to stay.")
        return
    with connected(api) as client:
        mine, theirs = importlib.metadata.version("prefect"), client.api_version()
        if mine == theirs:
            yield fine("prefect", f"{api} answers, version {mine}.")
        else:
            sentence = f"{api} answers with version {theirs}, and the client here is {mine}."
            yield doubtful("prefect", sentence, "Run one version on both sides.")
        yield from _check_workers(client)


def _check_workers(client: SyncPrefectClient) -> Iterator[Diagnosis]:
    """See whether somebody takes runs from the work pool."""
    try:
        pool = client.read_work_pool(POOL)
    except ObjectNotFound:
        yield wrong(
            "work pool", f"There is no work pool `{POOL}`.", "`tiltyard deploy` makes it, and so does `tiltyard up`."
        )
        return
    if pool.is_paused:
        yield wrong(
            "work pool", f"The work pool `{POOL}` is paused: no run starts.", f"`prefect work-pool resume {POOL}`."
        )
    else:
        yield fine("work pool", f"`{POOL}`, of type {pool.type}.")
    workers = client.read_workers_for_work_pool(POOL, limit=_MOST_WORKERS)
    online = sum(worker.status == WorkerStatus.ONLINE for worker in workers)
    if online:
        yield fine("worker", f"{online} online." if online > 1 else "One is online.")
    else:
        yield wrong("worker", f"None is online for `{POOL}`: runs wait.", _START)


def check_deployments(project_file: Path) -> Iterator[Diagnosis]:
    """See whether the deployments are those that the project file asks for.

    Args:
        project_file: The project file.

    Raises:
        OrchestrationError: Prefect does not answer, or refuses.
        ProjectError: The project file is missing or wrong.
    """
    late = behind(project_file)
    if late:
        sentence = f"{', '.join(late)}: not deployed, or not as the project file has it now."
        yield doubtful("deployments", sentence, "`tiltyard deploy` puts the project file into force.")
    else:
        yield fine("deployments", "They are as the project file has it.")
