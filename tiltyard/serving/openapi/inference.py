"""The Open Inference Protocol as OpenAPI describes it."""

from collections.abc import Mapping

from tiltyard.data.contract import Contract, Kind
from tiltyard.data.protection import raw_column
from tiltyard.serving.openapi.operations import INFERENCE, JSON, Described, Paths, read, reference, written
from tiltyard.serving.openapi.schemas import Schema, closed, example_row

_TAG = "inference"
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
SCHEMAS: Mapping[str, Schema] = {"TensorIn": _TENSOR_IN, "TensorOut": _TENSOR_OUT}


def server_paths() -> Paths:
    """Return what can be asked of the server as a whole."""
    text, flag = {"type": "string"}, {"type": "boolean"}
    server = closed({"name": text, "version": text, "extensions": {"type": "array", "items": text}})
    ready = {
        "type": "object",
        "properties": {"live": flag, "ready": flag, "error": text},
        "required": ["live", "ready"],
    }
    return {
        "/v2": read("This server", _TAG, {200: server}, errors=INFERENCE),
        "/v2/health/live": read(
            "The process answers", _TAG, {200: closed({"live": flag})}, errors=INFERENCE, is_open=True
        ),
        "/v2/health/ready": read(
            "Every model can answer", _TAG, {200: ready, 503: ready}, errors=INFERENCE, is_open=True
        ),
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


def model_paths(model: Described) -> Paths:
    """Return what can be asked of one model."""
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
    return {
        place: read(f"Tensors of `{model.name}`", _TAG, {200: told}, errors=INFERENCE),
        f"{place}/ready": read(f"`{model.name}` can answer", _TAG, {200: ready}, errors=INFERENCE),
        f"{place}/infer": written(summary, _TAG, {JSON: body}, (200, answer), errors=INFERENCE),
    }
