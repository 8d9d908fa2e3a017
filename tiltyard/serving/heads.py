"""Heads of requests that were read before: a client on a kept connection sends the same one again and again.

What a parser makes of a head follows from its bytes alone, so that the second time nobody need parse it.
"""

from typing import Any, NamedTuple

from tiltyard.serving.requests import Head

MOST = 256
"""Heads that are remembered; with the next all are forgotten."""

LONGEST = 2048
"""Bytes of a head that is remembered."""

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


def head_of(scope: dict[str, Any]) -> Head:
    """Return what ASGI's scope says of a request's head."""
    query = scope.get("query_string", b"").decode("latin-1")
    return Head(scope["method"], scope["path"], query, dict(scope["headers"]))
