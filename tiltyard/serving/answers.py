"""Answers: status, headers, JSON bytes; and the one shape of every error.

An error is `{"error": {"what": …, "where": …, "cure": …}}`: what is wrong, the row and column or the path it concerns,
and what to do. It never carries the payload back nor a trace.
"""

from collections.abc import Mapping, Sequence

import msgspec

from tiltyard.errors import TiltyardError

Headers = tuple[tuple[bytes, bytes], ...]
LONGEST_TEXT = 300
JSON: Headers = ((b"content-type", b"application/json"),)

to_json = msgspec.json.Encoder().encode
"""Anything as JSON; non-finite numbers are never among it (see `tiltyard.serving.scoring`)."""


class About(msgspec.Struct, frozen=True, gc=False):
    """Which version an answer came from, and what is counted of it.

    Attributes:
        model: Model.
        version: Version in the registry.
        slot: `champion` or `candidate`.
        rows: How many were answered.
        answers: One entry a row: the class's code, or the value.
        classes: Texts of the classes by code; empty for regression.
        unknown: Column → rows whose level the contract does not know.
        unexpected: How many columns the contract does not know.
        failed: Version that should have answered and could not, so that the champion did; None when there is none.
        schema: Line that the prediction log needs once before records of this version.
    """

    model: str
    version: int
    slot: str
    rows: int = 0
    answers: Sequence[int] | Sequence[float] = ()
    classes: tuple[str, ...] = ()
    unknown: Mapping[str, Sequence[int]] = {}
    unexpected: int = 0
    failed: int | None = None
    schema: bytes = b""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """An HTTP answer before any transport.

    Attributes:
        status: HTTP status.
        body: JSON.
        headers: Lower-case names; the transport adds length, date and the prediction's id.
        record: Lines for the prediction log, which are written before the answer leaves; empty when there is none.
        about: The version that answered; None where no version did.
        id: Of the prediction; empty where there is none.
    """

    status: int
    body: bytes
    headers: Headers = JSON
    record: bytes = b""
    about: About | None = None
    id: str = ""


class RequestError(TiltyardError):
    """A request that cannot be answered, with the HTTP status, and the headers, that say so."""

    exit_code = 8
    http_status = 400
    headers: Headers = ()

    @classmethod
    def of(cls, status: int, what: str, *, where: str = "", cure: str = "", headers: Headers = ()) -> "RequestError":
        """Return the error with its own status and headers."""
        error = cls(what, where=where, cure=cure)
        error.http_status, error.headers = status, headers
        return error


def json_answer(content: object, *, status: int = 200, headers: Headers = ()) -> Answer:
    """Return an answer with `content` as JSON."""
    return Answer(status, to_json(content), JSON + headers)


def error_answer(error: TiltyardError, headers: Headers = ()) -> Answer:
    """Return the answer of a failure, its texts cut so that no payload of any length travels back."""
    content = {"what": shorten(error.what), "where": shorten(error.where), "cure": shorten(error.cure)}
    return json_answer({"error": content}, status=error.http_status, headers=headers)


def shorten(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return `text`, cut after `longest` characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
