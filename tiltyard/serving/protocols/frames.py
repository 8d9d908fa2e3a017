"""Bodies of MLflow's scoring protocol → named columns or rows with raw values: JSON in four forms, CSV, Parquet.

What the values are is not looked at here: the model's reader types them by the contract. A cell of CSV stays text, as
training reads it, and means missing where training says so.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from tiltyard.errors import DataError
from tiltyard.serving.answers import RequestError

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
DELIMITERS = (",", ";", "\t", "|")
_ONE_OF = f"Send a JSON object with exactly one of {', '.join(FORMS)}."
_SPLIT = 'Send {"columns": ["name", …], "data": [[value, …], …]}.'
_TOKENS = re.compile(rb'"(?>[^"\\]|\\.)*+"?|NaN', re.DOTALL)
_LONGEST_CELL = 2**31 - 1

Rows = Sequence[Mapping[str, object]]


class Frame(NamedTuple):
    """A table by columns.

    Attributes:
        columns: Name → raw values, all of one length.
        rows: That length.
    """

    columns: Mapping[str, Sequence[object]]
    rows: int


class Sent(NamedTuple):
    """What a body holds.

    Attributes:
        table: By columns or by rows, at least one row.
        params: Beside the table; JSON only.
    """

    table: Frame | Rows
    params: Mapping[str, object]


class Bounds(NamedTuple):
    """What a table is read with.

    Attributes:
        features: Names that the model knows, in order.
        others: Names beside them that decide which version answers.
        rows: Most rows.
        unpacked: Most bytes of a Parquet table without its compression.
    """

    features: tuple[str, ...]
    others: tuple[str, ...]
    rows: int
    unpacked: int


class _Body(msgspec.Struct):
    """A JSON body; other keys are let pass, as MLflow does."""

    dataframe_split: Any = msgspec.UNSET
    dataframe_records: Any = msgspec.UNSET
    instances: Any = msgspec.UNSET
    inputs: Any = msgspec.UNSET
    params: Any = None


_decoder = msgspec.json.Decoder(_Body)


def from_json(body: bytes, bounds: Bounds) -> Sent:
    """Read a JSON body. `NaN`, which MLflow's client writes for a missing number, is read as null.

    Raises:
        RequestError: 400 for another shape, 413 for too many rows.
        DataError: The values have no names, or the parameters are of the wrong type.
    """
    content = _decode(body)
    forms = {form: getattr(content, form) for form in FORMS if getattr(content, form) is not msgspec.UNSET}
    if len(forms) != 1:
        found = f"there are {len(forms)} of them" if forms else "there is none of them"
        raise RequestError(f"exactly one of {', '.join(FORMS)} is expected, and {found}", cure=_ONE_OF)
    form, table = next(iter(forms.items()))
    params = {} if content.params is None else content.params
    if not isinstance(params, dict):
        raise DataError("`params` is no object", cure='Send for instance {"probabilities": true}.')
    return Sent(_bounded(_READERS[form](table, form, bounds.features), bounds), params)


def from_csv(body: bytes, bounds: Bounds) -> Sent:
    """Read a CSV body: a header, then rows. The delimiter is the one that shows most of the features in the header.

    Raises:
        RequestError: 400 for what is no such table, 413 for too many rows.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RequestError("the body is not UTF-8", cure="Encode the table as UTF-8.") from None
    csv.field_size_limit(_LONGEST_CELL)
    try:
        records = _records(text, _delimiter(text, bounds.features))
        names = tuple(name.strip() for name in next(records, []))
        _check_names(names, "the header")
        rows = _filled(records, len(names), bounds)
    except csv.Error as error:
        raise RequestError("the body is not CSV", where=_why(error), cure="Close every quote, or double it.") from None
    cells: Sequence[Sequence[object]] = list(zip(*rows, strict=True))
    columns = {name: column for name, column in zip(names, cells, strict=False) if name}
    return Sent(_bounded(Frame(columns, len(rows)), bounds), {})


def from_parquet(body: bytes, bounds: Bounds) -> Sent:
    """Read a Parquet body; columns that nobody asks for are not unpacked.

    Raises:
        RequestError: 400 for what is no Parquet file, 413 for too many rows or too much data.
    """
    from tiltyard.serving.protocols import parquet  # noqa: PLC0415  # loads Arrow, which few servers ever need

    names = tuple(dict.fromkeys(bounds.features + bounds.others))
    columns, rows = parquet.read(body, names, most_rows=bounds.rows, most_bytes=bounds.unpacked)
    return Sent(_bounded(Frame(columns, rows), bounds), {})


