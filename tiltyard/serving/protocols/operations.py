"""What can be asked of a server, protocol by protocol, as OpenAPI describes it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tiltyard.data.contract import Contract, Kind, Level
from tiltyard.data.protection import raw_column
from tiltyard.serving.protocols.schemas import (
    Schema,
    classes_schema,
    closed,
    entry_schema,
    example_row,
    list_schema,
    row_schema,
)
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
ID_HEADER = {
    "x-prediction-id": {
        "description": "Id of the prediction; that of one row is the id, a dash and the row's number from 0.",
        "schema": {"type": "string"},
    }
}
_REASONS = {
    400: "The body is not what it should be.",
    401: "There is no token, or it is not known.",
    403: "The token may not do this.",
    404: "There is no such model or version.",
    408: "The body did not arrive in time.",
    413: "The body, or its number of rows, is over the limit.",
    415: "The content type or encoding is not read.",
    422: "A value breaks the model's contract; row and column are named.",
    500: "The model answered with a number that is not finite, or the server failed.",
    503: "The model has no champion here yet, or the server is busy; ask again.",
}
_BODY = (400, 401, 403, 408, 413, 415, 500, 503)
_QUESTION = (400, 401, 403, 408, 413, 415, 500, 503)

ERRORS: Mapping[str, Schema] = {
    OWN: closed(
        {"error": closed({"what": {"type": "string"}, "where": {"type": "string"}, "cure": {"type": "string"}})}
    ),
    MLFLOW: closed({"error_code": {"type": "string"}, "message": {"type": "string"}}),
    INFERENCE: closed({"error": {"type": "string"}}),
}


class Described(NamedTuple):
    """A model as the document describes it.

    Attributes:
        name: Model.
        contract: Its contract.
        classes: Classes as answered; empty for a regression.
        class_keys: The same as keys.
        rows: Most rows in one request.
    """

    name: str
    contract: Contract
    classes: Sequence[Level]
    class_keys: Sequence[str]
    rows: int

    @classmethod
    def of(cls, slot: Slot, rows: int) -> "Described":
        """Describe what stands in a slot."""
        return cls(slot.name, slot.runtime.contract, slot.classes, slot.class_keys, rows)


def reference(name: str) -> Schema:
    """Return a reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def server_paths() -> Paths:
    """Return what concerns the server as a whole."""
    text = {"type": "string"}
    live = closed({"status": {"const": "live"}})
    ready = {
        "type": "object",
        "properties": {
            "status": {"enum": ["ready", "waiting", "draining"]},
            "models": {"type": "object", "additionalProperties": {"type": "integer"}},
            "waiting": {"type": "array", "items": text},
        },
        "required": ["status", "models", "waiting"],
    }
    models = closed({"models": {"type": "array", "items": reference("Summary")}})
    return {
        "/health/live": get("The process answers", "server", {200: live}, OWN),
        "/health/ready": get("Every model can answer", "server", {200: ready, 503: ready}, OWN),
        "/v1/models": get("The models of this server", "tiltyard", {200: models}, OWN),
        "/metrics": get("Counts for Prometheus", "server", {200: text}, OWN, kind=TEXT),
        "/openapi.json": get("This document", "server", {200: {"type": "object"}}, OWN),
        "/docs": get("A page to try a request", "server", {200: text}, OWN, kind=HTML),
        "/ping": get("Every model can answer (MLflow)", "mlflow", {200: None, 404: None}, MLFLOW),
        "/health": get("Every model can answer (MLflow)", "mlflow", {200: None, 404: None}, MLFLOW),
        "/version": get("Version of MLflow whose protocol is spoken", "mlflow", {200: None}, MLFLOW),
        **_inference_server_paths(),
    }


def model_paths(model: Described, *, is_only: bool) -> Paths:
    """Return what can be asked of one model.

    Args:
        model: The model.
        is_only: Whether the server has no other, so that MLflow's short address is its own.
    """
    name = model.name
    invocations = _invocations(model)
    short = {"/invocations": invocations} if is_only else {}
    return {
        f"/v1/models/{name}": get(
            f"What `{name}` is asked with", "tiltyard", {200: reference("Model")}, OWN, (404, 503)
        ),
        f"/v1/models/{name}/predict": _predict(model),
        f"/v1/models/{name}/invocations": invocations,
        **short,
        **_inference_model_paths(model),
    }


