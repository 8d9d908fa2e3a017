"""What every step has in common as a Prefect task: kept results, and retries where the outside world is touched."""

import functools
import hashlib
import json
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import Task, task
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from pydantic_core import to_jsonable_python

from tiltyard.errors import AbsentError, ConflictError, RegistryError, StorageError
from tiltyard.steps.run import TrainingRun

P = ParamSpec("P")
R = TypeVar("R")

_RETRY_SECONDS = [1.0, 3.0, 10.0]


def step(name: str, *, outside: bool = False, keep: bool = True) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task of a step.

    Args:
        name: Name in the Prefect UI.
        outside: Whether it touches MLflow or the object store, so that a failure there is tried again.
        keep: Whether its result can be kept for the same run; not so for what the world may have changed since.
    """
    options: dict[str, Any] = {"name": name, "persist_result": keep}
    if keep:
        options |= {"cache_key_fn": _key, "result_serializer": "json"}
    if outside:
        options |= {
            "retries": len(_RETRY_SECONDS),
            "retry_delay_seconds": _RETRY_SECONDS,
            "retry_jitter_factor": 0.5,
            "retry_condition_fn": _worth_a_retry,
        }

    def as_task(work: Callable[P, R]) -> Task[P, R]:
        return task(**options)(_explained(work))

    return as_task


def _explained(work: Callable[P, R]) -> Callable[P, R]:
    """Say in a sentence that a disk is full or a folder is read-only, wherever a step meets it."""

    @functools.wraps(work)
    def explained(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return work(*arguments, **options)
        except OSError as error:
            raise StorageError(
                f"the run's folder cannot be written or read ({error.strerror or error})",
                where=str(error.filename or ""),
                cure="Free the disk or mend its rights, and start the run again: it goes on where it was.",
            ) from error

    return explained


def kept(work: Task[P, R], run: TrainingRun) -> Task[P, R]:
    """Bind a step to its run: what it returned for the same arguments is kept in the run's folder and used again."""
    folder = run.folder / "steps"
    folder.mkdir(parents=True, exist_ok=True)
    return work.with_options(result_storage=folder)


def _key(context: TaskRunContext, arguments: dict[str, Any]) -> str:
    """Name a step's result by its arguments; those that are part of the run are in the folder's name already."""
    own = {name: to_jsonable_python(value) for name, value in arguments.items() if name != "run"}
    content = json.dumps(own, sort_keys=True)
    return f"{context.task.fn.__name__}-{hashlib.sha256(content.encode()).hexdigest()[:16]}"


def _worth_a_retry(_task: object, _run: object, state: State[Any]) -> bool:
    """Retry what may pass: an unreachable registry or store, but never a lost race or a wrong input."""
    passing = isinstance(state.data, RegistryError | StorageError)
    return passing and not isinstance(state.data, ConflictError | AbsentError)
