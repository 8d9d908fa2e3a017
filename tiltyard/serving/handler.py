"""The handler: a request's bytes → an answer's bytes, a pure function beneath any transport.

Three protocols stand behind it; a path tells which is meant, and every failure has the shape of that protocol.
"""

from functools import lru_cache
from types import ModuleType

from tiltyard.errors import TiltyardError
from tiltyard.serving.answers import Answer, Headers, RequestError
from tiltyard.serving.compression import compressed, inflated
from tiltyard.serving.openapi import document
from tiltyard.serving.protocols import inference, invocations, own, page
from tiltyard.serving.requests import Request
from tiltyard.serving.slots import Served, Unloaded

_OF_MLFLOW = frozenset({"/invocations", "/ping", "/health", "/version"})
_DOCUMENTS = {document.PATH: document, page.PATH: page}


def handle(served: Served, request: Request) -> Answer:
    """Answer a request.

    Args:
        served: Slots, names and limits; read once, so that one version answers.
        request: Method, path, body.

    Returns:
        The answer; a failure that a client or an operator can cure is one, too.

    Raises:
        Unloaded: The model is not in memory; whoever can load it asks again.
    """
    protocol = protocol_of(request.path)
    try:
        answer: Answer = protocol.answer(served, inflated(request, served.limits.body_bytes))
    except Unloaded:
        raise
    except TiltyardError as error:
        return refuse(request.path, error)
    return compressed(answer, request)


def refuse(path: str, error: TiltyardError, headers: Headers = ()) -> Answer:
    """Return the answer of a failure in the shape of a path's protocol.

    Args:
        path: Path of the request.
        error: What went wrong.
        headers: Beside those that the error brings.
    """
    own_headers = error.headers if isinstance(error, RequestError) else ()
    answer: Answer = protocol_of(path).refusal(error, own_headers + headers)
    return answer


@lru_cache(maxsize=1024)
def protocol_of(path: str) -> ModuleType:
    """Return the protocol that a path belongs to: a module with `answer` and `refusal`."""
    if path == "/v2" or path.startswith("/v2/"):
        return inference
    if path in _OF_MLFLOW or path.endswith("/invocations"):
        return invocations
    return _DOCUMENTS.get(path, own)
