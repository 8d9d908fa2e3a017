"""Heads of requests that were read before: a client on a kept connection sends the same one again and again.

What a parser makes of a head follows from its bytes alone, so that the second time nobody need parse it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from tiltyard.serving.requests import Head

MOST = 256
"""Heads that are remembered; with the next all are forgotten."""

LONGEST = 2048
"""Bytes of a head that is remembered."""

Fault = tuple[int, str, str]
"""HTTP status, what is wrong, what to do."""

_NO_HOST = 400, "the request has no `host` header, or several", "Send one: HTTP/1.1 asks for it."
_TWO_TOKENS = 400, "the request has several `authorization` headers", "Send one."
_OTHER_CODING = 501, "this transfer encoding is not known here", "Send the body chunked, or with its length."
_OTHER_VERSION = 400, "this version of HTTP is not spoken here", "Speak HTTP/1.1."

_END = b"\r\n\r\n"
_UNUSUAL = frozenset({b"transfer-encoding", b"expect", b"upgrade"})


class _Known(NamedTuple):
    head: Head
    length: int


class Heads:
    r"""The heads that one worker remembers.

    Example:
        >>> heads, asked = Heads(), b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n"
        >>> heads.remember(asked, Head("GET", "/v1/models", "", {b"host": b"x"}), b"")
        >>> heads.find(asked)
        (Head(method='GET', path='/v1/models', query='', headers={b'host': b'x'}), b'')
        >>> heads.find(asked + b"GET ")
    """

    def __init__(self) -> None:
        self._known: dict[bytes, _Known] = {}

    def find(self, data: bytes) -> tuple[Head, bytes] | None:
        """Return head and body of a whole request whose head is known, and of nothing else.

        Args:
            data: What came; a request begins with it.
        """
        raw, _, body = data.partition(_END)
        known = self._known.get(raw)
        return None if known is None or known.length != len(body) else (known.head, body)

    def remember(self, data: bytes, head: Head, body: bytes) -> None:
        """Remember a head, unless it says more than what follows is its body.

        Args:
            data: What came, in one piece: the request, and perhaps something else.
            head: What the parser made of it.
            body: As well.
        """
        raw, _, rest = data.partition(_END)
        if len(raw) > LONGEST or rest != body or not _UNUSUAL.isdisjoint(head.headers):
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[raw] = _Known(head, len(body))


def fault_of(version: str, headers: Sequence[tuple[bytes, bytes]]) -> Fault | None:
    """Return what is wrong with a head that can be parsed (RFC 9112, sections 2.3, 3.2 and 6.1); None when nothing is.

    Args:
        version: Of HTTP.
        headers: Names in lower case.
    """
    if version not in {"1.0", "1.1"}:
        return _OTHER_VERSION
    names = [name for name, _ in headers]
    hosts = names.count(b"host")
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        return _NO_HOST
    if names.count(b"authorization") > 1:
        return _TWO_TOKENS
    if any(value.strip().lower() != b"chunked" for name, value in headers if name == b"transfer-encoding"):
        return _OTHER_CODING
    return None


def without_upgrade(method: bytes, url: bytes, version: str, headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    """Return a head that asks for no other protocol: a server that takes up none ignores it (RFC 9110, section 7.8).

    Args:
        method: As it came.
        url: As well.
        version: Of HTTP.
        headers: Names in lower case.
    """
    lines = [b"%b: %b" % pair for pair in headers if pair[0] not in {b"upgrade", b"connection"}]
    options = [option.strip() for name, value in headers if name == b"connection" for option in value.split(b",")]
    kept = b", ".join(option for option in options if option.lower() not in {b"upgrade", b"http2-settings"})
    lines += [b"connection: " + kept] if kept else []
    return b"\r\n".join([b"%b %b HTTP/%b" % (method, url, version.encode()), *lines]) + _END


def head_of(scope: dict[str, Any]) -> Head:
    """Return what ASGI's scope says of a request's head."""
    query = scope.get("query_string", b"").decode("latin-1")
    return Head(scope["method"], scope["path"], query, dict(scope["headers"]))
