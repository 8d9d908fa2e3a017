"""Scoring: the way every protocol's prediction goes. Find the version, type the rows, run it, note what is logged."""

import logging
from collections.abc import Callable
from functools import lru_cache
from math import isfinite
from time import perf_counter
from typing import Any

import msgspec
import numpy as np

from tiltyard.bundle.reading import Typed
from tiltyard.errors import TiltyardError
from tiltyard.predictions.record import Record, batch_line, record_line
from tiltyard.serving.answers import JSON, About, Answer, Headers, RequestError
from tiltyard.serving.requests import Request
from tiltyard.serving.routing import key_text
from tiltyard.serving.slots import Served, Slot

_log = logging.getLogger(__name__)


class Scored(msgspec.Struct, frozen=True, gc=False):
    """Answered rows, before any protocol.

    Attributes:
        slot: The version that answered.
        role: `champion`, `candidate` or `previous`.
        typed: The rows, and what was noticed about them.
        id: Of the prediction; that of one row is `{id}-{row}`.
        outputs: The predictions as Python's own: probabilities, one list a row, or values.
        answers: One a row: the number of the class, or the value.
        record: Line for the prediction log.
        failed: Candidate that was to answer and could not.
    """

    slot: Slot
    role: str
    typed: Typed
    id: str
    outputs: list[Any]
    answers: list[Any]
    record: bytes = b""
    failed: int | None = None

    @property
    def about(self) -> About:
        """What is counted of the answer."""
        slot, typed = self.slot, self.typed
        return About(
            slot.name,
            slot.version,
            self.role,
            typed.rows,
            self.answers,
            slot.class_keys,
            typed.unknown_levels,
            len(typed.unexpected),
            self.failed,
            slot.schema,
        )

    def answer(self, body: bytes, headers: Headers = JSON) -> Answer:
        """Return a protocol's answer with the id, the record and the version that made it."""
        return Answer(200, body, headers, self.record, self.about, self.id)


def score(
    served: Served, request: Request, name: str, read: Callable[[Slot], Typed], version: int | None = None
) -> Scored:
    """Answer rows.

    Args:
        served: Slots, names and limits.
        request: Gives id and time.
        name: Model.
        read: Types the request's rows for a version.
        version: Version that is asked for; None for the one that should answer.

    Raises:
        RequestError: 404 or 503 (see `Served.find`), 500 for an answer that is not finite.
        DataError: A value breaks the contract; names row and column.
    """
    began = perf_counter()
    slot = served.find(name, version)
    typed = read(slot)
    if version is not None or name not in served.candidates:
        return _run(slot, typed, request, began)
    chosen = served.route(name, _key(served, slot, typed, request.id))
    if chosen is slot:
        return _run(slot, typed, request, began)
    return _by_candidate(chosen, read, request, began) or _run(slot, typed, request, began, failed=chosen.version)


def _key(served: Served, slot: Slot, typed: Typed, request_id: str) -> str:
    """Return what decides between champion and candidate: the sticky column's value in the first row, or the id."""
    column = served.sticky(slot.name)
    if column is None or not typed.rows:
        return request_id
    names = slot.reader.names
    value = typed.values[0][names.index(column)] if column in names else typed.others.get(column)
    return key_text(value) or request_id


def _by_candidate(slot: Slot, read: Callable[[Slot], Typed], request: Request, began: float) -> Scored | None:
    """Return the candidate's answer; None when it fails in any way, for then the champion answers."""
    try:
        return _run(slot, read(slot), request, began)
    except Exception as error:  # noqa: BLE001  # no client ever sees a candidate's failure; it is counted
        _say(slot.name, slot.version, error.what if isinstance(error, TiltyardError) else type(error).__name__)
        return None


@lru_cache(maxsize=256)
def _say(name: str, version: int, why: str) -> None:
    """Log a candidate's failure, each kind once."""
    _log.warning("`%s`: version %d, the candidate, failed on a request: %s", name, version, why)


def _run(slot: Slot, typed: Typed, request: Request, began: float, failed: int | None = None) -> Scored:
    """Answer typed rows.

    Raises:
        RequestError: 500 for an answer that is not finite.
    """
    outputs = _outputs(slot, typed)
    probabilities = outputs if slot.classes else None
    answers = outputs if probabilities is None else slot.runtime.codes(probabilities)
    record = b""
    if request.logged:
        about = request.id, request.time, slot.name, slot.version, slot.arm
        seconds = perf_counter() - began
        if typed.rows == 1:
            record = record_line(Record(*about, typed.logged(), answers, seconds, None, probabilities))
        else:
            record = batch_line(Record(*about, (), answers, seconds, None, probabilities), typed.logged_columns())
    return Scored(slot, slot.arm, typed, request.id, outputs, answers, record, failed)


def _outputs(slot: Slot, typed: Typed) -> list[Any]:
    """Return the answers as Python's own: probabilities, a sequence a row, or values.

    Raises:
        RequestError: 500 for an answer that is not finite.
    """
    outputs: list[Any]
    if isinstance(typed.cells, list):
        answer = slot.runtime.score_one(typed.cells)
        outputs, is_finite = [answer], all(map(isfinite, answer if slot.classes else (answer,)))  # type: ignore[arg-type]
    else:
        answers = slot.runtime.score(typed.cells).array
        outputs, is_finite = answers.tolist(), bool(np.isfinite(answers).all())
    if not is_finite:
        raise RequestError.of(
            500,
            f"version {slot.version} of `{slot.name}` answered with a number that is not finite",
            cure="Roll back with `tiltyard rollback`.",
        )
    return outputs
