"""Tensors of the Open Inference Protocol: their values in JSON and in bytes, both ways.

In JSON a tensor's `data` is one flat list or lists within lists, in the order of rows. In bytes the numbers follow each
other little endian, and a text is its length in four bytes and then itself in UTF-8. A number in JSON is kept as it is
written, whatever width the datatype has, and null is a missing value of any datatype. Everything is checked against
shape and datatype before memory is spent on it.
"""

import math
import struct
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from tiltyard.errors import did_you_mean
from tiltyard.serving.answers import RequestError, shorten

BOOL = "BOOL"
BYTES = "BYTES"
INTEGERS = {
    f"{sign}INT{bits}": f"{kind}{bits // 8}" for sign, kind in (("", "i"), ("U", "u")) for bits in (8, 16, 32, 64)
}
FLOATS = {"FP16": "f2", "FP32": "f4", "FP64": "f8"}
DATATYPES = (BOOL, *INTEGERS, *FLOATS, BYTES)

_LIMITS = {datatype: (int(np.iinfo(name).min), int(np.iinfo(name).max)) for datatype, name in INTEGERS.items()}
_STORAGES = {name: np.dtype(f"<{kind}") for name, kind in {BOOL: "u1", **INTEGERS, **FLOATS}.items()}
_SINGLES = {name: struct.Struct(f"<{letter}") for name, letter in zip((*INTEGERS, *FLOATS), "bhiqBHIQefd", strict=True)}
_LARGEST = 2**31 - 1
_MOST_DIMENSIONS = 8
_LENGTH = struct.Struct("<I")
_ONE_FORM = "Send either `data`, or `parameters.binary_data_size` and the bytes behind the JSON."

Size = Annotated[int, msgspec.Meta(ge=0, le=_LARGEST)]
Parameters = dict[str, Any] | None
Values = list[Any] | NDArray[Any]
"""A tensor's values, flat, in the order of rows: Python's own with None for missing, or an array of numbers."""


class InputTensor(msgspec.Struct):
    """A tensor as a request announces it.

    Attributes:
        name: Which input it is.
        shape: Sizes, outermost first.
        datatype: One of `DATATYPES`.
        data: Values, where they are in the JSON.
        parameters: `binary_data_size` where they are behind it.
    """

    name: str
    shape: list[Size]
    datatype: str
    data: Any = msgspec.UNSET
    parameters: Parameters = None

    @property
    def binary_size(self) -> int | None:
        """Bytes behind the JSON that are this tensor's; None when its values are in the JSON.

        Raises:
            RequestError: The values are in both places or in neither, or the number of bytes is no number of bytes.
        """
        if self.parameters is None and self.data is not msgspec.UNSET and self.data is not None:
            return None
        parameters = self.parameters or {}
        if "shared_memory_region" in parameters:
            raise _wrong(self, "is in shared memory, which this server does not read", cure=_ONE_FORM)
        size = parameters.get("binary_data_size")
        if (size is None) == (self.data is msgspec.UNSET or self.data is None):
            raise _wrong(self, "has no data" if size is None else "has its data twice", cure=_ONE_FORM)
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
            raise _wrong(self, "has a `binary_data_size` that is no number of bytes", cure=_ONE_FORM)
        return size


