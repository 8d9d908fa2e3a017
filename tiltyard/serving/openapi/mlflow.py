"""MLflow's scoring protocol as OpenAPI describes it."""

from typing import Any

from tiltyard.serving.openapi.operations import CSV, JSON, MLFLOW, PARQUET, Described, Paths, read, written
from tiltyard.serving.openapi.schemas import Schema, classes_schema, closed, entry_schema, example_row, row_schema

_TAG = "mlflow"


def server_paths() -> Paths:
    """Return what can be asked of the server as a whole."""
    told: dict[int, Schema | None] = {200: None, 404: None}
    return {
        "/ping": read("Every model can answer", _TAG, told, errors=MLFLOW, is_open=True),
        "/health": read("Every model can answer", _TAG, told, errors=MLFLOW, is_open=True),
        "/version": read("Version of MLflow whose protocol is spoken", _TAG, {200: None}, errors=MLFLOW),
    }


def model_paths(model: Described, *, is_only: bool) -> Paths:
    """Return what can be asked of one model.

    Args:
        model: The model.
        is_only: Whether the server has no other, so that the short address is its own.
    """
    invocations = _invocations(model)
    short = {"/invocations": invocations} if is_only else {}
    return {**short, f"/v1/models/{model.name}/invocations": invocations}


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
    summary = f"Ask `{model.name}` as MLflow does"
    return written(summary, _TAG, bodies, (200, answer), errors=MLFLOW)
