"""MLflow's scoring protocol, for clients that were written for `mlflow models serve`.

    POST /invocations                       a table → {"predictions": [one entry a row]}
    POST /v1/models/{name}/invocations      the same where a server has several models
    GET  /ping, /health                     200 when every model can answer, else 404
    GET  /version                           the version of MLflow whose protocol this is

A table is sent as `application/json` (an object with exactly one of `dataframe_split`, `dataframe_records`, `instances`
and `inputs`), as `text/csv` or as `application/vnd.apache.parquet`. An entry of `predictions` is the class, or the
number; with `"params": {"probabilities": true}` beside a JSON table it is
`{"prediction": "yes", "probabilities": {"no": 0.2, "yes": 0.8}}`. The header `x-prediction-id` has the prediction's id.

Errors are `{"error_code": …, "message": …}`, with MLflow's codes and status 400 for whatever is wrong with a table; a
content type that is not read is refused with 415 and a plain text. Unlike MLflow's own server this one reads a body
without a content type as JSON, and never sends a stack trace or the client's data back.
"""

from collections.abc import Callable, Mapping
from typing import Any

from tiltyard.bundle.reading import Typed
from tiltyard.errors import DataError, TiltyardError
from tiltyard.serving.answers import JSON, Answer, Headers, RequestError, json_answer, shorten, to_json
from tiltyard.serving.protocols.frames import Bounds, Frame, Sent, from_csv, from_json, from_parquet
from tiltyard.serving.requests import Request, require
from tiltyard.serving.scoring import Scored, score
from tiltyard.serving.settings import Limits
from tiltyard.serving.slots import Served, Slot

MLFLOW_VERSION = "3.17.2"
INVOCATIONS = "/invocations"
_PREFIX = "/v1/models/"
_PROBES = frozenset({"/ping", "/health"})
_UNPACKED = 16
"""A Parquet table may be so many times as large as the longest body, once it is unpacked."""

