"""Tiltyard's own protocol.

    POST /v1/models/{name}/predict    {"rows": [{"age": 41, "plan": null}]}  or  {"features": [41, null]}
    POST /v1/models/{name}/feedback   {"id": "1f0c…-0", "label": "yes"}: see `tiltyard.serving.protocols.feedback`
    GET  /v1/models                   the models of this server
    GET  /v1/models/{name}            one model: version, classes, features
    GET  /health/live                 the process answers
    GET  /health/ready                every model of this server can answer

A prediction is answered with

    {"model": "churn", "version": 3, "id": "1f0c…",
     "predictions": [{"prediction": "yes", "probabilities": {"no": 0.2, "yes": 0.8}}],
     "notes": [{"column": "plan", "rows": [0], "note": "…"}]}

one entry of `predictions` a row, in the order of the rows. `id` is the prediction's, and `{id}-{row}` that of one row:
labels that arrive later are sent under it. `prediction` is the class with the type it has in the
contract, and the keys of `probabilities` are the classes as text; for a regression an entry is `{"prediction": 12.5}`.
`notes` names what was answered and deserves a look: levels never seen in training, numbers outside the contract's range
(`"outside 19 to 75, the range in training"`), columns the model does not know. Row numbers count from 0.
Every error has the shape of `tiltyard.serving.answers`.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import msgspec

from tiltyard.bundle.reading import Typed
from tiltyard.data.contract import Column, Level
from tiltyard.data.protection import raw_column
from tiltyard.errors import TiltyardError, did_you_mean
from tiltyard.serving.answers import Answer, Headers, RequestError, error_answer, json_answer, shorten, to_json
from tiltyard.serving.decoding import decode_rows
from tiltyard.serving.protocols.feedback import accept
from tiltyard.serving.requests import Request, require
from tiltyard.serving.scoring import Scored, score
from tiltyard.serving.slots import Served, Slot

_MODELS = "/v1/models"
_ROUTES = (
    "POST /v1/models/{name}/predict, /v1/models/{name}/feedback, "
    "GET /v1/models, /v1/models/{name}, /health/live, /health/ready, /docs, /openapi.json, /metrics; "
    "the Open Inference Protocol under /v2; MLflow's /invocations"
)
_MOST_NOTED = 20


class Value(msgspec.Struct, gc=False):
    """A regression's answer for a row.

    Attributes:
        prediction: The value.
    """

    prediction: float


class Likeliest(msgspec.Struct, gc=False):
    """A classification's answer for a row.

    Attributes:
        prediction: The class.
        probabilities: Of every class.
    """

    prediction: Level
    probabilities: Any


class Prediction(msgspec.Struct, gc=False):
    """The answer to a prediction request.

    Attributes:
        model: Model.
        version: Version that answered.
        id: Of the prediction.
        predictions: One entry a row.
        notes: What deserves a look.
    """

    model: str
    version: int
    id: str
    predictions: list[Any]
    notes: list[dict[str, Any]]


def answer(served: Served, request: Request) -> Answer:
    """Answer a request to any path that is of no other protocol.

    Raises:
        RequestError: There is no such path or model, the method is another, or the body is no prediction request.
        DataError: A value breaks the contract; names row and column.
    """
    path = request.path
    name, action = _model_and_action(path)
    if action == "predict":
        require(request, "POST")
        return predict(served, request, name)
    if action == "feedback":
        require(request, "POST")
        return accept(served, request, name)
    if name and action is None:
        require(request, "GET")
        return json_answer(_detail(served, name))
    if path in _FIXED:
        require(request, "GET")
        return _FIXED[path](served)
    raise RequestError.of(404, f"there is nothing at `{shorten(path, 80)}`", cure=f"There is: {_ROUTES}.")


@lru_cache(maxsize=1024)
def _model_and_action(path: str) -> tuple[str, str | None]:
    """Return the model that a path names, empty for none, and what is asked of it, None for the model itself."""
    if not path.startswith(f"{_MODELS}/"):
        return "", ""
    name, slash, action = path[len(_MODELS) + 1 :].partition("/")
    return name, action if slash else None


def refusal(error: TiltyardError, headers: Headers = ()) -> Answer:
    """Return the answer of a failure in the shape of this protocol (see `tiltyard.serving.answers`)."""
    return error_answer(error, headers)


def predict(served: Served, request: Request, name: str) -> Answer:
    """Answer a prediction request.

    Args:
        served: Slots, names and limits.
        request: Its body holds the rows.
        name: Model.

    Raises:
        RequestError: No such model, another shape than a prediction request, or too many rows.
        DataError: A value breaks the contract; names row and column.
    """
    return written(score(served, request, name, partial(_read, request.body, most=served.limits.rows)))


def written(scored: Scored) -> Answer:
    """Return answered rows as this protocol writes them."""
    slot = scored.slot
    content = Prediction(slot.name, slot.version, scored.id, _entries(scored), _notes(slot, scored.typed))
    return scored.answer(to_json(content))


def _read(body: bytes, slot: Slot, *, most: int) -> Typed:
    """Type the rows of a body."""
    return slot.reader.read(body, most) or slot.reader.type(decode_rows(body, slot.runtime.contract, most))


def _entries(scored: Scored) -> list[Any]:
    """Return one entry a row."""
    slot = scored.slot
    if not slot.classes:
        return [Value(value) for value in scored.outputs]
    classes, probabilities = slot.classes, _probabilities_type(slot.class_keys)
    return [
        Likeliest(classes[code], probabilities(*row)) for code, row in zip(scored.answers, scored.outputs, strict=True)
    ]


@lru_cache(maxsize=256)
def _probabilities_type(keys: tuple[str, ...]) -> Callable[..., Any]:
    """Return what makes the `probabilities` object of a row: a struct, where msgspec takes the keys for fields."""
    fields = [(f"p{at}", float, msgspec.field(name=key)) for at, key in enumerate(keys)]
    try:
        return msgspec.defstruct("Probabilities", fields, gc=False)
    except ValueError:
        return lambda *row: dict(zip(keys, row, strict=True))


def _notes(slot: Slot, typed: Typed) -> list[dict[str, Any]]:
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
    """Ready when every model can be answered for and logged, and the server is not going away."""
    standing = served.standing
    versions = {name: slot.version for name, slot in served.slots.items()}
    content = {"status": standing, "models": versions, "waiting": served.unanswered}
    return json_answer(content, status=200 if standing == "ready" else 503)


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
    slot = served.find(name)
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