class OutputTensor(NamedTuple):
    """A tensor of an answer.

    Attributes:
        name: Which output it is.
        datatype: One of `DATATYPES`.
        shape: Sizes, outermost first.
        values: Flat, in the order of rows.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Sequence[Any]


def split_binary(tensors: Sequence[InputTensor], tail: memoryview) -> list[memoryview | None]:
    """Deal the bytes behind the JSON out to the tensors that announce some, in their order.

    Args:
        tensors: All tensors of the request.
        tail: What follows the JSON.

    Returns:
        For each tensor its bytes; None for one whose values are in the JSON.

    Raises:
        RequestError: The announced sizes are not those of the tail.
    """
    sizes = [tensor.binary_size for tensor in tensors]
    announced = sum(size for size in sizes if size is not None)
    if announced != len(tail):
        raise RequestError(
            f"the inputs announce {_shown(announced)} bytes behind the JSON, and there are {len(tail)}",
            cure="Make the sum of all `binary_data_size` the body's length without `Inference-Header-Content-Length`.",
        )
    dealt: list[memoryview | None] = []
    start = 0
    for size in sizes:
        dealt.append(None if size is None else tail[start : start + size])
        start += size or 0
    return dealt


def decode(tensor: InputTensor, binary: memoryview | None = None) -> Values:
    r"""Return a tensor's values.

    Args:
        tensor: The tensor.
        binary: Its bytes, None when its values are in the JSON.

    Raises:
        RequestError: Number or datatype of the values are not what the tensor announces; names tensor and value.

    Example:
        >>> decode(InputTensor("age", [2], "FP64", [41.0, None]))
        [41.0, None]
        >>> decode(InputTensor("plan", [1], "BYTES"), memoryview(b"\x04\0\0\0gold"))
        ['gold']
    """
    check_datatype(tensor)
    if len(tensor.shape) > _MOST_DIMENSIONS:
        raise _wrong(tensor, f"has more than {_MOST_DIMENSIONS} dimensions")
    count = math.prod(tensor.shape)
    if binary is None:
        data = tensor.data
        if isinstance(data, list) and len(data) == count and _are_plain(tensor.datatype, data):
            return data
        return _checked(tensor, _flat(tensor, count))
    if tensor.datatype == BYTES:
        return _texts(tensor, binary, count)
    return _numbers(tensor, binary, count)


def encode(tensor: OutputTensor) -> bytes:
    r"""Return a tensor's values as bytes.

    Example:
        >>> encode(OutputTensor("prediction", "BYTES", (2,), ["no", "yes"]))
        b'\x02\x00\x00\x00no\x03\x00\x00\x00yes'
    """
    if tensor.datatype == BYTES:
        texts = [text.encode() for text in tensor.values]
        return b"".join(chain.from_iterable((_LENGTH.pack(len(text)), text) for text in texts))
    return np.asarray(tensor.values, dtype=_STORAGES[tensor.datatype]).tobytes()


def check_datatype(tensor: InputTensor, allowed: Sequence[str] = DATATYPES) -> None:
    """Refuse a tensor of another datatype than the allowed ones.

    Raises:
        RequestError: Names the tensor, its datatype and the allowed ones.
    """
    if tensor.datatype not in allowed:
        given = shorten(tensor.datatype, 20)
        cure = f"Allowed: {', '.join(allowed)}." if tensor.datatype in DATATYPES else did_you_mean(given, allowed)
        raise _wrong(tensor, f"has the datatype `{given}`", cure=cure)


def _flat(tensor: InputTensor, count: int) -> list[Any]:
    """Return the values of JSON data, flat."""
    data = tensor.data
    if not isinstance(data, list):
        raise _wrong(tensor, "has `data` that is no list")
    if not any(isinstance(item, list) for item in data):
        if len(data) != count:
            raise _wrong(tensor, f"has {len(data)} values where its shape asks for {_shown(count)}")
        return data
    level: list[Any] = [data]
    for size in tensor.shape:
        if not all(isinstance(item, list) and len(item) == size for item in level):
            raise _wrong(tensor, "has lists of other lengths than its shape says")
        level = list(chain.from_iterable(level))
    return level


def _checked(tensor: InputTensor, values: list[Any]) -> list[Any]:
    """Return JSON values as the datatype has them, or refuse the first that cannot be."""
    read = _JSON_VALUES[tensor.datatype]
    checked = []
    for place, value in enumerate(values):
        try:
            checked.append(None if value is None else read(value))
        except (ValueError, TypeError, OverflowError):
            raise _wrong(tensor, f"has a value, number {place}, that is no {tensor.datatype}") from None
    return checked


def _are_plain(datatype: str, values: list[Any]) -> bool:
    """Whether all values are as the datatype has them, looked at without a call for each."""
    types = set(map(type, values))
    types.discard(type(None))
    if datatype not in INTEGERS:
        return types <= _PLAIN_TYPES.get(datatype, _FLOAT_TYPES)
    if types != _INTEGER_TYPES:
        return False
    given = [value for value in values if value is not None]
    low, high = _LIMITS[datatype]
    return bool(low <= min(given) and max(given) <= high)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    raise ValueError


def _text(value: Any) -> str | int | float:
    """Return a text; some clients turn a text of digits into a number, which a contract reads as that text."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    raise ValueError


