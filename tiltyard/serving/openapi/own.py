"""Tiltyard's own protocol, and what concerns the server as a whole, as OpenAPI describes them."""

from typing import Any

from tiltyard.predictions.feedback import PREDICTION_ID
from tiltyard.serving.openapi.operations import (
    HTML,
    JSON,
    OWN,
    TEXT,
    WITH_BODY,
    Described,
    Paths,
    read,
    reference,
    written,
)
from tiltyard.serving.openapi.schemas import (
    Schema,
    closed,
    entry_schema,
    example_row,
    label_schema,
    list_schema,
    row_schema,
)

_TAG = "tiltyard"
_TEXT = {"type": "string"}
_NULLABLE_TEXT = {"type": ["string", "null"]}
_SUMMARY: Schema = {
    "type": "object",
    "properties": {
        "model": _TEXT,
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
SCHEMAS: dict[str, Schema] = {"Summary": _SUMMARY, "Model": _MODEL}
_LIVE = closed({"status": {"const": "live"}})
_READY: Schema = {
    "type": "object",
    "properties": {
        "status": {"enum": ["ready", "waiting", "unlogged", "draining"]},
        "models": {"type": "object", "additionalProperties": {"type": "integer"}},
        "waiting": {"type": "array", "items": _TEXT},
    },
    "required": ["status", "models", "waiting"],
}


def server_paths() -> Paths:
    """Return what can be asked of the server as a whole."""
    models = closed({"models": {"type": "array", "items": reference("Summary")}})
    return {
        "/health/live": read("The process answers", "server", {200: _LIVE}, errors=OWN, is_open=True),
        "/health/ready": read("Every model can answer", "server", {200: _READY, 503: _READY}, errors=OWN, is_open=True),
        "/v1/models": read("The models of this server", _TAG, {200: models}, errors=OWN),
        "/metrics": read("Counts for Prometheus", "server", {200: _TEXT}, errors=OWN, kind=TEXT),
        "/openapi.json": read("This document", "server", {200: {"type": "object"}}, errors=OWN),
        "/docs": read("A page to try a request", "server", {200: _TEXT}, errors=OWN, kind=HTML),
    }


def model_paths(model: Described) -> Paths:
    """Return what can be asked of one model."""
    name = model.name
    about = read(f"What `{name}` is asked with", _TAG, {200: reference("Model")}, errors=OWN)
    return {
        f"/v1/models/{name}": about,
        f"/v1/models/{name}/predict": _predict(model),
        f"/v1/models/{name}/feedback": _feedback(model),
    }


def _predict(model: Described) -> dict[str, Any]:
    row = list_schema(model.contract)
    rows = {"type": "array", "items": row_schema(model.contract), "minItems": 1}
    features = {"anyOf": [row, {"type": "array", "items": row, "minItems": 1}]}
    body = {
        "oneOf": [closed({"rows": rows}), closed({"features": features})],
        "examples": [{"rows": [example_row(model.contract)]}],
    }
    numbers = {"type": "array", "items": {"type": "integer"}}
    note = closed({"column": _TEXT, "rows": numbers, "note": _TEXT})
    answer = closed(
        {
            "model": {"const": model.name},
            "version": {"type": "integer"},
            "id": _TEXT,
            "predictions": {"type": "array", "items": entry_schema(model.classes, model.class_keys)},
            "notes": {"type": "array", "items": note},
        }
    )
    return written(f"Ask `{model.name}`", _TAG, {JSON: body}, (200, answer), errors=OWN, codes=(*WITH_BODY, 422))


def _feedback(model: Described) -> dict[str, Any]:
    label = label_schema(model.contract)
    moment = {
        "anyOf": [{"type": "string", "format": "date-time"}, {"type": "number", "minimum": 0}, {"type": "null"}],
        "description": "When it was known, not in the future: ISO 8601, or seconds since 1970. Now, if left out.",
    }
    entry = {
        "type": "object",
        "properties": {"id": {"type": "string", "pattern": PREDICTION_ID}, "label": label, "time": moment},
        "required": ["id", "label"],
        "additionalProperties": False,
    }
    several = {"type": "array", "items": entry, "minItems": 1}
    example = {"id": "9f0c2d4e5a6b7c8d00000000-0", "label": next(iter(label["examples"]))}
    body = {"oneOf": [entry, several, closed({"feedback": several})], "examples": [example]}
    answer = closed({"model": {"const": model.name}, "accepted": {"type": "integer"}})
    summary = f"Tell `{model.name}` what was true"
    return written(summary, _TAG, {JSON: body}, (202, answer), errors=OWN, codes=(*WITH_BODY, 422))