_PLAIN: Headers = ((b"content-type", b"text/plain; charset=utf-8"),)
_READERS: Mapping[str, Callable[[bytes, Bounds], Sent]] = {
    "application/json": from_json,
    "text/csv": from_csv,
    "application/vnd.apache.parquet": from_parquet,
}
_CODES = {
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "ENDPOINT_NOT_FOUND",
    429: "REQUEST_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def answer(served: Served, request: Request) -> Answer:
    """Answer a request to one of this protocol's paths.

    Raises:
        RequestError: There is no such path or model, the method is another, or the body is no table.
        DataError: A value breaks the contract; names row and column.
    """
    path = request.path
    if path in _PROBES:
        require(request, "GET")
        return Answer(200 if _is_ready(served) else 404, b"\n", JSON)
    if path == "/version":
        require(request, "GET")
        return Answer(200, MLFLOW_VERSION.encode(), JSON)
    name = _name(served, path)
    require(request, "POST")
    return invoke(served, request, name)


def refusal(error: TiltyardError, headers: Headers = ()) -> Answer:
    """Return the answer of a failure in the shape of this protocol."""
    message = shorten(str(error))
    if error.http_status == 415:
        return Answer(415, message.encode("utf-8", "replace"), _PLAIN + headers)
    breaks_contract = error.http_status == 422
    status = 400 if breaks_contract else error.http_status
    code = "INVALID_PARAMETER_VALUE" if breaks_contract else _CODES.get(status, _class_of(status))
    return json_answer({"error_code": code, "message": message}, status=status, headers=headers)


def invoke(served: Served, request: Request, name: str) -> Answer:
    """Answer a table.

    Args:
        served: Slots, names and limits.
        request: Its body holds the table.
        name: Model.

    Raises:
        RequestError: No such model, no such content type, another shape than a table, or too many rows.
        DataError: A value breaks the contract; names row and column.
    """
    table = _Table(request, served.limits, served.sticky(name))
    scored = score(served, request, name, table.read)
    return scored.answer(to_json({"predictions": _predictions(scored, with_probabilities=table.probabilities)}))


class _Table:
    """The table of one request, which a version reads.

    Attributes:
        probabilities: Whether the answer is to hold them; known once the table was read.
    """

    def __init__(self, request: Request, limits: Limits, sticky: str | None) -> None:
        self._request = request
        self._limits = limits
        self._others = () if sticky is None else (sticky,)
        self.probabilities = False

    def read(self, slot: Slot) -> Typed:
        """Type the table by a version's contract."""
        limits = self._limits
        bounds = Bounds(slot.reader.names, self._others, limits.rows, limits.body_bytes * _UNPACKED)
        table, params = _format(self._request)(self._request.body, bounds)
        self.probabilities = _wants_probabilities(params, slot)
        return slot.reader.type_columns(*table) if isinstance(table, Frame) else slot.reader.type(table)


def _is_ready(served: Served) -> bool:
    """Whether every model can be answered for and logged, and the server is not going away."""
    return served.standing == "ready"


def _name(served: Served, path: str) -> str:
    """Return the model that a path asks.

    Raises:
        RequestError: 404 where the path names none and the server has several, or there is no such path.
    """
    if path == INVOCATIONS:
        if len(served.names) == 1:
            return served.names[0]
        addresses = ", ".join(f"{_PREFIX}{name}{INVOCATIONS}" for name in served.names)
        raise RequestError.of(404, f"`{INVOCATIONS}` is for a server with one model", cure=f"Send to {addresses}.")
    name = path.removeprefix(_PREFIX).removesuffix(INVOCATIONS)
    if path != f"{_PREFIX}{name}{INVOCATIONS}" or not name or "/" in name:
        raise RequestError.of(404, f"there is nothing at `{shorten(path, 80)}`", cure=f"Send to {INVOCATIONS}.")
    return name


def _format(request: Request) -> Callable[[bytes, Bounds], Sent]:
    """Return what reads a body of this content type; none given is JSON.

    Raises:
        RequestError: 415 for another type, character set or parameter.
    """
    kind, *parameters = request.headers.get(b"content-type", b"").decode("latin-1").lower().split(";")
    for parameter in filter(None, map(str.strip, parameters)):
        key, _, value = parameter.partition("=")
        if key.strip() != "charset":
            raise RequestError.of(415, "the content type has a parameter that is not read", cure=_TYPES)
        if value.strip(' "') != "utf-8":
            raise RequestError.of(415, "only the character set utf-8 is read", cure=_TYPES)
    reader = _READERS.get(kind.strip() or "application/json")
    if reader is None:
        raise RequestError.of(415, "this content type is not read", cure=_TYPES)
    return reader


_TYPES = f"Send {', '.join(_READERS)}, with no parameter but charset=utf-8."


def _wants_probabilities(params: Mapping[str, object], slot: Slot) -> bool:
    """Return the one parameter that is read; others are let pass, as MLflow does for a model without any."""
    wanted = params.get("probabilities", False)
    if not isinstance(wanted, bool):
        raise DataError("`probabilities` is neither true nor false", where="params", cure="Send true or false.")
    if wanted and not slot.classes:
        raise DataError(f"`{slot.name}` answers numbers and has no probabilities", where="params", cure="Send false.")
    return wanted


def _predictions(scored: Scored, *, with_probabilities: bool) -> list[Any]:
    """Return one entry a row."""
    slot = scored.slot
    if not slot.classes:
        return scored.answers
    labels = [slot.classes[code] for code in scored.answers]
    if not with_probabilities:
        return labels
    return [
        {"prediction": label, "probabilities": dict(zip(slot.class_keys, row, strict=True))}
        for label, row in zip(labels, scored.outputs, strict=True)
    ]


def _class_of(status: int) -> str:
    """Return the code of a status that has none of its own."""
    return "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR"
