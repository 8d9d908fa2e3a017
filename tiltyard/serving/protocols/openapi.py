"""`GET /openapi.json`: what can be asked of this server, described from the contracts of the models it has loaded."""

from typing import Any

import tiltyard
from tiltyard.errors import TiltyardError
from tiltyard.serving.answers import Answer, Headers, error_answer, json_answer
from tiltyard.serving.protocols.operations import ERRORS, TENSORS, Described, model_paths, server_paths
from tiltyard.serving.protocols.schemas import Schema
from tiltyard.serving.requests import Request, require
from tiltyard.serving.slots import Served

PATH = "/openapi.json"
_ABOUT = """\
Every model can be asked in three protocols, with the same answer: Tiltyard's own, MLflow's scoring protocol and the
Open Inference Protocol. Values outside the range seen in training are answered and noted; a value that breaks the
model's contract is refused, and the answer names row and column."""


def answer(served: Served, request: Request) -> Answer:
    """Answer with the document.

    Raises:
        RequestError: The method is another.
    """
    require(request, "GET")
    return json_answer(document(served))


def refusal(error: TiltyardError, headers: Headers = ()) -> Answer:
    """Return the answer of a failure in the shape of the own protocol."""
    return error_answer(error, headers)


def document(served: Served) -> dict[str, Any]:
    """Return the OpenAPI document of a server.

    Args:
        served: Its models; one that is not in memory is left out until it is.
    """
    paths = server_paths()
    for name in served.names:
        if name in served.slots:
            model = Described.of(served.slots[name], served.limits.rows)
            paths |= model_paths(model, is_only=len(served.names) == 1)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tiltyard model server", "version": tiltyard.__version__, "description": _ABOUT},
        "servers": [{"url": "."}],
        "paths": paths,
        "components": {"schemas": {**ERRORS, **TENSORS, "Summary": _SUMMARY, "Model": _MODEL}},
    }


_NULLABLE_TEXT = {"type": ["string", "null"]}
_SUMMARY: Schema = {
    "type": "object",
    "properties": {
        "model": {"type": "string"},
        "version": {"type": ["integer", "null"]},
        "digest": _NULLABLE_TEXT,
        "since": _NULLABLE_TEXT,
        "refused": {"type": ["object", "null"]},
    },
    "required": ["model", "version", "digest", "since", "refused"],
}
_MODEL: Schema = {
    "type": "object",
    "properties": {
        **_SUMMARY["properties"],
        "task": {"enum": ["binary", "multiclass", "regression"]},
        "classes": {"type": "array"},
        "threshold": {"type": ["number", "null"]},
        "features": {"type": "array", "items": {"type": "object", "required": ["name", "kind"]}},
    },
    "required": [*_SUMMARY["required"], "task", "classes", "threshold", "features"],
}
