"""MLflow's scoring protocol."""

from tiltyard.errors import TiltyardError
from tiltyard.serving.answers import Answer, Headers, RequestError, error_answer
from tiltyard.serving.requests import Request
from tiltyard.serving.slots import Served


def answer(served: Served, request: Request) -> Answer:  # noqa: ARG001
    """Answer a request."""
    raise RequestError.of(404, "there is nothing here")


def refusal(error: TiltyardError, headers: Headers = ()) -> Answer:
    """Return the answer of a failure in the shape of this protocol."""
    return error_answer(error, headers)
