"""How a flow run ends when it fails: in a state whose message says which step, why, and what to do."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect.client.schemas.objects import State
from prefect.states import Failed

from tiltyard.errors import TiltyardError

P = ParamSpec("P")
R = TypeVar("R")


def explained(work: Callable[P, R]) -> Callable[P, R]:
    """Let a failure that a person can cure end the flow run with its sentence, without Python's words around it.

    Who calls the flow gets the error itself, as if it had been raised.
    """

    @functools.wraps(work)
    def flow(*arguments: P.args, **options: P.kwargs) -> R | State[Any]:
        try:
            return work(*arguments, **options)
        except TiltyardError as error:
            return Failed(message=told(error), data=error)

    return flow  # type: ignore[return-value]  # Prefect turns a returned state into its result, or raises its error


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
