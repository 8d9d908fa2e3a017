"""Tensors in JSON and in bytes: what goes in comes out, and what does not add up is refused before it costs memory."""

import contextlib
import json
import math
import struct
import tracemalloc
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.serving.answers import RequestError
from tiltyard.serving.protocols.tensors import (
    DATATYPES,
    FLOATS,
    INTEGERS,
    InputTensor,
    OutputTensor,
    decode,
    encode,
    split_binary,
)

SECRET = "c0ffee-secret"
SHAPES = st.lists(st.integers(0, 4), min_size=1, max_size=3)


def _values_of(datatype: str) -> st.SearchStrategy[Any]:
    if datatype == "BOOL":
        return st.booleans()
    if datatype == "BYTES":
        return st.text(st.characters(codec="utf-8"), max_size=8)
    if datatype in INTEGERS:
        limits = np.iinfo(INTEGERS[datatype])
        return st.integers(int(limits.min), int(limits.max))
    return st.floats(width={"FP16": 16, "FP32": 32, "FP64": 64}[datatype], allow_nan=False)  # type: ignore[arg-type]


@st.composite
def tensors(draw: st.DrawFn) -> OutputTensor:
    datatype = draw(st.sampled_from(DATATYPES))
    shape = tuple(draw(SHAPES))
    count = math.prod(shape)
    return OutputTensor("x", datatype, shape, draw(st.lists(_values_of(datatype), min_size=count, max_size=count)))


def _nested(values: list[Any], shape: tuple[int, ...]) -> Any:
    if len(shape) == 1:
        return values
    step = math.prod(shape[1:])
    return [_nested(values[place * step : (place + 1) * step], shape[1:]) for place in range(shape[0])]


def _refused(tensor: InputTensor, binary: bytes | None = None) -> str:
    with pytest.raises(RequestError) as caught:
        decode(tensor, None if binary is None else memoryview(binary))
    error = caught.value
    assert error.http_status == 400
    assert error.cure
    assert SECRET not in str(error)
    return error.what


@given(tensors())
def test_a_tensor_goes_through_bytes_unchanged(tensor: OutputTensor) -> None:
    announced = InputTensor("x", list(tensor.shape), tensor.datatype)
    assert list(decode(announced, memoryview(encode(tensor)))) == list(tensor.values)


@given(tensors(), st.booleans())
def test_a_tensor_goes_through_json_unchanged(tensor: OutputTensor, nested: bool) -> None:
    data = _nested(list(tensor.values), tensor.shape) if nested else list(tensor.values)
    content = {"name": "x", "shape": tensor.shape, "datatype": tensor.datatype, "data": data}
    read = json.loads(json.dumps(content))
    assert decode(msgspec.convert(read, InputTensor)) == list(tensor.values)


@given(tensors())
def test_the_bytes_are_those_of_tritonclient(tensor: OutputTensor) -> None:
    if tensor.datatype == "BYTES":
        expected = b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in tensor.values)
    else:
        kind = {"BOOL": "?", **INTEGERS, **FLOATS}[tensor.datatype]
        expected = np.array(tensor.values, dtype=kind).tobytes()
    assert encode(tensor) == expected


def test_nan_in_bytes_stays_nan_to_the_reader() -> None:
    values = decode(InputTensor("x", [2], "FP32"), memoryview(np.array([np.nan, 1.5], "<f4").tobytes()))
    assert math.isnan(values[0])
    assert values[1] == 1.5


@pytest.mark.parametrize("datatype", DATATYPES)
def test_null_is_missing_in_every_datatype(datatype: str) -> None:
    assert decode(InputTensor("x", [2, 1], datatype, [[None], [None]])) == [None, None]


@pytest.mark.parametrize(
    ("datatype", "sent", "read"),
    [
        ("INT64", 3.0, 3),
        ("BOOL", 1, True),
        ("BOOL", 0.0, False),
        ("FP32", 3, 3),
        ("FP64", 10**300, 10**300),
        ("BYTES", 7, 7),
        ("BYTES", 7.0, 7.0),
    ],
)
def test_json_numbers_are_read_leniently(datatype: str, sent: Any, read: Any) -> None:
    value = decode(InputTensor("x", [1], datatype, [sent]))[0]
    assert value == read
    assert type(value) is type(read)


@pytest.mark.parametrize(
    ("datatype", "value"),
    [
        ("FP64", SECRET),
        ("FP64", True),
        ("FP64", [1]),
        ("FP64", {"c0ffee-secret": 1}),
        ("INT64", 1.5),
        ("INT64", "3"),
        ("INT64", False),
        ("INT64", math.nan),
        ("INT64", math.inf),
        ("INT64", 2**63),
        ("INT8", 128),
        ("UINT8", -1),
        ("UINT64", -1),
        ("UINT64", 2**64),
        ("BOOL", 2),
        ("BOOL", "true"),
        ("BYTES", True),
        ("BYTES", [SECRET]),
        ("BYTES", {"a": 1}),
    ],
)
def test_a_value_of_another_type_is_named(datatype: str, value: Any) -> None:
    what = _refused(InputTensor("height", [3], datatype, [None, None, value]))
    assert what.startswith("the input `height` has")
    assert "number 2" in what or "lists" in what


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([2], [1.0]),
        ([2], []),
        ([2], [[1.0, 2.0]]),
        ([2, 2], [[1.0, 2.0], [3.0]]),
        ([2, 2], [[1.0, 2.0], 3.0]),
        ([2, 2], [1.0, [2.0], 3.0, 4.0]),
        ([1, 2], [[[1.0, 2.0]]]),
        ([0], [1.0]),
        ([2**31 - 1] * 8, [1.0]),
        ([1] * 9, [1.0]),
        ([1], 1.0),
        ([1], {"0": 1.0}),
        ([1], "1.0"),
    ],
)
def test_json_that_does_not_fit_its_shape_is_refused(shape: list[int], data: Any) -> None:
    assert _refused(InputTensor("x", shape, "FP64", data))


