"""What every step has in common as a Prefect task: kept results, limits of time, retries, states people understand."""

import functools
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, ParamSpec, TypeVar

from prefect import Task, task
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.states import Failed, get_state_exception
from prefect.transactions import get_transaction
from pydantic_core import to_jsonable_python

from tiltyard.errors import (
    AbsentError,
    ConflictError,
    DataError,
    OverdueError,
    RegistryError,
    StorageError,
    TiltyardError,
)
from tiltyard.steps.run import Assignment, TrainingRun

P = ParamSpec("P")
R = TypeVar("R")

Minutes = float | Callable[[TrainingRun], float]
"""Longest time of a step: always the same, or by what its run has to do."""

_FLOW_RUNS = "flow-runs"
"""Folder of the home with what is kept by flow run."""

_RETRY_SECONDS = [1.0, 3.0, 10.0]


@dataclass(frozen=True)
class Step(Generic[P, R]):
    """A step as a Prefect task; called like the step itself.

    Attributes:
        task: The task.
        minutes: Longest time it may take.
    """

    task: Task[P, R | State[Any]]
    minutes: Minutes

    def __call__(self, *arguments: P.args, **options: P.kwargs) -> R:
        """Run the step as a task of the flow run.

        Raises:
            TiltyardError: It failed, or took too long; carries the step's name as a note.
        """
        try:
            result = self.task(*arguments, **options)
        except TimeoutError as error:
            overdue = OverdueError(
                f"the step took longer than {_duration(self.task.timeout_seconds or 0.0)}, and was ended",
                cure="Look what holds it up (the log, the machine), and start the run again: what is done is kept.",
            )
            overdue.add_note(self.task.name)
            raise overdue from error
        if isinstance(result, State):
            failure = get_state_exception(result, _sync=True)  # type: ignore[call-arg]  # Prefect's own switch
            assert isinstance(failure, BaseException)
            failure.add_note(self.task.name)
            raise failure
        return result


def step(
    name: str, *, minutes: Minutes, outside: bool = False, keep: bool = True
) -> Callable[[Callable[P, R]], Step[P, R]]:
    """Make a task of a step.

    Args:
        name: Name in the Prefect UI.
        minutes: Longest time it may take; generous, because it ends what hangs and not what works.
        outside: Whether it touches MLflow or the object store, so that a failure there is tried again.
        keep: Whether its result can be kept for the same run; not so for what the world may have changed since.
    """
    options: dict[str, Any] = {"name": name, "task_run_name": name, "persist_result": keep}
    if not callable(minutes):
        options["timeout_seconds"] = 60 * minutes
    if keep:
        options |= {"cache_key_fn": _key, "result_serializer": "json"}
    if outside:
        options |= {
            "retries": len(_RETRY_SECONDS),
            "retry_delay_seconds": _RETRY_SECONDS,
            "retry_jitter_factor": 0.5,
            "retry_condition_fn": _worth_a_retry,
        }

    def as_step(work: Callable[P, R]) -> Step[P, R]:
        return Step(task(**options)(_explained(work)), minutes)

    return as_step


def kept(work: Step[P, R], run: TrainingRun) -> Step[P, R]:
    """Bind a step to its run: what it returned for the same arguments is kept in the run's folder and used again."""
    bound: dict[str, Any] = {"result_storage": _made(run.folder / "steps")}
    if callable(work.minutes):
        bound["timeout_seconds"] = 60 * work.minutes(run)
    return replace(work, task=work.task.with_options(**bound))


def kept_for(work: Step[P, R], assignment: Assignment, flow_run: str) -> Step[P, R]:
    """Bind a step to a flow run: when that is retried or resumed, it goes on with what the step returned before.

    Args:
        work: The step; its only argument is the assignment.
        assignment: What is to be done; what concerns its rows is part of the key.
        flow_run: Id of the flow run.
    """
    rows = to_jsonable_python((assignment.project.data, assignment.reviewed, assignment.as_of))
    key = f"{flow_run}-{_digest(rows)}"
    folder = _made(assignment.workplace.home / _FLOW_RUNS)
    bound = work.task.with_options(
        persist_result=True, result_serializer="json", result_storage=folder, cache_key_fn=lambda *_: key
    )
    return replace(work, task=bound)


@contextmanager
def read_anew_when_wrong(assignment: Assignment, flow_run: str) -> Iterator[None]:
    """Forget what `kept_for` keeps when it turns out to be wrong: who mends a table and tries again means the new one.

    Args:
        assignment: What is to be done.
        flow_run: Id of the flow run.
    """
    try:
        yield
    except DataError:
        for file in (assignment.workplace.home / _FLOW_RUNS).glob(f"{flow_run}-*"):
            file.unlink(missing_ok=True)
        raise


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _explained(work: Callable[P, R]) -> Callable[P, R | State[Any]]:
    """Let a failure that a person can cure end the task in a state that says it, without Python's words around it."""

    @functools.wraps(work)
    def explained(*arguments: P.args, **options: P.kwargs) -> R | State[Any]:
        try:
            return work(*arguments, **options)
        except TiltyardError as error:
            return _failed(error)
        except OSError as error:
            return _failed(
                StorageError(
                    f"the run's folder cannot be written or read ({error.strerror or error})",
                    where=str(error.filename or ""),
                    cure="Free the disk or mend its rights, and start the run again: it goes on where it was.",
                )
            )

    return explained


def _failed(error: TiltyardError) -> State[Any]:
    """Return the state of a failed task; nothing of it is kept."""
    transaction = get_transaction()
    if transaction is not None:
        transaction.write_on_commit = False
    return Failed(message=str(error), data=error)


def _key(context: TaskRunContext, arguments: dict[str, Any]) -> str:
    """Name a step's result by its arguments; those that are part of the run are in the folder's name already."""
    own = {name: to_jsonable_python(value) for name, value in arguments.items() if name != "run"}
    return f"{context.task.fn.__name__}-{_digest(own)}"


def _digest(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _worth_a_retry(_task: object, _run: object, state: State[Any]) -> bool:
    """Retry what may pass: an unreachable registry or store, but never a lost race or a wrong input."""
    passing = isinstance(state.data, RegistryError | StorageError)
    return passing and not isinstance(state.data, ConflictError | AbsentError)


def _duration(seconds: float) -> str:
    """Write a limit of time.

    Example:
        >>> _duration(0.3), _duration(1800), _duration(7200)
        ('0.3 seconds', '30 minutes', '2 hours')
    """
    if seconds < 120:
        return f"{seconds:g} seconds"
    return f"{seconds / 60:g} minutes" if seconds < 7200 else f"{seconds / 3600:g} hours"