def get(
    summary: str,
    tag: str,
    answers: Mapping[int, Schema | None],
    errors: str,
    more: Sequence[int] = (),
    *,
    kind: str = JSON,
) -> dict[str, Any]:
    """Return a path that is read.

    Args:
        summary: What it is for.
        tag: Its protocol.
        answers: Status → schema of the answer; None for one whose text is not of its content type.
        errors: Name of the schema of its errors.
        more: Statuses of errors beside those that every path has.
        kind: Content type of the answers.
    """
    told = {str(status): _answer(schema, kind) for status, schema in answers.items()}
    failures = {
        code: told for code, told in refusals(errors, (401, 403, 500, *more)).items() if int(code) not in answers
    }
    return {"get": {"summary": summary, "tags": [tag], "responses": {**told, **failures}}}


def post(
    summary: str, tag: str, bodies: Mapping[str, Schema], answer: Schema, errors: str, *, codes: Sequence[int]
) -> dict[str, Any]:
    """Return a path that is written to.

    Args:
        summary: What it is for.
        tag: Its protocol.
        bodies: Content type → schema of the body.
        answer: Schema of the answer.
        errors: Name of the schema of its errors.
        codes: Statuses of its errors.
    """
    ok = {**_answer(answer, JSON), "headers": ID_HEADER}
    content = {kind: {"schema": schema} for kind, schema in bodies.items()}
    return {
        "post": {
            "summary": summary,
            "tags": [tag],
            "requestBody": {"required": True, "content": content},
            "responses": {"200": ok, **refusals(errors, codes)},
        }
    }


def refusals(errors: str, codes: Sequence[int]) -> dict[str, Any]:
    """Return the answers of failures; 415 is plain text in MLflow's protocol."""
    plain = {TEXT: {"schema": {"type": "string"}}}
    shaped = {JSON: {"schema": reference(errors)}}
    return {
        str(code): {"description": _REASONS[code], "content": plain if (errors, code) == (MLFLOW, 415) else shaped}
        for code in codes
    }


def _answer(schema: Schema | None, kind: str) -> dict[str, Any]:
    return {"description": "The answer.", "content": {kind: {} if schema is None else {"schema": schema}}}


def _predict(model: Described) -> dict[str, Any]:
    rows = {"type": "array", "items": row_schema(model.contract), "minItems": 1}
    row = list_schema(model.contract)
    features = {"anyOf": [row, {"type": "array", "items": row, "minItems": 1}]}
    body = {
        "oneOf": [closed({"rows": rows}), closed({"features": features})],
        "examples": [{"rows": [example_row(model.contract)]}],
    }
    note = closed(
        {
            "column": {"type": "string"},
            "rows": {"type": "array", "items": {"type": "integer"}},
            "note": {"type": "string"},
        }
    )
    answer = closed(
        {
            "model": {"const": model.name},
            "version": {"type": "integer"},
            "id": {"type": "string"},
            "predictions": {"type": "array", "items": entry_schema(model.classes, model.class_keys)},
            "notes": {"type": "array", "items": note},
        }
    )
    return post(f"Ask `{model.name}`", "tiltyard", {JSON: body}, answer, OWN, codes=(*_BODY, 404, 422))


def _invocations(model: Described) -> dict[str, Any]:
    row = row_schema(model.contract)
    rows = {"type": "array", "items": row, "minItems": 1}
    columns = {"type": "object", "additionalProperties": {"type": "array"}, "description": "Column → one value a row."}
    split = {
        "type": "object",
        "properties": {
            "columns": {"type": "array", "items": {"type": "string"}},
            "index": {"type": "array"},
            "data": {"type": "array", "items": {"type": "array"}, "minItems": 1},
        },
        "required": ["columns", "data"],
        "additionalProperties": False,
    }
    forms = {"dataframe_split": split, "dataframe_records": rows, "instances": {"anyOf": [rows, columns]}}
    forms["inputs"] = {"anyOf": [rows, columns, row]}
    params = {
        "type": ["object", "null"],
        "properties": {"probabilities": {"type": "boolean", "description": "Whether to answer them, too."}},
    }
    json_body: Schema = {
        "type": "object",
        "properties": {**forms, "params": params},
        "oneOf": [{"required": [form]} for form in forms],
        "examples": [{"dataframe_records": [example_row(model.contract)]}],
    }
    bodies: dict[str, Schema] = {
        JSON: json_body,
        CSV: {"type": "string"},
        PARQUET: {"type": "string", "format": "binary"},
    }
    entries = {"anyOf": [classes_schema(model.classes), entry_schema(model.classes, model.class_keys)]}
    answer = closed({"predictions": {"type": "array", "items": entries}})
    return post(f"Ask `{model.name}` as MLflow does", "mlflow", bodies, answer, MLFLOW, codes=(*_BODY, 404))


