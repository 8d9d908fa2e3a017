"""Bodies within their limits: of length, of time, and of what may be held of long ones at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from tiltyard.serving.answers import RequestError
from tiltyard.serving.headers import CLOSE
from tiltyard.serving.settings import Limits

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]

_PATIENCE = 16
"""A body over the limit is read on and thrown away, up to this many times the limit: a client that is still sending
when the connection closes never sees the answer."""


class Disconnected(Exception):  # noqa: N818  # an event, not an error: the client went away
    """The client went away before its request was complete."""


class Bodies:
    """Reads the bodies of one worker's requests.

    Attributes:
        held: Bytes of long bodies that are held now.
    """

    def __init__(self) -> None:
        self.held = 0

    async def read(self, receive: Receive, headers: Mapping[bytes, bytes], limits: Limits) -> bytes:
        """Read a body.

        Args:
            receive: As ASGI has it.
            headers: Of the request, names in lower case.
            limits: What a request may ask for.

        Raises:
            RequestError: 413 beyond the limit of length, 408 beyond the limit of time, 503 when too much is held.
            Disconnected: The client went away.
        """
        length, expects = _announced(headers)
        if length > limits.body_bytes * (1 if expects else _PATIENCE):
            raise _too_large(limits.body_bytes)
        message = await receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            first: bytes = message.get("body", b"")
            if len(first) > limits.body_bytes:
                raise _too_large(limits.body_bytes)
            return first
        try:
            async with asyncio.timeout(limits.body_seconds):
                return await self._rest(message, receive, limits)
        except TimeoutError:
            what = f"the body did not arrive within {limits.body_seconds:g} s"
            raise RequestError.of(408, what, cure="Send it at once.", headers=CLOSE) from None

    async def _rest(self, message: Message, receive: Receive, limits: Limits) -> bytes:
        """Read a body that comes in several messages."""
        chunks: list[bytes] = []
        total, most = 0, limits.body_bytes
        with ExitStack() as holding:
            while True:
                if message["type"] == "http.disconnect":
                    raise Disconnected
                chunk: bytes = message.get("body", b"")
                total += len(chunk)
                if total <= most:
                    chunks.append(chunk)
                    holding.enter_context(self.holding(len(chunk), limits))
                else:
                    chunks.clear()
                if not message.get("more_body") or total > most * _PATIENCE:
                    break
                message = await receive()
        if total > most:
            raise _too_large(most)
        return b"".join(chunks)

    @contextmanager
    def holding(self, length: int, limits: Limits) -> Iterator[None]:
        """Count bytes of a long body while they are held.

        Args:
            length: How many.
            limits: How many may be held.

        Raises:
            RequestError: 503 when too many are held already.
        """
        if self.held + length > max(limits.held_bytes, limits.body_bytes):
            raise busy("too many long bodies are under way")
        self.held += length
        try:
            yield
        finally:
            self.held -= length


def busy(what: str) -> RequestError:
    """Return the refusal of what there is no room for now.

    Args:
        what: What there is too much of.
    """
    return RequestError.of(503, what, cure="Ask again in a moment.", headers=((b"retry-after", b"1"),))


def _too_large(most: int) -> RequestError:
    cure = f"Send at most {most:,} bytes; `tiltyard predict` answers whole tables."
    return RequestError.of(413, "the body is too large", cure=cure, headers=CLOSE)


def _announced(headers: Mapping[bytes, bytes]) -> tuple[int, bool]:
    """Return the body's length (0 when unknown), and whether the client waits for a go-ahead."""
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else 0, headers.get(b"expect", b"").lower() == b"100-continue"