def _decode(body: bytes) -> _Body:
    """Decode JSON; only what fails is looked through for `NaN`."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if b"NaN" not in body:
            raise _unread(error) from None
    try:
        return _decoder.decode(_TOKENS.sub(lambda token: b"null" if token[0] == b"NaN" else token[0], body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unread(error) from None


def _unread(error: Exception) -> RequestError:
    """Explain a body that cannot be decoded, without its content."""
    if isinstance(error, msgspec.ValidationError):
        return RequestError("the body is not a JSON object of numbers, texts and lists", cure=_ONE_OF)
    if isinstance(error, UnicodeDecodeError):
        return RequestError("the body is not UTF-8", cure="Encode the JSON as UTF-8.")
    if isinstance(error, RecursionError):
        return RequestError("the JSON is nested too deeply", cure=_ONE_OF)
    return RequestError("the body is not valid JSON", cure=_ONE_OF)


def _split(table: Any, form: str, features: tuple[str, ...]) -> Frame:
    """Read `{"columns": […], "data": [[…], …]}`."""
    del features
    if not isinstance(table, dict) or not table.keys() <= {"columns", "index", "data"}:
        raise RequestError(f"`{form}` is no object of columns, data and index", cure=_SPLIT)
    names, data = table.get("columns"), table.get("data")
    if not isinstance(data, list) or not all(isinstance(row, list) for row in data):
        raise RequestError(f"`data` of `{form}` is no list of lists", cure=_SPLIT)
    if names is None:
        raise DataError("the values have no names", where=form, cure=_SPLIT)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RequestError(f"`columns` of `{form}` is no list of texts", cure=_SPLIT)
    _check_names(names, "`columns`")
    _check_widths(data, len(names))
    return Frame(dict(zip(names, zip(*data, strict=True), strict=False)), len(data))


def _records_form(table: Any, form: str, features: tuple[str, ...]) -> Rows:
    """Read `[{…}, …]`."""
    del features
    if not isinstance(table, list) or not all(isinstance(row, dict) for row in table):
        raise RequestError(f"`{form}` is no list of objects", cure='Send [{"name": value, …}, …].')
    return table


def _tensors(table: Any, form: str, features: tuple[str, ...]) -> Frame | Rows:
    """Read rows `[{…}, …]`, columns `{"name": […], …}`, one row `{"name": value, …}`, or the values of one feature."""
    if isinstance(table, dict):
        return _columns(table, form)
    if isinstance(table, list) and table and all(isinstance(row, dict) for row in table):
        return table
    if isinstance(table, list) and len(features) == 1 and not any(isinstance(value, list | dict) for value in table):
        return Frame({features[0]: table}, len(table))
    if table == []:
        return Frame({}, 0)
    raise DataError("the values have no names", where=form, cure=f'Send "{form}": [{{"name": value, …}}, …].')


def _columns(table: Mapping[str, Any], form: str) -> Frame:
    """Read columns by their names, or one row."""
    lists = [isinstance(values, list) for values in table.values()]
    if not any(lists):
        return Frame({name: [value] for name, value in table.items()}, 1 if table else 0)
    lengths = {len(values) for values in table.values()} if all(lists) else set()
    if len(lengths) != 1:
        cure = "Send a list for every column, all of one length."
        raise RequestError(f"the columns of `{form}` are not of one length", cure=cure)
    return Frame(table, lengths.pop())


_READERS: Mapping[str, Callable[[Any, str, tuple[str, ...]], Frame | Rows]] = {
    "dataframe_split": _split,
    "dataframe_records": _records_form,
    "instances": _tensors,
    "inputs": _tensors,
}


def _bounded(table: Frame | Rows, bounds: Bounds) -> Frame | Rows:
    """Refuse no rows and too many."""
    rows = table.rows if isinstance(table, Frame) else len(table)
    if rows == 0:
        raise RequestError("there are no rows", cure="Send at least one.")
    if rows > bounds.rows:
        raise too_many(bounds.rows)
    return table


def too_many(most: int) -> RequestError:
    """Explain that a table has more rows than are answered at once."""
    cure = f"Send at most {most} in one request; `tiltyard predict` answers whole tables."
    return RequestError.of(413, "there are too many rows", cure=cure)


def _check_names(names: Sequence[str], where: str) -> None:
    """Refuse repeated names; an empty one, as pandas writes over its index, is let pass."""
    named = [name for name in names if name]
    if not named:
        raise RequestError(f"{where} names no column", cure="Name the features of the model.")
    if len(set(named)) < len(named):
        raise RequestError(f"a name stands twice in {where}", cure="Name every column once.")


def _check_widths(rows: Sequence[Sequence[object]], width: int) -> None:
    """Refuse rows that are not as long as there are columns."""
    for number, row in enumerate(rows):
        if len(row) != width:
            raise _ragged(number, len(row), width)


def _ragged(number: int, found: int, width: int) -> RequestError:
    what = f"there are {found} values for {width} columns"
    return RequestError(what, where=f"row {number}", cure="Give every column a value; an empty one is missing.")


def _records(text: str, delimiter: str, *, strict: bool = True) -> Iterator[list[str]]:
    """Yield the records of a CSV text; blank lines are passed."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=strict)
    return (record for record in reader if record)


def _delimiter(text: str, features: tuple[str, ...]) -> str:
    """Return the delimiter that shows most of the features in the header."""
    known = frozenset(features)

    def shown(delimiter: str) -> int:
        header = next(_records(text, delimiter, strict=False), [])
        return len(known & {name.strip() for name in header})

    return max(DELIMITERS, key=shown)


def _filled(records: Iterator[list[str]], width: int, bounds: Bounds) -> list[list[str]]:
    """Return the rows of a CSV text, all of the header's width, and not many more than are answered."""
    rows: list[list[str]] = []
    for number, record in enumerate(records):
        if len(record) != width:
            raise _ragged(number, len(record), width)
        if number == bounds.rows:
            raise too_many(bounds.rows)
        rows.append(record)
    return rows


def _why(error: csv.Error) -> str:
    """Say what the CSV reader stumbled over; its sentences hold no values."""
    return "a quote is never closed" if "end of data" in str(error) else "a quote stands inside a value"
