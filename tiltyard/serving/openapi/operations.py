"""One operation of a server as OpenAPI describes it: its bodies, its answers, and the answers of its failures."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tiltyard.data.contract import Contract, Level
from tiltyard.serving.openapi.schemas import Schema, closed
from tiltyard.serving.slots import Slot

Paths = dict[str, dict[str, Any]]

JSON, CSV, PARQUET, TEXT, HTML = (
    "application/json",
    "text/csv",
    "application/vnd.apache.parquet",
    "text/plain",
    "text/html",
)
OWN, MLFLOW, INFERENCE = "Error", "MlflowError", "InferenceError"
EVERYWHERE = (400, 401, 403, 408, 431, 500, 503)
"""Statuses of failures that any path can have."""

WITH_BODY = (*EVERYWHERE, 404, 413, 415)
"""Statuses of failures of what a model is asked."""

_ID = {
    "x-prediction-id": {
        "description": "Id of the prediction; that of one row is the id, a dash and the row's number from 0.",
        "schema": {"type": "string"},
    }
}
_REASONS = {
    400: "The request is not what it should be.",
    401: "There is no token, or it is not known.",
    403: "The token may not do this.",
    404: "There is no such model or version.",
    408: "The request did not arrive in time.",
    413: "The body, or its number of rows, is over the limit.",
    415: "The content type or encoding is not read.",
    422: "A value breaks the model's contract; row and column are named.",
    431: "The headers are over the limit.",
    500: "The model answered with a number that is not finite, or the server failed.",
    503: "The model has no champion here yet, or the server is busy; ask again.",
}
_TEXT = {"type": "string"}
ERRORS: Mapping[str, Schema] = {
    OWN: closed({"error": closed({"what": _TEXT, "where": _TEXT, "cure": _TEXT})}),
    MLFLOW: closed({"error_code": _TEXT, "message": _TEXT}),
    INFERENCE: closed({"error": _TEXT}),
}


class Described(NamedTuple):
    """A model as the document describes it.

    Attributes:
        name: Model.
        contract: Its contract.
        classes: Classes as answered; empty for a regression.
        class_keys: The same as keys.
    """

    name: str
    contract: Contract
    classes: Sequence[Level]
    class_keys: Sequence[str]

    @classmethod
    def of(cls, slot: Slot) -> "Described":
        """Describe what stands in a slot."""
        return cls(slot.name, slot.runtime.contract, slot.classes, slot.class_keys)


def reference(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def read(
    summary: str,
    tag: str,
    answers: Mapping[int, Schema | None],
    *,
    errors: str,
    kind: str = JSON,
    is_open: bool = False,
) -> dict[str, Any]:
    """Return a path that is read.

    Args:
        summary: What it is for.
        tag: Its protocol.
        answers: Status → schema of the answer; None for one whose text is not of its content type.
        errors: Name of the schema of its errors.
        kind: Content type of the answers.
        is_open: Whether it needs no token.
    """
    told = {str(status): _answer(schema, kind) for status, schema in answers.items()}
    codes = [code for code in (*EVERYWHERE, 404) if code not in answers]
    operation = {"summary": summary, "tags": [tag], "responses": {**told, **_refusals(errors, codes)}}
    return {"get": operation if not is_open else {**operation, "security": []}}


def written(
    summary: str,
    tag: str,
    bodies: Mapping[str, Schema],
    answer: tuple[int, Schema],
    *,
    errors: str,
    codes: Sequence[int] = WITH_BODY,
) -> dict[str, Any]:
    """Return a path that is written to.

    Args:
        summary: What it is for.
        tag: Its protocol.
        bodies: Content type → schema of the body.
        answer: Status and schema of the answer.
        errors: Name of the schema of its errors.
        codes: Statuses of its errors.
    """
    status, schema = answer
    good = _answer(schema, JSON)
    operation = {
        "summary": summary,
        "tags": [tag],
        "requestBody": {"required": True, "content": {kind: {"schema": body} for kind, body in bodies.items()}},
        "responses": {str(status): {**good, "headers": _ID} if status == 200 else good, **_refusals(errors, codes)},
    }
    return {"post": operation}


def _refusals(errors: str, codes: Sequence[int]) -> dict[str, Any]:
    """Return the answers of failures; 415 is plain text in MLflow's protocol."""
    plain = {TEXT: {"schema": _TEXT}}
    shaped = {JSON: {"schema": reference(errors)}}
    return {
        str(code): {"description": _REASONS[code], "content": plain if (errors, code) == (MLFLOW, 415) else shaped}
        for code in codes
    }


def _answer(schema: Schema | None, kind: str) -> dict[str, Any]:
    return {"description": "The answer.", "content": {kind: {} if schema is None else {"schema": schema}}}
