"""`GET /openapi.json`: what can be asked of this server, described from the contracts of the models it has loaded."""

from typing import Any

import tiltyard
from tiltyard.errors import TiltyardError
from tiltyard.serving.answers import Answer, Headers, error_answer, json_answer
from tiltyard.serving.openapi import inference, mlflow, own
from tiltyard.serving.openapi.operations import ERRORS, Described
from tiltyard.serving.requests import Request, require
from tiltyard.serving.slots import Served

PATH = "/openapi.json"
_ABOUT = """\
Every model can be asked in three protocols, with the same answer: Tiltyard's own, MLflow's scoring protocol and the
Open Inference Protocol. Values outside the range seen in training are answered and noted; a value that breaks the
model's contract is refused, and the answer names row and column."""
_BEARER = {"type": "http", "scheme": "bearer", "description": "A token of this server; what it may do is its scope."}


def answer(served: Served, request: Request) -> Answer:
    """Answer with the document; to somebody who came with a token, it says that one is needed.

    Raises:
        RequestError: The method is another.
    """
    require(request, "GET")
    return json_answer(document(served, is_secured=b"authorization" in request.headers))


def refusal(error: TiltyardError, headers: Headers = ()) -> Answer:
    """Return the answer of a failure in the shape of the own protocol."""
    return error_answer(error, headers)


def document(served: Served, *, is_secured: bool = False) -> dict[str, Any]:
    """Return the OpenAPI document of a server.

    Args:
        served: Its models; one that is not in memory is left out until it is.
        is_secured: Whether a token is needed.
    """
    paths = {**own.server_paths(), **mlflow.server_paths(), **inference.server_paths()}
    for name in served.names:
        if name in served.slots:
            model = Described.of(served.slots[name])
            alone = len(served.names) == 1
            paths |= own.model_paths(model) | mlflow.model_paths(model, is_only=alone) | inference.model_paths(model)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tiltyard model server", "version": tiltyard.__version__, "description": _ABOUT},
        "servers": [{"url": "."}],
        "security": [{"bearer": []}] if is_secured else [],
        "paths": paths,
        "components": {
            "schemas": {**ERRORS, **own.SCHEMAS, **inference.SCHEMAS},
            "securitySchemes": {"bearer": _BEARER},
        },
    }
