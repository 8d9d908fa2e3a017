"""A model's signature: its columns and answers as tensors of the Open Inference Protocol.

Two forms of a request are read. Either there is one input per column, by name, of shape [n] or [n, 1]:

    number      FP64; any width of number is read
    integer     INT64; any width of number is read
    boolean     BOOL; 1 and 0 of any width of number are read
    category    BYTES; integers and booleans are read
    text        BYTES; integers and booleans are read
    time        BYTES

or, where all columns hold numbers or booleans, there is one input of any name and of shape [n, columns], in the order
of the metadata. A column that may be missing may be left out. A missing value is null in JSON; NaN in a floating point
tensor, which is how bytes tell it for integers and booleans, too; and an empty text, as in CSV.

A classification answers `prediction`, the class with its own type, and `probabilities`, FP64 of shape [n, classes] in
the order of the metadata's `classes`; a regression answers `prediction`, FP64.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import msgspec

from tiltyard.data.contract import Column, Contract, Kind
from tiltyard.data.protection import raw_column
from tiltyard.errors import did_you_mean
from tiltyard.serving.answers import RequestError, shorten
from tiltyard.serving.protocols.tensors import (
    BOOL,
    BYTES,
    FLOATS,
    INTEGERS,
    InputTensor,
    OutputTensor,
    Values,
    check_datatype,
    decode,
)
from tiltyard.serving.scoring import Scored
from tiltyard.serving.slots import Slot

PREDICTION = "prediction"
PROBABILITIES = "probabilities"

_FLOAT = "FP64"
_INTEGER = "INT64"
_NUMBERS = (*FLOATS, *INTEGERS)
_TEXTS = (BYTES, *INTEGERS, BOOL)
_ALLOWED: Mapping[Kind, tuple[str, ...]] = {
    Kind.NUMBER: _NUMBERS,
    Kind.INTEGER: _NUMBERS,
    Kind.BOOLEAN: (BOOL, *_NUMBERS),
    Kind.CATEGORY: _TEXTS,
    Kind.TEXT: _TEXTS,
    Kind.TIME: (BYTES,),
}
_TOLD: Mapping[Kind, str] = {Kind.NUMBER: _FLOAT, Kind.INTEGER: _INTEGER, Kind.BOOLEAN: BOOL}
_NUMERIC = frozenset(_TOLD)


class Table(NamedTuple):
    """The rows of a request, column by column.

    Attributes:
        columns: Column of the contract → raw values.
        rows: How many.
    """

    columns: dict[str, Values]
    rows: int


def inputs_of(contract: Contract) -> list[dict[str, Any]]:
    """Return the metadata of a model's inputs; a protected column takes its values in the clear."""
    return [
        {"name": column.name, "datatype": _TOLD.get(raw_column(column).kind, BYTES), "shape": [-1]}
        for column in contract.features
    ]


def outputs_of(slot: Slot) -> list[dict[str, Any]]:
    """Return the metadata of a model's outputs."""
    outputs: list[dict[str, Any]] = [{"name": PREDICTION, "datatype": _class_datatype(slot), "shape": [-1]}]
    if slot.classes:
        outputs.append({"name": PROBABILITIES, "datatype": _FLOAT, "shape": [-1, len(slot.classes)]})
    return outputs


def properties_of(slot: Slot) -> dict[str, str]:
    """Return what else a client must know: the task, and the classes in the order of the probabilities, as JSON."""
    properties = {"task": slot.runtime.contract.task.value}
    if slot.classes:
        properties["classes"] = msgspec.json.encode(slot.classes).decode()
    return properties


def read_table(
    tensors: Sequence[InputTensor], binaries: Sequence[memoryview | None], contract: Contract, most_rows: int
) -> Table:
    """Return the columns that a request's inputs hold.

    Args:
        tensors: Inputs.
        binaries: For each its bytes, None where its values are in the JSON.
        contract: Names and types the features.
        most_rows: Limit of rows.

    Raises:
        RequestError: 400 for inputs that are not the model's; names the input. 413 for too many rows.
    """
    if _is_matrix(tensors, contract):
        return _of_matrix(tensors[0], binaries[0], contract, most_rows)
    known = {column.name: column for column in contract.columns}
    if not tensors:
        raise RequestError("there are no inputs", cure="Send one for each column; the model's metadata lists them.")
    _check_names(tensors, contract, known)
    rows = _rows_of(tensors, most_rows)
    columns = {}
    for tensor, binary in zip(tensors, binaries, strict=True):
        check_datatype(tensor, _ALLOWED[raw_column(known[tensor.name]).kind])
        columns[tensor.name] = decode(tensor, binary)
    return Table(columns, rows)


def output_tensors(scored: Scored, requested: Sequence[str]) -> list[OutputTensor]:
    """Return the answers of a model.

    Args:
        scored: The answered rows.
        requested: Names of the outputs that are wanted, checked, in their order; none for all.
    """
    slot = scored.slot
    tensors = []
    for name in requested or [output["name"] for output in outputs_of(slot)]:
        if name == PREDICTION:
            tensors.append(OutputTensor(name, _class_datatype(slot), (len(scored.answers),), _answers(scored)))
        else:
            shape = (len(scored.outputs), len(slot.classes))
            tensors.append(OutputTensor(name, _FLOAT, shape, list(chain.from_iterable(scored.outputs))))
    return tensors


