"""Compressed bodies: a request's is inflated within its limit, an answer's is compressed for a client that asks.

An inflated body is produced piece by piece and given up at the limit, so that a small body that grows without end costs
no more memory than the largest body that is allowed.
"""

import zlib

from msgspec.structs import replace

from tiltyard.serving.answers import Answer, RequestError
from tiltyard.serving.requests import Request

SHORTEST = 4096
"""Bytes of an answer below which compressing it is not worth the time."""

_ZLIB, _RAW, _GZIP = 15, -15, 31
_ENCODINGS = {b"gzip": _GZIP, b"deflate": _ZLIB}
_FAST = 1
_PLAIN = frozenset({"", "identity"})


def inflated(request: Request, most: int) -> Request:
    """Return a request with its body as the client had it before compression.

    Args:
        request: Any; one without `content-encoding` is returned as it is.
        most: Bytes of a body at most.

    Raises:
        RequestError: 415 for another encoding than gzip and deflate, 413 for a body that grows beyond the limit,
            400 for one that is damaged.
    """
    if b"content-encoding" not in request.headers:
        return request
    encoding = request.encoding
    if encoding in _PLAIN:
        return request
    headers = {name: value for name, value in request.headers.items() if name != b"content-encoding"}
    return replace(request, body=inflate(request.body, encoding, most), headers=headers)


def inflate(body: bytes, encoding: str, most: int) -> bytes:
    """Inflate a body.

    Args:
        body: As it came.
        encoding: `gzip`, or `deflate`, which is zlib's form or the bare one.
        most: Bytes that may come of it.

    Raises:
        RequestError: As `inflated`.

    Example:
        >>> inflate(zlib.compress(b"{}"), "deflate", 100)
        b'{}'
    """
    inflater = zlib.decompressobj(_window(body, encoding))
    try:
        content = inflater.decompress(body, most + 1)
    except zlib.error:
        raise _damaged(encoding, "is damaged") from None
    if len(content) > most:
        cure = f"Send at most {most:,} bytes, counted before compression."
        raise RequestError.of(413, "the body is too large once it is inflated", cure=cure)
    if not inflater.eof:
        raise _damaged(encoding, "ends early")
    if inflater.unused_data:
        raise _damaged(encoding, "goes on after its end")
    return content


def compressed(answer: Answer, request: Request) -> Answer:
    """Return an answer compressed, when the request's client can read it so and the answer is long enough.

    Only predictions are, and these are asked for with POST: tritonclient's asynchronous client announces that it reads
    compressed answers, and does so for predictions alone.
    """
    accepted = request.headers.get(b"accept-encoding", b"")
    if request.method != "POST" or not accepted or len(answer.body) < SHORTEST:
        return answer
    encoding = _preferred(accepted)
    if encoding is None:
        return answer
    deflater = zlib.compressobj(_FAST, wbits=_ENCODINGS[encoding])
    body = deflater.compress(answer.body) + deflater.flush()
    headers = (*answer.headers, (b"content-encoding", encoding), (b"vary", b"accept-encoding"))
    return replace(answer, body=body, headers=headers)


def _window(body: bytes, encoding: str) -> int:
    """Return the window that tells zlib which form a body has."""
    if encoding in {"gzip", "x-gzip"}:
        return _GZIP
    if encoding != "deflate":
        cure = "Send the body as it is, or as gzip or deflate."
        raise RequestError.of(415, "this content encoding is not read", cure=cure)
    marked = len(body) >= 2 and body[0] & 15 == 8 and int.from_bytes(body[:2], "big") % 31 == 0
    return _ZLIB if marked else _RAW


def _damaged(encoding: str, how: str) -> RequestError:
    return RequestError(f"the body is sent as {encoding} and {how}", cure="Compress it again, as one stream.")


def _preferred(accepted: bytes) -> bytes | None:
    """Return the encoding to answer in, None when the client reads none of ours."""
    names = set()
    for part in accepted.lower().split(b","):
        name, _, weight = part.partition(b";")
        refused = weight.strip().startswith(b"q=0") and not weight.strip(b" q=0.")
        if not refused:
            names.add(name.strip())
    return next((name for name in _ENCODINGS if name in names), None)
