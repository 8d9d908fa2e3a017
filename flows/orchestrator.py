"""The Prefect server as flows and commands reach it, and what is said when it cannot be reached."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect import tags
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.temporary import TemporaryServer
from tiltyard.errors import OrchestrationError
from tiltyard.project.environment import Workplace

TAG = "tiltyard"
"""Tag of everything at Prefect that is Tiltyard's."""

PROCESS = "process"
"""Type of a work pool whose workers start a process for each run; what `deploy` makes when there is no pool."""

_UNREACHED = "Failed to reach API"


def api_of(workplace: Workplace) -> str:
    """Return the address of Prefect's API in force.

    Raises:
        OrchestrationError: No Prefect server is known.
    """
    if workplace.prefect_api is None:
        raise OrchestrationError(
            f"no Prefect server is known to {workplace.project_file}",
            cure="Start one with `tiltyard up`, or name one by PREFECT_API_URL.",
        )
    return workplace.prefect_api


@contextmanager
def connected(api: str) -> Iterator[SyncPrefectClient]:
    """Talk to a Prefect server.

    Args:
        api: Address of its API, ending in `/api`.

    Raises:
        OrchestrationError: It cannot be reached, or refuses.
    """
    with _explained(api), temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        yield client


@contextmanager
def using(server: TemporaryServer | None) -> Iterator[None]:
    """Let the runs that start within the block use a temporary server.

    Args:
        server: The server, waited for first; None for the one that Prefect's own settings name.

    Raises:
        OrchestrationError: It does not start, or the one named does not answer.
    """
    if server is None:
        with _explained(PREFECT_API_URL.value() or ""):
            yield
        return
    server.wait()
    with _explained(server.api), temporary_settings({PREFECT_API_URL: server.api}):
        yield


@contextmanager
def tagged(project: str) -> Iterator[None]:
    """Give the runs that start within the block the tags that those of the project's deployments have.

    Args:
        project: Name of the project.
    """
    with tags(TAG, project):
        yield


def page(api: str, path: str) -> str:
    """Return the address of a page in Prefect's UI.

    Example:
        >>> page("http://127.0.0.1:4200/api", "runs/flow-run/7")
        'http://127.0.0.1:4200/v2/runs/flow-run/7'
    """
    return f"{api.rstrip('/').removesuffix('/api')}/v2/{path}"


@contextmanager
def _explained(api: str) -> Iterator[None]:
    """Say in a sentence that a Prefect server cannot be reached, or refuses."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise OrchestrationError(f"Prefect refuses: {_reason(error)}", where=api, cure=_cure(error)) from error
    except (httpx.RequestError, PrefectException) as error:
        raise _unanswered(api, type(error).__name__) from error
    except RuntimeError as error:  # of Prefect's look at the server's version, before a run begins
        if not str(error).startswith(_UNREACHED):
            raise
        raise _unanswered(api, "it cannot be reached") from error


def _unanswered(api: str, reason: str) -> OrchestrationError:
    cure = "Look whether the server runs (`tiltyard status`), and whether PREFECT_API_URL is right."
    return OrchestrationError(f"Prefect does not answer ({reason})", where=api, cure=cure)


def _reason(error: httpx.HTTPStatusError) -> str:
    """Return what the server said, on one line."""
    try:
        said = error.response.json().get("detail") or error.response.reason_phrase
    except (ValueError, AttributeError):
        said = error.response.reason_phrase
    return " ".join(f"{error.response.status_code}, {said}".split())[:300]


def _cure(error: httpx.HTTPStatusError) -> str:
    if error.response.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
        return "Give the server's password by PREFECT_API_AUTH_STRING."
    return "Look whether the server's version fits this client's (`prefect version`)."