def check_requested(slot: Slot, requested: Sequence[str]) -> None:
    """Refuse outputs that a model does not have, or that are asked for twice.

    Raises:
        RequestError: 400; names the output.
    """
    names = [output["name"] for output in outputs_of(slot)]
    for number, name in enumerate(requested):
        if name not in names:
            what = f"there is no output `{shorten(name, 60)}`"
            raise RequestError(what, where=f"outputs[{number}]", cure=did_you_mean(name[:60], names))
        if name in requested[:number]:
            raise RequestError(f"the output `{name}` is asked for twice", cure="Name it once.")


def _class_datatype(slot: Slot) -> str:
    """Return the datatype of `prediction`."""
    if not slot.classes:
        return _FLOAT
    types = {type(level) for level in slot.classes}
    datatypes: dict[type, str] = {bool: BOOL, int: _INTEGER, float: _FLOAT}
    return datatypes.get(next(iter(types)), BYTES) if len(types) == 1 else BYTES


def _answers(scored: Scored) -> list[Any]:
    """Return one value a row."""
    slot = scored.slot
    if not slot.classes:
        return scored.answers
    levels: Sequence[Any] = slot.class_keys if _class_datatype(slot) == BYTES else slot.classes
    return [levels[code] for code in scored.answers]


def _is_matrix(tensors: Sequence[InputTensor], contract: Contract) -> bool:
    """Whether a request brings all columns in one input."""
    if len(tensors) != 1:
        return False
    named = any(column.name == tensors[0].name for column in contract.columns)
    return not named and len(tensors[0].shape) == 2


def _of_matrix(tensor: InputTensor, binary: memoryview | None, contract: Contract, most_rows: int) -> Table:
    """Return the columns of one input that holds them all."""
    features = contract.features
    other = next((column for column in features if raw_column(column).kind not in _NUMERIC), None)
    if other is not None:
        raise _unknown(tensor, contract, f"One input for all columns needs numbers, and `{other.name}` is none.")
    if tensor.shape[1] != len(features):
        names = shorten(", ".join(column.name for column in features), 120)
        cure = f"It takes [n, {len(features)}], in this order: {names}."
        raise RequestError(f"the input `{shorten(tensor.name, 60)}` has {tensor.shape[1]} columns", cure=cure)
    check_datatype(tensor, (BOOL, *_NUMBERS) if _all_boolean(features) else _NUMBERS)
    rows = _limited(tensor.shape[0], most_rows)
    values = decode(tensor, binary)
    width = len(features)
    return Table({column.name: values[place::width] for place, column in enumerate(features)}, rows)


def _all_boolean(columns: Sequence[Column]) -> bool:
    return all(raw_column(column).kind is Kind.BOOLEAN for column in columns)


def _check_names(tensors: Sequence[InputTensor], contract: Contract, known: Mapping[str, Column]) -> None:
    """Refuse inputs that are no columns, that come twice, or without which the model cannot answer."""
    given: set[str] = set()
    for tensor in tensors:
        if tensor.name not in known:
            raise _unknown(tensor, contract)
        if tensor.name in given:
            raise RequestError(f"the input `{tensor.name}` comes twice", cure="Send it once.")
        given.add(tensor.name)
    for column in contract.features:
        if not column.nullable and column.name not in given:
            raise RequestError(
                f"there is no input `{column.name}`",
                cure="Send one input for each column; the model's metadata lists them.",
            )


def _unknown(tensor: InputTensor, contract: Contract, why: str = "") -> RequestError:
    """Explain an input that is no column."""
    hint = why or did_you_mean(tensor.name[:60], [column.name for column in contract.features][:1000])
    return RequestError(f"there is no input `{shorten(tensor.name, 60)}` of this model", cure=hint)


def _rows_of(tensors: Sequence[InputTensor], most_rows: int) -> int:
    """Return the number of rows, which all inputs agree on."""
    for tensor in tensors:
        if not (len(tensor.shape) == 1 or (len(tensor.shape) == 2 and tensor.shape[1] == 1)):
            what = f"the input `{tensor.name}` has {len(tensor.shape)} dimensions"
            if len(tensor.shape) == 2:
                what = f"the input `{tensor.name}` has {tensor.shape[1]} columns"
            raise RequestError(what, cure="Its shape is [n] or [n, 1], where n is the number of rows.")
        if tensor.shape[0] != tensors[0].shape[0]:
            sizes = f"{tensors[0].shape[0]} rows and `{tensor.name}` {tensor.shape[0]}"
            raise RequestError(f"`{tensors[0].name}` has {sizes}", cure="Send as many in each input.")
    return _limited(tensors[0].shape[0], most_rows)


def _limited(rows: int, most: int) -> int:
    """Refuse no rows, and more than the server answers at once."""
    if not rows:
        raise RequestError("there are no rows", cure="Send at least one.")
    if rows > most:
        cure = f"Send at most {most} in one request; `tiltyard predict` answers whole tables."
        raise RequestError.of(413, f"{rows} rows are too many", cure=cure)
    return rows
