"""Requests of the Open Inference Protocol as a client writes them."""

import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tiltyard.data.contract import Contract, Kind
from tiltyard.serving.answers import Answer

_JSON_TYPES = {Kind.NUMBER: "FP64", Kind.INTEGER: "INT64", Kind.BOOLEAN: "BOOL"}
_KINDS: dict[str, Any] = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_}


def numbers() -> st.SearchStrategy[float]:
    """Finite numbers."""
    return st.floats(allow_nan=False, allow_infinity=False)


def columns_of(contract: Contract, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Write rows as one JSON input per column."""
    return [
        {
            "name": column.name,
            "shape": [len(rows)],
            "datatype": _JSON_TYPES.get(column.kind, "BYTES"),
            "data": [row[column.name] for row in rows],
        }
        for column in contract.features
    ]


def body_of(contract: Contract, rows: Sequence[Mapping[str, Any]], more: Mapping[str, Any]) -> tuple[bytes, int]:
    """Write rows as one binary input per column; return body and length of the JSON."""
    inputs, parts = [], []
    for tensor in columns_of(contract, rows):
        values = tensor.pop("data")
        if tensor["datatype"] == "BYTES":
            texts = [("" if value is None else value).encode() for value in values]
            part = b"".join(struct.pack("<I", len(text)) + text for text in texts)
        else:
            if None in values:
                tensor["datatype"] = "FP64"
                values = [np.nan if value is None else value for value in values]
            part = np.array(values, dtype=_KINDS[tensor["datatype"]]).tobytes()
        inputs.append({**tensor, "parameters": {"binary_data_size": len(part)}})
        parts.append(part)
    content = json.dumps({"inputs": inputs, **more}).encode()
    return content + b"".join(parts), len(content)


def read_binary(answer: Answer) -> dict[str, list[Any]]:
    """Read the outputs of an answer, those in JSON and those in bytes."""
    length = int(dict(answer.headers)[b"inference-header-content-length"])
    told, rest = json.loads(answer.body[:length]), answer.body[length:]
    outputs: dict[str, list[Any]] = {}
    for output in told["outputs"]:
        if "data" in output:
            outputs[output["name"]] = output["data"]
            continue
        size = output["parameters"]["binary_data_size"]
        part, rest = rest[:size], rest[size:]
        if output["datatype"] == "BYTES":
            outputs[output["name"]] = _texts(part)
        else:
            outputs[output["name"]] = np.frombuffer(part, _KINDS[output["datatype"]]).tolist()
    assert not rest
    return outputs


def _texts(part: bytes) -> list[str]:
    texts = []
    while part:
        (length,) = struct.unpack("<I", part[:4])
        texts.append(part[4 : 4 + length].decode())
        part = part[4 + length :]
    return texts