@pytest.mark.parametrize(
    ("shape", "datatype", "binary"),
    [
        ([2], "FP64", b"\0" * 8),
        ([2], "FP64", b"\0" * 17),
        ([2**31 - 1, 2**31 - 1], "FP64", b"\0" * 8),
        ([1], "BOOL", b"\2"),
        ([1], "BYTES", b""),
        ([1], "BYTES", b"\1\0\0"),
        ([1], "BYTES", b"\1\0\0\0"),
        ([1], "BYTES", b"\xff\xff\xff\xffxx"),
        ([1], "BYTES", b"\1\0\0\0ab"),
        ([2], "BYTES", b"\4\0\0\0abcd"),
        ([2], "BYTES", b"\1\0\0\0a\1\0\0"),
        ([1], "BYTES", b"\1\0\0\0\xff"),
        ([2**31 - 1], "BYTES", b"\0" * 8),
        ([0], "BYTES", b"\0"),
    ],
)
def test_bytes_that_do_not_add_up_are_refused(shape: list[int], datatype: str, binary: bytes) -> None:
    assert _refused(InputTensor("x", shape, datatype), binary)


def test_a_huge_shape_costs_no_memory() -> None:
    tracemalloc.start()
    try:
        for datatype in ("FP64", "BYTES"):
            _refused(InputTensor("x", [2**31 - 1] * 8, datatype), b"\0" * 64)
            _refused(InputTensor("x", [2**31 - 1] * 8, datatype, [1]))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("datatype", ["BF16", "fp64", "", "INT128", SECRET.upper() * 50])
def test_an_unknown_datatype_is_refused(datatype: str) -> None:
    assert "datatype" in _refused(InputTensor("x", [1], datatype, [1]))


@pytest.mark.parametrize("shape", [[-1], [2**31], [10**30], [1.5], ["1"], [True], [None], 1, None])
def test_a_size_is_a_whole_number(shape: Any) -> None:
    with pytest.raises(msgspec.ValidationError, match="shape"):
        msgspec.convert({"name": "x", "shape": shape, "datatype": "FP64", "data": [1]}, InputTensor)


def test_the_bytes_behind_the_json_are_dealt_out_in_order() -> None:
    sized = [
        InputTensor(name, [1], "BYTES", parameters={"binary_data_size": size}) for name, size in (("a", 2), ("c", 3))
    ]
    plain = InputTensor("b", [1], "BYTES", ["x"])
    dealt = split_binary([sized[0], plain, sized[1]], memoryview(b"aaccc"))
    assert [None if part is None else bytes(part) for part in dealt] == [b"aa", None, b"ccc"]


@pytest.mark.parametrize(
    ("data", "parameters"),
    [
        (msgspec.UNSET, None),
        (None, None),
        (msgspec.UNSET, {}),
        ([1], {"binary_data_size": 4}),
        (msgspec.UNSET, {"binary_data_size": -4}),
        (msgspec.UNSET, {"binary_data_size": True}),
        (msgspec.UNSET, {"binary_data_size": 4.0}),
        (msgspec.UNSET, {"binary_data_size": "4"}),
        (msgspec.UNSET, {"binary_data_size": [4]}),
        (msgspec.UNSET, {"binary_data_size": 3}),
        (msgspec.UNSET, {"binary_data_size": 5}),
        (msgspec.UNSET, {"binary_data_size": 10**4000}),
        (msgspec.UNSET, {"shared_memory_region": "x", "shared_memory_byte_size": 4}),
    ],
)
def test_sizes_that_are_not_those_of_the_body_are_refused(data: Any, parameters: dict[str, Any] | None) -> None:
    with pytest.raises(RequestError) as caught:
        split_binary([InputTensor("x", [1], "FP32", data, parameters)], memoryview(b"\0" * 4))
    assert caught.value.http_status == 400


@given(st.binary(max_size=200), st.sampled_from(DATATYPES), SHAPES)
def test_any_bytes_are_read_or_refused(binary: bytes, datatype: str, shape: list[int]) -> None:
    tensor = InputTensor("x", shape, datatype)
    with contextlib.suppress(RequestError):
        assert len(decode(tensor, memoryview(binary))) == math.prod(shape)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=12,
)


@given(JSON, st.sampled_from(DATATYPES), SHAPES)
def test_any_json_is_read_or_refused(data: Any, datatype: str, shape: list[int]) -> None:
    tensor = InputTensor("x", shape, datatype, data)
    with contextlib.suppress(RequestError):
        assert len(decode(tensor)) == math.prod(shape)
