"""Requests: what any transport brings."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from tiltyard.serving.answers import RequestError, shorten


class Head(NamedTuple):
    """The head of a request.

    Attributes:
        method: Upper case.
        path: Decoded, without the query.
        query: What follows the question mark, as it came.
        headers: Names in lower case; of several of one name the last.
    """

    method: str
    path: str
    query: str
    headers: Mapping[bytes, bytes]


class Request(msgspec.Struct, frozen=True, gc=False):
    """An HTTP request after any transport.

    Attributes:
        method: Upper case.
        path: Decoded, without the query.
        body: As it came, already within the limit.
        headers: Names in lower case; of several of one name the last.
        id: Given by the worker, unique; the prediction's id.
        time: When it came, UTC, seconds since 1970.
        query: What follows the question mark, as it came.
        logged: Whether the prediction log wants a record of it.
    """

    method: str
    path: str
    body: bytes = b""
    headers: Mapping[bytes, bytes] = {}
    id: str = ""
    time: float = 0.0
    query: str = ""
    logged: bool = True

    @property
    def encoding(self) -> str:
        """Value of `content-encoding`, empty when there is none."""
        return self.headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()


def require(request: Request, method: str) -> None:
    """Refuse another method than the route has; HEAD is answered like GET.

    Raises:
        RequestError: 405, with the header `allow`.
    """
    if request.method == method or (method == "GET" and request.method == "HEAD"):
        return
    raise RequestError.of(
        405,
        f"`{shorten(request.method, 20)}` is not for this path",
        where=shorten(request.path, 80),
        cure=f"Send {method}.",
        headers=((b"allow", b"GET, HEAD" if method == "GET" else b"POST"),),
    )
