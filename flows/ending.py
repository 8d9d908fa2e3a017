"""How a flow run ends: in a state that says what came of it, or which step failed, why, and what to do."""

import functools
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed

from tiltyard.errors import TiltyardError

P = ParamSpec("P")
R = TypeVar("R")


def _worth_a_line(record: logging.LogRecord) -> bool:
    """Leave out of a run's log the error that its state has told already; Prefect repeats it with a traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], TiltyardError))


logging.getLogger("prefect.flow_runs").addFilter(_worth_a_line)


def explained(said: Callable[[R], str]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let a flow run end in a state that says how, for the people who look at it in Prefect's UI.

    A failure that a person can cure ends it with its sentence, without Python's words around it. Who calls the flow
    gets what it returned, or the error itself, as if there were no states.

    Args:
        said: Says what was returned.
    """

    def wrapped(work: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(work)
        def flow(*arguments: P.args, **options: P.kwargs) -> State[Any]:
            try:
                outcome = work(*arguments, **options)
            except TiltyardError as error:
                return Failed(message=told(error), data=error)
            return Completed(message=said(outcome), data=outcome)

        return flow  # type: ignore[return-value]  # Prefect turns a returned state into its data, or raises its error

    return wrapped


def told(error: TiltyardError) -> str:
    """Say a failure, and at which step it came.

    Example:
        >>> error = TiltyardError("there is no column 'age'", where="data.csv")
        >>> error.add_note("Read the table")
        >>> told(error)
        "At the step “Read the table”: data.csv: there is no column 'age'."
    """
    steps = getattr(error, "__notes__", ())
    return f"At the step “{steps[0]}”: {error}" if steps else str(error)