def _float(value: Any) -> int | float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise ValueError


def _integer(datatype: str) -> Callable[[Any], int]:
    low, high = _LIMITS[datatype]

    def read(value: Any) -> int:
        if isinstance(value, bool) or value != (whole := int(value)) or not low <= whole <= high:
            raise ValueError
        return whole

    return read


_INTEGER_TYPES: frozenset[type] = frozenset({int})
_FLOAT_TYPES: frozenset[type] = frozenset({float, int})
_PLAIN_TYPES: dict[str, frozenset[type]] = {BOOL: frozenset({bool}), BYTES: frozenset({str})}
_JSON_VALUES: dict[str, Callable[[Any], Any]] = {
    BOOL: _boolean,
    BYTES: _text,
    **{datatype: _integer(datatype) for datatype in INTEGERS},
    **dict.fromkeys(FLOATS, _float),
}


def _numbers(tensor: InputTensor, binary: memoryview, count: int) -> Values:
    """Return the values of bytes of fixed width."""
    storage = _STORAGES[tensor.datatype]
    if len(binary) != count * storage.itemsize:
        raise _wrong(
            tensor,
            f"has {len(binary)} bytes where shape and datatype ask for {_shown(count * storage.itemsize)}",
            cure="Correct `shape`, `datatype` or `binary_data_size`.",
        )
    if tensor.datatype == BOOL:
        return _booleans(tensor, binary)
    if count == 1:
        return list(_SINGLES[tensor.datatype].unpack(binary))
    return np.frombuffer(binary, dtype=storage)


def _booleans(tensor: InputTensor, binary: memoryview) -> list[bool]:
    """Return the values of bytes that are 0 or 1."""
    place = next((place for place, value in enumerate(binary) if value > 1), None)
    if place is not None:
        raise _wrong(tensor, f"has a value, number {place}, that is no {BOOL}")
    return [value == 1 for value in binary]


def _texts(tensor: InputTensor, binary: memoryview, count: int) -> list[Any]:
    """Return the values of bytes in which each text follows its length."""
    if count * _LENGTH.size > len(binary):
        raise _wrong(tensor, f"has {len(binary)} bytes, too few for {_shown(count)} texts")
    content, length_at = bytes(binary), _LENGTH.unpack_from
    texts: list[Any] = []
    start = 0
    try:
        for _ in range(count):
            begin = start + _LENGTH.size
            start = begin + length_at(content, start)[0]
            texts.append(content[begin:start].decode())
    except UnicodeDecodeError:
        raise _wrong(tensor, f"has a text, number {len(texts)}, that is not UTF-8") from None
    except struct.error:
        raise _wrong(tensor, f"has bytes that end before text number {len(texts)}") from None
    if start != len(content):
        than = "fewer" if start > len(content) else "more"
        raise _wrong(tensor, f"has {than} bytes than its texts announce")
    return texts


def _shown(count: int) -> str:
    """Show a count, which can have any number of digits."""
    return str(count) if count < 10**15 else "more than 10^15"


def _wrong(tensor: InputTensor, what: str, cure: str = "Correct `shape`, `datatype` or the values.") -> RequestError:
    return RequestError(f"the input `{shorten(tensor.name, 60)}` {what}", cure=cure)
