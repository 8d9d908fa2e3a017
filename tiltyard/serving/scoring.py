"""Scoring: the way every protocol's prediction goes. Find the version, type the rows, run it, note what is logged."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tiltyard.bundle.model import Predictions
from tiltyard.bundle.reading import Typed
from tiltyard.errors import did_you_mean
from tiltyard.serving.answers import About, Answer, RequestError, shorten
from tiltyard.serving.requests import Request
from tiltyard.serving.slots import Served, Slot

CHAMPION = "champion"
PREDICTION_ID = b"x-prediction-id"


class Scored(NamedTuple):
    """Answered rows, before any protocol.

    Attributes:
        slot: The version that answered.
        role: `champion` or `candidate`.
        typed: The rows, and what was noticed about them.
        predictions: One answer a row.
        id: Of the prediction; that of one row is `{id}-{row}`.
        record: Line for the prediction log.
    """

    slot: Slot
    role: str
    typed: Typed
    predictions: Predictions
    id: str
    record: bytes = b""

    def answer(self, answer: Answer) -> Answer:
        """Return a protocol's answer with the id, the record and the version that made it."""
        headers = (*answer.headers, (PREDICTION_ID, self.id.encode()))
        about = About(self.slot.name, self.slot.version, self.role)
        return answer._replace(headers=headers, record=self.record, about=about)


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
        RequestError: 404 or 503 (see `find_slot`), 500 for an answer that is not finite.
        DataError: A value breaks the contract; names row and column.
    """
    slot = find_slot(served, name, version)
    typed = read(slot)
    predictions = slot.runtime.score(typed.matrix)
    if not np.isfinite(predictions.array).all():
        raise RequestError.of(
            500,
            f"version {slot.version} of `{slot.name}` answered with a number that is not finite",
            cure="Roll back with `tiltyard rollback`.",
        )
    return Scored(slot, CHAMPION, typed, predictions, request.id)


def find_slot(served: Served, name: str, version: int | None = None) -> Slot:
    """Return the slot that answers for a model.

    Raises:
        RequestError: 404 for a model this server is not for or a version that is not loaded, 503 for a model that
            has no champion here yet.
    """
    slot = served.slots.get(name)
    if slot is not None and version in {None, slot.version}:
        return slot
    if slot is not None:
        raise RequestError.of(
            404, f"version {version} of `{name}` is not loaded here", cure=f"Version {slot.version} answers."
        )
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
