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

from tiltyard.data.contract import Contract, Kind, Level
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
_MOST_COMPARED = 1000
_LIST = "Send one input for each column; the model's metadata lists them."


class Table(NamedTuple):
    """The rows of a request, column by column.

    Attributes:
        columns: Column of the contract → raw values.
        rows: How many.
    """

    columns: dict[str, Values]
    rows: int


class Signature:
    """The tensors that one version takes and gives; a protected column takes its values in the clear.

    Args:
        contract: Names and types the columns.
        classes: Classes in the order of the probabilities; empty for regression.
    """

    def __init__(self, contract: Contract, classes: Sequence[Level]) -> None:
        self._task = contract.task.value
        self._classes = tuple(classes)
        self._datatype = _class_datatype(self._classes)
        self._levels: tuple[Any, ...] = tuple(map(str, classes)) if self._datatype == BYTES else self._classes
        self._kinds = {column.name: raw_column(column).kind for column in contract.columns}
        self._features = tuple(column.name for column in contract.features)
        self._required = tuple(column.name for column in contract.features if not column.nullable)
        self._no_number = next((name for name in self._features if self._kinds[name] not in _TOLD), None)

    @property
    def inputs(self) -> list[dict[str, Any]]:
        """Metadata of the inputs."""
        return [
            {"name": name, "datatype": _TOLD.get(self._kinds[name], BYTES), "shape": [-1]} for name in self._features
        ]

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """Metadata of the outputs."""
        outputs: list[dict[str, Any]] = [{"name": PREDICTION, "datatype": self._datatype, "shape": [-1]}]
        if self._classes:
            outputs.append({"name": PROBABILITIES, "datatype": _FLOAT, "shape": [-1, len(self._classes)]})
        return outputs

    @property
    def properties(self) -> dict[str, str]:
        """What else a client must know: the task, and the classes in the order of the probabilities, as JSON."""
        properties = {"task": self._task}
        if self._classes:
            properties["classes"] = msgspec.json.encode(self._classes).decode()
        return properties

    def read(self, tensors: Sequence[InputTensor], binaries: Sequence[memoryview | None], most_rows: int) -> Table:
        """Return the columns that a request's inputs hold.

        Args:
            tensors: Inputs.
            binaries: For each its bytes, None where its values are in the JSON.
            most_rows: Limit of rows.

        Raises:
            RequestError: 400 for inputs that are not the model's; names the input. 413 for too many rows.
        """
        if not tensors:
            raise RequestError("there are no inputs", cure=_LIST)
        if len(tensors) == 1 and len(tensors[0].shape) == 2 and tensors[0].name not in self._kinds:
            return self._read_matrix(tensors[0], binaries[0], most_rows)
        self._check_names(tensors)
        rows = _rows_of(tensors, most_rows)
        columns = {}
        for tensor, binary in zip(tensors, binaries, strict=True):
            check_datatype(tensor, _ALLOWED[self._kinds[tensor.name]])
            columns[tensor.name] = decode(tensor, binary)
        return Table(columns, rows)

    def check(self, requested: Sequence[str]) -> None:
        """Refuse outputs that the version does not have, or that are asked for twice.

        Raises:
            RequestError: 400; names the output.
        """
        names = self._output_names
        for number, name in enumerate(requested):
            if name not in names:
                what = f"there is no output `{shorten(name, 60)}`"
                raise RequestError(what, where=f"outputs[{number}]", cure=did_you_mean(name[:60], names))
            if name in requested[:number]:
                raise RequestError(f"the output `{name}` is asked for twice", cure="Name it once.")

    def write(self, answers: Sequence[Any], outputs: Sequence[Any], requested: Sequence[str]) -> list[OutputTensor]:
        """Return answers as tensors.

        Args:
            answers: One a row: the number of the class, or the value.
            outputs: One a row: the probabilities, or the value.
            requested: Names of the outputs that are wanted, checked, in their order; none for all.
        """
        rows = len(answers)
        tensors = []
        for name in requested or self._output_names:
            if name == PREDICTION:
                values = [self._levels[code] for code in answers] if self._classes else answers
                tensors.append(OutputTensor(name, self._datatype, (rows,), values))
            else:
                shape = (rows, len(self._classes))
                tensors.append(OutputTensor(name, _FLOAT, shape, list(chain.from_iterable(outputs))))
        return tensors

    @property
    def _output_names(self) -> tuple[str, ...]:
        return (PREDICTION, PROBABILITIES) if self._classes else (PREDICTION,)

    def _read_matrix(self, tensor: InputTensor, binary: memoryview | None, most_rows: int) -> Table:
        """Return the columns of one input that holds them all."""
        if self._no_number is not None:
            raise self._unknown(tensor, f"One input for all columns needs numbers, and `{self._no_number}` is none.")
        rows, width = tensor.shape
        if width != len(self._features):
            names = shorten(", ".join(self._features), 120)
            cure = f"It takes [n, {len(self._features)}], in this order: {names}."
            raise RequestError(f"the input `{shorten(tensor.name, 60)}` has {width} columns", cure=cure)
        booleans = all(self._kinds[name] is Kind.BOOLEAN for name in self._features)
        check_datatype(tensor, (BOOL, *_NUMBERS) if booleans else _NUMBERS)
        _check_rows(rows, most_rows)
        values = decode(tensor, binary)
        return Table({name: values[place::width] for place, name in enumerate(self._features)}, rows)

    def _check_names(self, tensors: Sequence[InputTensor]) -> None:
        """Refuse inputs that are no columns, that come twice, or without which the model cannot answer."""
        given: set[str] = set()
        for tensor in tensors:
            if tensor.name not in self._kinds:
                raise self._unknown(tensor)
            if tensor.name in given:
                raise RequestError(f"the input `{tensor.name}` comes twice", cure="Send it once.")
            given.add(tensor.name)
        if not given.issuperset(self._required):
            missing = next(name for name in self._required if name not in given)
            raise RequestError(f"there is no input `{missing}`", cure=_LIST)

    def _unknown(self, tensor: InputTensor, why: str = "") -> RequestError:
        """Explain an input that is no column."""
        hint = why or did_you_mean(tensor.name[:60], self._features[:_MOST_COMPARED])
        return RequestError(f"there is no input `{shorten(tensor.name, 60)}` of this model", cure=hint)


