"""Headers of answers: their own, and those that every answer has."""

from functools import lru_cache

from tiltyard.serving.answers import Answer, Headers

PREDICTION_ID = b"x-prediction-id"
CLOSE: Headers = ((b"connection", b"close"),)

_SAFE: Headers = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
_SAFE_PAGE: Headers = (
    *_SAFE,
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


def headers_of(answer: Answer, method: str, *, closing: bool) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer.

    Args:
        answer: The answer.
        method: Of the request.
        closing: Whether the connection ends with it.
    """
    told = [] if not answer.id else [(PREDICTION_ID, answer.id.encode())]
    length = b"content-length", b"%d" % len(answer.body)
    return [*_usual(answer.headers, method == "POST", closing), *told, length]


def lines_of(answer: Answer, method: str, *, closing: bool) -> bytes:
    """Return the same as the lines of a head, the empty one at its end included.

    Args:
        answer: The answer.
        method: Of the request.
        closing: Whether the connection ends with it.
    """
    usual = _lines(_usual(answer.headers, method == "POST", closing))
    if not answer.id:
        return b"%bcontent-length: %d\r\n\r\n" % (usual, len(answer.body))
    return b"%b%b: %b\r\ncontent-length: %d\r\n\r\n" % (usual, PREDICTION_ID, answer.id.encode(), len(answer.body))


@lru_cache(maxsize=256)
def _usual(own: Headers, is_prediction: bool, closing: bool) -> Headers:  # keywords would cost as much as the call
    """Return what an answer says beside what is its alone; its own headers come before those of every answer."""
    names = {name for name, _ in own}
    safe = _SAFE if is_prediction else [pair for pair in _SAFE_PAGE if pair[0] not in names]
    ending = CLOSE if closing and CLOSE[0] not in own else ()
    return (*own, *safe, *ending)


@lru_cache(maxsize=256)
def _lines(headers: Headers) -> bytes:
    return b"".join(b"%b: %b\r\n" % pair for pair in headers)
