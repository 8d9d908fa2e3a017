"""The handler: a request's bytes → an answer's bytes, a pure function beneath any transport.

    POST /v1/models/{name}/predict    {"rows": [{"age": 41, "plan": null}]}  or  {"features": [41, null]}
    GET  /v1/models                   the models of this server
    GET  /v1/models/{name}            one model: version, classes, features
    GET  /health/live                 the process answers
    GET  /health/ready                every model of this server can answer

A prediction is answered with

    {"model": "churn", "version": 3,
     "predictions": [{"prediction": "yes", "probabilities": {"no": 0.2, "yes": 0.8}}],
     "notes": [{"column": "plan", "rows": [0], "note": "…"}]}

one entry of `predictions` a row, in the order of the rows. `prediction` is the class with the type it has in the
contract, and the keys of `probabilities` are the classes as text; for a regression an entry is `{"prediction": 12.5}`.
`notes` names what was answered and deserves a look: levels never seen in training, numbers outside the contract's range
(`"outside 19 to 75, the range in training"`), columns the model does not know. Row numbers count from 0.
Every error has the shape of `tiltyard.serving.answers`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tiltyard.bundle.model import Predictions
from tiltyard.data.contract import Column
from tiltyard.data.protection import raw_column
from tiltyard.data.rows import TypedRows
from tiltyard.errors import TiltyardError, did_you_mean
from tiltyard.serving.answers import Answer, RequestError, error_answer, json_answer, shorten
from tiltyard.serving.decoding import decode_rows
from tiltyard.serving.slots import Served, Slot

_MODELS = "/v1/models"
_ROUTES = "POST /v1/models/{name}/predict, GET /v1/models, /v1/models/{name}, /health/live, /health/ready"
_MOST_NOTED = 20


class Request(NamedTuple):
    """An HTTP request after any transport.

    Attributes:
        method: Upper case.
        path: Decoded, without the query.
        body: As it came, already within the limit.
        encoding: Value of `content-encoding`, empty when there is none.
    """

    method: str
    path: str
    body: bytes = b""
    encoding: str = ""


def handle(served: Served, request: Request) -> Answer:
    """Answer a request.

    Args:
        served: Slots, names and limits; read once, so that one version answers.
        request: Method, path, body.

    Returns:
        The answer; a failure that a client or an operator can cure is one, too.
    """
    try:
        return _route(served, request)
    except RequestError as error:
        return error_answer(error, error.headers)
    except TiltyardError as error:
        return error_answer(error)


def _route(served: Served, request: Request) -> Answer:
    path = request.path
    if path.startswith("/v1/models/"):
        name, slash, action = path[len("/v1/models/") :].partition("/")
        if action == "predict":
            _require(request, "POST")
            return predict(_slot(served, name), request, served.limits.rows)
        if name and not slash:
            _require(request, "GET")
            return json_answer(_detail(served, name))
    elif path in _FIXED:
        _require(request, "GET")
        return _FIXED[path](served)
    raise RequestError.of(404, f"there is nothing at `{shorten(path, 80)}`", cure=f"There is: {_ROUTES}.")


def _require(request: Request, method: str) -> None:
    """Refuse another method than the route has; HEAD is answered like GET."""
    if request.method == method or (method == "GET" and request.method == "HEAD"):
        return
    raise RequestError.of(
        405,
        f"`{shorten(request.method, 20)}` is not for this path",
        where=shorten(request.path, 80),
        cure=f"Send {method}.",
        headers=((b"allow", b"GET, HEAD" if method == "GET" else b"POST"),),
    )


def _slot(served: Served, name: str) -> Slot:
    """Return the slot that answers for a model.

    Raises:
        RequestError: 404 for a model this server is not for, 503 for one that has no champion here yet.
    """
    slot = served.slots.get(name)
    if slot is not None:
        return slot
    if name in served.names:
        raise RequestError.of(
            503,
            f"the model `{name}` has no champion here yet",
            cure=_why_missing(served, name),
            headers=((b"retry-after", b"2"),),
        )
    raise RequestError.of(
        404, f"there is no model `{shorten(name, 63)}` on this server", cure=did_you_mean(name[:63], served.names)
    )


def _why_missing(served: Served, name: str) -> str:
    """Return what an operator does about a model without a slot."""
    refused = served.refused.get(name)
    if name in served.failed:
        return served.failed[name]
    if refused is None:
        return "Promote a version with `tiltyard train` or `tiltyard promote`; a new server needs a moment to fetch it."
    return f"Version {refused.version} failed its verification: {refused.reason}"


def predict(slot: Slot, request: Request, most_rows: int) -> Answer:
    """Answer a prediction request with one version.

    Args:
        slot: The version.
        request: Its body holds the rows.
        most_rows: Limit of rows.

    Raises:
        RequestError: Another shape than a prediction request, or too many rows.
        DataError: A value breaks the contract; names row and column.
    """
    if request.encoding not in {"", "identity"}:
        raise RequestError.of(
            415, f"the content encoding `{shorten(request.encoding, 20)}` is not read", cure="Send plain JSON."
        )
    predictions, typed = slot.runtime.predict_rows(decode_rows(request.body, slot.runtime.contract, most_rows))
    if not np.isfinite(predictions.array).all():
        raise RequestError.of(
            500,
            f"version {slot.version} of `{slot.name}` answered with a number that is not finite",
            cure="Roll back with `tiltyard rollback`.",
        )
    return json_answer(
        {
            "model": slot.name,
            "version": slot.version,
            "predictions": _entries(slot, predictions),
            "notes": _notes(slot, typed),
        }
    )


def _entries(slot: Slot, predictions: Predictions) -> list[dict[str, Any]]:
    """Return one entry a row."""
    if predictions.probabilities is None:
        return [{"prediction": value} for value in predictions.array.tolist()]
    classes, keys = slot.classes, slot.class_keys
    codes = predictions.labels(slot.runtime.threshold).tolist()
    return [
        {"prediction": classes[code], "probabilities": dict(zip(keys, row, strict=True))}
        for code, row in zip(codes, predictions.probabilities.tolist(), strict=True)
    ]


def _notes(slot: Slot, typed: TypedRows) -> list[dict[str, Any]]:
    """Return what deserves a look; values are named by their rows, never repeated."""
    notes: list[dict[str, Any]] = [
        {"column": column, "rows": rows, "note": "a level never seen in training, answered as unknown"}
        for column, rows in typed.unknown_levels.items()
    ]
    if typed.outside:
        known = {column.name: column for column in slot.runtime.contract.features}
        notes += [
            {"column": column, "rows": rows, "note": f"{_outside(known[column])}, the range in training"}
            for column, rows in typed.outside.items()
        ]
    if not typed.unexpected:
        return notes
    names = [column.name for column in slot.runtime.contract.features]
    for column in typed.unexpected[:_MOST_NOTED]:
        hint = did_you_mean(column[:60], names) if len(names) <= 1000 else ""
        near = f" {hint}" if hint.startswith("Did") else ""
        notes.append({"column": shorten(column, 60), "rows": [], "note": f"not a feature of the model: ignored.{near}"})
    return notes


def _outside(column: Column) -> str:
    """Name the range that a value is outside of."""
    low, high = (None if bound is None else format(bound, ".15g") for bound in (column.minimum, column.maximum))
    coarse = "" if column.protection is None else " once made coarser"
    if low is None:
        return f"above {high}{coarse}"
    return f"below {low}{coarse}" if high is None else f"outside {low} to {high}{coarse}"


def _live(_: Served) -> Answer:
    return json_answer({"status": "live"})


def _ready(served: Served) -> Answer:
    """Ready when every model has a slot and the server is not going away."""
    waiting = [name for name in served.names if name not in served.slots]
    versions = {name: slot.version for name, slot in served.slots.items()}
    ready = not waiting and not served.draining
    status = "ready" if ready else "draining" if served.draining else "waiting"
    content = {"status": status, "models": versions, "waiting": waiting}
    return json_answer(content, status=200 if ready else 503)


def _models(served: Served) -> Answer:
    return json_answer({"models": [_summary(served, name) for name in served.names]})


def _summary(served: Served, name: str) -> dict[str, Any]:
    """Return what stands in a model's slot; `version` is null while there is none."""
    slot, refused = served.slots.get(name), served.refused.get(name)
    return {
        "model": name,
        "version": slot.version if slot else None,
        "digest": slot.digest if slot else None,
        "since": slot.since.isoformat() if slot else None,
        "refused": refused.model_dump(mode="json", include={"version", "reason", "since"}) if refused else None,
    }


def _detail(served: Served, name: str) -> dict[str, Any]:
    """Return a model's summary with what a client must know to ask it."""
    slot = _slot(served, name)
    contract = slot.runtime.contract
    return {
        **_summary(served, name),
        "task": contract.task.value,
        "classes": slot.classes,
        "threshold": slot.runtime.threshold,
        "features": [_feature(column) for column in contract.features],
    }


def _feature(column: Column) -> dict[str, Any]:
    """Return what a client sends for a feature; for a protected one that is the value in the clear."""
    fields = {"name", "kind", "nullable", "levels", "minimum", "maximum", "time_format", "new_levels"}
    told = raw_column(column).model_dump(mode="json", include=fields, exclude_defaults=True)
    if column.protection is not None:
        told["protection"] = column.protection.model_dump(mode="json", include={"method"})["method"]
    return told


_FIXED: dict[str, Callable[[Served], Answer]] = {
    _MODELS: _models,
    "/health/live": _live,
    "/health/ready": _ready,
}
