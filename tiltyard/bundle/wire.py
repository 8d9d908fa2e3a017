"""A look into an ONNX file without the onnx library: does it point to data outside of itself?

A tensor of a graph may live in another file, named inside the graph; a runtime would follow that path. A serving
worker has no onnx library to ask, so the few protobuf fields that lead to a tensor are walked here. Field numbers are
those of onnx.proto (stable by protobuf's rules); `tests/bundle/test_wire.py` checks them against the library.
"""

import re
from collections.abc import Iterator

from tiltyard.errors import BundleError

CHILDREN = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: "TensorProto", 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        5: "TensorProto",
        6: "GraphProto",
        10: "TensorProto",
        11: "GraphProto",
        22: "SparseTensorProto",
        23: "SparseTensorProto",
    },
    "SparseTensorProto": {1: "TensorProto", 2: "TensorProto"},
}
"""By message: the fields that hold messages on the way to a tensor."""

EXTERNAL_DATA = 13
DATA_LOCATION = 14
"""Fields of TensorProto that say that its content is elsewhere."""

METADATA = 14
"""Field of ModelProto with its notes: messages of a key (1) and a value (2)."""

_DEEPEST = 32
_LARGEST_KEY = 2**32 - 1
"""Of a longer one protobuf's own parsers keep these bits alone, and so may see another field than its number says."""

_NUMBERS = re.compile(rb"(?:\x40[\x80-\xff]{0,9}[\x00-\x7f]|\x3d[\x00-\xff]{4})++")
"""Runs of `ints` (field 8) and `floats` (field 7) of an attribute: millions in a forest, skipped in one step."""


def refuse_external_data(graph: bytes) -> None:
    """Refuse a graph any tensor of which is kept in another file.

    Args:
        graph: Content of an ONNX file.

    Raises:
        BundleError: There is such a tensor, or the bytes are no ONNX model.
    """
    try:
        outside = _points_outside(graph, "ModelProto", 0, len(graph), depth=0)
    except (IndexError, ValueError, RecursionError) as error:
        raise BundleError(f"`model.onnx` is not an ONNX model ({error})") from error
    if outside:
        raise BundleError("`model.onnx` refers to data in another file", cure="Only self-contained graphs are loaded.")


def note_of(graph: bytes, key: str) -> bytes | None:
    """Return what the metadata of a graph holds under a key; None when there is no such key.

    Args:
        graph: Content of an ONNX file.
        key: Of the entry.

    Raises:
        BundleError: The bytes are no ONNX model.
    """
    try:
        return next((value for name, value in _notes(graph) if name == key.encode()), None)
    except (IndexError, ValueError) as error:
        raise BundleError(f"`model.onnx` is not an ONNX model ({error})") from error


def _notes(graph: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of the metadata."""
    for field, start, end in _fields(graph, 0, len(graph)):
        if field == METADATA:
            entry = {number: graph[first:last] for number, first, last in _fields(graph, start, end)}
            yield entry.get(1, b""), entry.get(2, b"")


def _points_outside(data: bytes, message: str, start: int, end: int, *, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    if message == "TensorProto":
        return any(field in {EXTERNAL_DATA, DATA_LOCATION} for field, _, _ in _fields(data, start, end))
    children = CHILDREN[message]
    return any(
        _points_outside(data, children[field], first, last, depth=depth + 1)
        for field, first, last in _fields(data, start, end)
        if field in children
    )


def _fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield number, begin and end of each length-delimited or scalar field between two offsets."""
    position = start
    while position < end:
        run = _NUMBERS.match(data, position, end)
        if run:
            position = run.end()
            continue
        key, position = _varint(data, position)
        if key > _LARGEST_KEY:
            raise ValueError("a key is too long")
        first, position = _content(data, key & 7, position)
        if position > end:
            raise ValueError("cut off")
        yield key >> 3, first, position


def _content(data: bytes, wire_type: int, position: int) -> tuple[int, int]:
    """Return begin and end of a field's content."""
    if wire_type == 0:
        return position, _varint(data, position)[1]
    if wire_type == 1:
        return position, position + 8
    if wire_type == 2:
        size, first = _varint(data, position)
        return first, first + size
    if wire_type == 5:
        return position, position + 4
    raise ValueError(f"wire type {wire_type}")


def _varint(data: bytes, position: int) -> tuple[int, int]:
    """Return a variable-length integer and the offset behind it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
