"""Raw ASGI around the handler: reads a body within its limits, calls the handler, sends the answer."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tiltyard.errors import TiltyardError
from tiltyard.serving.answers import Answer, RequestError
from tiltyard.serving.handler import handle, refuse
from tiltyard.serving.hooks import HOOK, Hook
from tiltyard.serving.ids import Ids
from tiltyard.serving.requests import Request
from tiltyard.serving.slots import Served

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger(__name__)

LONG_BODY = 64 * 1024
"""From this length on a request is answered on a thread, so that a batch does not hold up the short ones."""

_PATIENCE = 16
"""A body over the limit is read on and thrown away, up to this many times the limit: a client that is still sending
when the connection closes never sees the answer."""


class Disconnected(Exception):  # noqa: N818  # an event, not an error: the client went away
    """The client went away before its request was complete."""


class App:
    """The ASGI application of one worker.

    Args:
        served: What it answers with; replaced as a whole by assignment, at any moment.
        hook: Takes MLflow's calls.
    """

    def __init__(self, served: Served, hook: Hook | None = None) -> None:
        self.served = served
        self._hook = hook or Hook(None, None)
        self._ids = Ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await _other(scope, receive, send)
            return
        try:
            answer = await self._answer(scope, receive)
        except Disconnected:
            return
        headers = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]
        if self.served.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        """Return the answer to a request; an unforeseen failure is logged and answered without details."""
        try:
            headers = dict(scope["headers"])
            body = await self._body(receive, headers)
            if scope["path"] == HOOK:
                return self._hook.answer(scope["method"], headers, body)
            query = scope.get("query_string", b"").decode("latin-1")
            request = Request(scope["method"], scope["path"], body, headers, self._ids.next(), time.time(), query)
            if len(body) < LONG_BODY:
                return handle(self.served, request)
            return await asyncio.to_thread(handle, self.served, request)
        except RequestError as error:
            return refuse(scope["path"], error)
        except Disconnected:
            raise
        except Exception:  # noqa: BLE001  # the last boundary: a client never sees a trace
            _log.exception("a request to %s failed", scope["path"][:80])
            failure = TiltyardError("the server failed on this request", cure="Its log has the reason.")
            return refuse(scope["path"], failure)

    async def _body(self, receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
        """Read the body.

        Raises:
            RequestError: 413 beyond the limit of length, 408 beyond the limit of time.
            Disconnected: The client went away.
        """
        limits = self.served.limits
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
                return await _rest(message, receive, limits.body_bytes)
        except TimeoutError:
            raise RequestError.of(
                408,
                f"the body did not arrive within {limits.body_seconds:g} s",
                cure="Send it at once.",
                headers=_CLOSE,
            ) from None


_CLOSE = ((b"connection", b"close"),)


async def _rest(message: Message, receive: Receive, most: int) -> bytes:
    """Read a body that comes in several messages."""
    chunks: list[bytes] = []
    total = 0
    while True:
        if message["type"] == "http.disconnect":
            raise Disconnected
        chunk: bytes = message.get("body", b"")
        total += len(chunk)
        if total <= most:
            chunks.append(chunk)
        else:
            chunks.clear()
        if not message.get("more_body") or total > most * _PATIENCE:
            break
        message = await receive()
    if total > most:
        raise _too_large(most)
    return b"".join(chunks)


def _too_large(most: int) -> RequestError:
    cure = f"Send at most {most:,} bytes; `tiltyard predict` answers whole tables."
    return RequestError.of(413, "the body is too large", cure=cure, headers=_CLOSE)


def _announced(headers: Mapping[bytes, bytes]) -> tuple[int, bool]:
    """Return the body's length (0 when unknown), and whether the client waits for a go-ahead."""
    length = headers.get(b"content-length", b"")
    return int(length) if length.isdigit() else 0, headers.get(b"expect", b"").lower() == b"100-continue"


async def _other(scope: Scope, receive: Receive, send: Send) -> None:
    """Agree to start and stop; close anything that is neither that nor HTTP."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1003})
        return
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