_TENSOR_IN = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        "datatype": {"type": "string"},
        "data": {},
        "parameters": {"type": ["object", "null"]},
    },
    "required": ["name", "shape", "datatype"],
}
_TENSOR_OUT = {
    "type": "object",
    "properties": {
        "name": {"enum": ["prediction", "probabilities"]},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"type": "string"},
        "data": {"type": "array"},
        "parameters": {"type": "object"},
    },
    "required": ["name", "shape", "datatype"],
}
TENSORS: Mapping[str, Schema] = {"TensorIn": _TENSOR_IN, "TensorOut": _TENSOR_OUT}


def _inference_server_paths() -> Paths:
    text, flag = {"type": "string"}, {"type": "boolean"}
    server = closed({"name": text, "version": text, "extensions": {"type": "array", "items": text}})
    ready = {
        "type": "object",
        "properties": {"live": flag, "ready": flag, "error": text},
        "required": ["live", "ready"],
    }
    return {
        "/v2": get("This server", "inference", {200: server}, INFERENCE),
        "/v2/health/live": get("The process answers", "inference", {200: closed({"live": flag})}, INFERENCE),
        "/v2/health/ready": get("Every model can answer", "inference", {200: ready, 503: ready}, INFERENCE),
    }


_DATATYPES = {Kind.NUMBER: "FP64", Kind.INTEGER: "INT64", Kind.BOOLEAN: "BOOL"}


def _tensors(contract: Contract) -> list[Schema]:
    """Return a row that is answered as tensors, one a feature."""
    row = example_row(contract)
    return [
        {
            "name": column.name,
            "shape": [1],
            "datatype": _DATATYPES.get(raw_column(column).kind, "BYTES"),
            "data": [row[column.name]],
        }
        for column in contract.features
    ]


def _inference_model_paths(model: Described) -> Paths:
    text = {"type": "string"}
    told = {
        "type": "object",
        "properties": {"name": {"const": model.name}, "platform": text, "versions": {"type": "array", "items": text}},
        "required": ["name", "platform", "versions", "inputs", "outputs"],
    }
    ready = closed({"name": {"const": model.name}, "ready": {"type": "boolean"}})
    body = {
        "type": "object",
        "properties": {
            "id": {"type": ["string", "null"]},
            "inputs": {"type": "array", "items": reference("TensorIn"), "minItems": 1},
            "outputs": {"type": ["array", "null"], "items": {"type": "object", "required": ["name"]}},
            "parameters": {"type": ["object", "null"]},
        },
        "required": ["inputs"],
        "examples": [{"inputs": _tensors(model.contract)}],
    }
    answer = {
        "type": "object",
        "properties": {
            "model_name": {"const": model.name},
            "model_version": text,
            "id": text,
            "parameters": {"type": "object"},
            "outputs": {"type": "array", "items": reference("TensorOut")},
        },
        "required": ["model_name", "model_version", "outputs"],
    }
    place = f"/v2/models/{model.name}"
    summary = f"Ask `{model.name}` with tensors"
    codes = (*_BODY, 404)
    return {
        place: get(f"Tensors of `{model.name}`", "inference", {200: told}, INFERENCE, (404, 503)),
        f"{place}/ready": get(f"`{model.name}` can answer", "inference", {200: ready}, INFERENCE, (404, 503)),
        f"{place}/infer": post(summary, "inference", {JSON: body}, answer, INFERENCE, codes=codes),
    }