def _class_datatype(classes: Sequence[Level]) -> str:
    """Return the datatype of `prediction`."""
    datatypes: dict[type, str] = {bool: BOOL, int: _INTEGER, float: _FLOAT}
    types = {type(level) for level in classes} or {float}
    return datatypes.get(types.pop(), BYTES) if len(types) == 1 else BYTES


def _rows_of(tensors: Sequence[InputTensor], most_rows: int) -> int:
    """Return the number of rows, which all inputs agree on."""
    for tensor in tensors:
        if len(tensor.shape) != 1:
            _check_column(tensor)
        if tensor.shape[0] != tensors[0].shape[0]:
            sizes = f"{tensors[0].shape[0]} rows and `{tensor.name}` {tensor.shape[0]}"
            raise RequestError(f"`{tensors[0].name}` has {sizes}", cure="Send as many in each input.")
    rows = tensors[0].shape[0]
    _check_rows(rows, most_rows)
    return rows


def _check_column(tensor: InputTensor) -> None:
    """Refuse a tensor that holds more than one column, or none."""
    shape = tensor.shape
    if len(shape) == 2 and shape[1] == 1:
        return
    holds = f"{shape[1]} columns" if len(shape) == 2 else f"{len(shape)} dimensions"
    cure = "Its shape is [n] or [n, 1], where n is the number of rows."
    raise RequestError(f"the input `{tensor.name}` has {holds}", cure=cure)


def _check_rows(rows: int, most: int) -> None:
    """Refuse no rows, and more than the server answers at once."""
    if not rows:
        raise RequestError("there are no rows", cure="Send at least one.")
    if rows > most:
        cure = f"Send at most {most} in one request; `tiltyard predict` answers whole tables."
        raise RequestError.of(413, f"{rows} rows are too many", cure=cure)
