"""The door: connections before they are requests, on uvicorn's own HTTP/1.1 protocol.

What uvicorn leaves to a proxy is done here: a head that is too long or too slow, a body that never comes, a client that
reads its answer for ever, too many connections, too many requests. Whatever is refused before there is a request is
refused in the shape of the protocol it was meant for, as far as that is known.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from tiltyard.serving.answers import Answer, RequestError
from tiltyard.serving.asgi import App, Prompt, Scope, Send
from tiltyard.serving.bodies import Receive
from tiltyard.serving.headers import CLOSE, lines_of
from tiltyard.serving.heads import Heads, fault_of, head_of, without_upgrade
from tiltyard.serving.tokens import OPEN

_AROUND_HEADER = len(b": \r\n")

_NO_HTTP = 400, "this is not an HTTP request", "Check the request line, the headers and the length."
_TUNNEL = 405, "`CONNECT` is for proxies", "Ask for what the server has."
_LONG_HEAD = 431, "the head of the request is too long", "Send fewer or shorter headers."
_LONG_ADDRESS = 414, "the address is too long", "Send what is long in the body."

AT_ONCE_SECONDS = 50e-6
"""Between an answer and the next request of the same turn: no client asks again as quickly."""

MOST_WAITING = 64
"""Answers that wait for the end of a turn, at most."""

KEEP_ALIVE_SECONDS = 75
"""How long a connection may be idle: longer than load balancers keep one (60 s as a rule), so that it is they who close
it."""


class Gate:
    """Counts requests from the moment they are parsed, and lets in no more than are allowed at one time.

    Args:
        app: What answers them.

    Attributes:
        answered: When the last answer was written, by the monotonic clock.
        heads: Heads that were read before.
        default_headers: Headers of every answer, as uvicorn has them at the moment.
        default_lines: The same as lines.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.under_way = 0
        self.answered = 0.0
        self._waiting: list[tuple[Door, Prompt]] = []
        self.heads = Heads()
        self._turn_began: float | None = None
        self.default_headers: list[tuple[bytes, bytes]] = []
        self.default_lines = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that was let in."""
        try:
            await self.app(scope, receive, send)
        finally:
            self.under_way -= 1
            if self.app.metrics is not None:
                self.app.metrics.end()

    def entrance(self, path: str) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        """Return what answers the next request: it itself, or a refusal. Health is told to everybody.

        Args:
            path: Path of the request.
        """
        if path not in OPEN and (self.under_way >= self.app.served.limits.in_flight or self.is_late()):
            return self.app.busy
        self.under_way += 1
        if self.app.metrics is not None:
            self.app.metrics.begin()
        return self

    def is_late(self) -> bool:
        """Whether what is read now has waited too long for its turn.

        The loop learns at one moment of all the sockets that can be read, and then reads one after the other: the last
        of them has waited for all the answers before it. To learn when a turn ends costs as much as half an answer, so
        that a request counts as the second of its turn only where it follows on another at once.
        """
        now = time.monotonic()
        if self._turn_began is not None:
            return now - self._turn_began > self.app.served.limits.turn_seconds
        if now - self.answered < AT_ONCE_SECONDS:
            self._turn_began = now
            asyncio.get_running_loop().call_soon(self._end_turn)
        return False

    def send(self, door: "Door", prompt: Prompt) -> None:
        """Have an answer sent: at once, or with the others of a turn that has several, whose records are one write.

        Args:
            door: Connection of the client.
            prompt: The answer.
        """
        self._waiting.append((door, prompt))
        if self._turn_began is None or len(self._waiting) >= MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        """Send what waits for the end of the turn."""
        waiting, self._waiting = self._waiting, []
        answers = self.app.commit([prompt for _, prompt in waiting])
        for (door, prompt), answer in zip(waiting, answers, strict=True):
            door.write(answer, prompt.head.method)
        self.answered = time.monotonic()

    def _end_turn(self) -> None:
        self._turn_began = None
        self.flush()


class Door(HttpToolsProtocol):
    """One connection. uvicorn is configured with a `Gate` as application."""

    gate: Gate
    url = b""
    _head_open = True
    _head_begun = False
    _reading = False
    _answering = False
    _ending = False
    _whole = b""
    _head_bytes = 0
    _told = 0
    _refusal = _NO_HTTP
    _next: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let a connection in, unless there are too many."""
        assert isinstance(self.config.app, Gate)
        self.gate = self.config.app
        self._since = self.loop.time()
        super().connection_made(transport)  # type: ignore[arg-type]  # what the loop gives has both directions
        limits = self.gate.app.served.limits
        if len(self.connections) > limits.connections:
            self.turn_away(503, "there are too many connections", "Ask again in a moment.")

    def data_received(self, data: bytes) -> None:
        """Read on; a head that is too long is not waited for to its end."""
        if self._answering:
            self.gate.flush()
        if self.transport.is_closing():
            return
        is_idle = self._head_open and not self._reading
        if is_idle and self._answer_known(data):
            return
        if self._ending:
            return
        self._whole = data if is_idle else b""
        begun = self._head_begun
        self._parse(data)
        self._begin()
        if self._head_begun:
            self._head_bytes = self._head_bytes + len(data) if begun else self._head_length()
            if self._head_bytes > self.gate.app.served.limits.header_bytes:
                self.turn_away(*_LONG_HEAD)

    def _parse(self, data: bytes) -> None:
        """Have the parser read on; a request for another protocol is read as if it asked for none."""
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserError:
                self.turn_away(*self._refusal)
                return
            except httptools.HttpParserUpgrade as upgrade:
                method, version = self.parser.get_method(), self.parser.get_http_version()
                rest = data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                data = without_upgrade(method, self.url, version, self.headers) + rest
            else:
                return

    def _answer_known(self, data: bytes) -> bool:
        """Answer a whole request whose head was read before, if that can be done here and now."""
        known = self.gate.heads.find(data)
        if known is None or self.flow.write_paused or self.gate.is_late():
            return False
        prompt = self.gate.app.prompt(*known)
        if prompt is None:
            return False
        self._since = self.loop.time()
        self._answering = True
        self.gate.send(self, prompt)
        return True

    def shutdown(self) -> None:
        """Let the connection end, once what was answered is sent."""
        self.gate.flush()
        super().shutdown()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._reading = True
        self._since = self.loop.time()
        self._head_open, self._head_begun, self._head_bytes = True, True, 0

    def on_headers_complete(self) -> None:
        """End the head of a request.

        Raises:
            ValueError: It may not be; the parser stops there, and `_refusal` tells why.
        """
        limit = self.gate.app.served.limits.header_bytes
        if self._head_length() > limit:
            self._refusal = _LONG_ADDRESS if len(self.url) > limit else _LONG_HEAD
            raise ValueError
        fault = _TUNNEL if self.parser.get_method() == b"CONNECT" else None
        fault = fault or fault_of(self.parser.get_http_version(), self.headers)
        if fault is not None:
            self._refusal = fault
            raise ValueError
        if self.parser.should_upgrade():
            return
        self._head_open = self._head_begun = False
        super().on_headers_complete()

    def _head_length(self) -> int:
        """Return the bytes of what is known of the head that is being read."""
        return len(self.url) + sum(len(name) + len(value) + _AROUND_HEADER for name, value in self.headers)

    def on_message_complete(self) -> None:
        """Answer a whole request here and now where nothing has to be waited for."""
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._reading = False
        cycle = self._next
        if cycle is None or cycle is not self.cycle or self.transport.is_closing():
            return
        if self.flow.write_paused or self.gate.is_late():
            return
        head, body = head_of(cycle.scope), bytes(cycle.body)  # type: ignore[arg-type]  # what ASGI has
        prompt = self.gate.app.prompt(head, body)
        if prompt is None:
            return
        self._next = None
        self.write(self.gate.app.commit([prompt])[0], head.method, keep_alive=cycle.keep_alive)
        cycle.response_started = cycle.response_complete = True
        self.on_response_complete()
        if self._whole and cycle.keep_alive:
            self.gate.heads.remember(self._whole, head, body)

    def on_response_complete(self) -> None:
        """End a request; begin the next, or wait for its head."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._next, _ = self.pipeline.pop()
            self._begin()
        elif self._ending:
            self.transport.close()
        elif not self._head_begun:
            self._head_open, self._since = True, self.loop.time()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ARG002  # uvicorn's
        """Leave a request whose head has come until it is known whether its body has come with it."""
        self._next = cycle

    def _begin(self) -> None:
        """Begin a task for a request that is waiting for one."""
        cycle, self._next = self._next, None
        if cycle is not None and not self.transport.is_closing():
            super()._start_asgi_task(cycle, self.gate.entrance(cycle.scope["path"]))  # type: ignore[arg-type]

    def write(self, answer: Answer, method: str, *, keep_alive: bool = True) -> None:
        """Write a whole answer at once.

        Args:
            answer: The answer.
            method: Of the request.
            keep_alive: Whether the client will ask again on this connection.
        """
        self._answering = False
        if self.transport.is_closing():
            return
        closing = not keep_alive or self.gate.app.served.draining or CLOSE[0] in answer.headers
        head = lines_of(answer, method, closing=closing)
        body = b"" if method == "HEAD" else answer.body
        self.transport.write(b"".join((STATUS_LINE[answer.status], self._date(), head, body)))
        if closing:
            self.transport.close()

    def _date(self) -> bytes:
        """Return the lines that uvicorn gives every answer, made anew when it makes them anew."""
        default = self.server_state.default_headers
        if self.gate.default_headers is not default:
            self.gate.default_headers = default
            self.gate.default_lines = b"".join(b"%b: %b\r\n" % pair for pair in default)
        return self.gate.default_lines

    def eof_received(self) -> bool:  # type: ignore[override]  # as asyncio has it
        """Answer what was asked before the client said that it asks no more; then the connection ends."""
        if self._answering:
            self.gate.flush()
        self._ending = self._is_due() and self.scheme == "http"
        return self._ending

    def _is_due(self) -> bool:
        """Whether a whole request waits for its answer."""
        return bool(self.pipeline) or (
            self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete
        )

    def turn_away(self, status: int, what: str, cure: str) -> None:
        """Answer what is not a whole request, and close the connection; requests before it are answered first.

        Args:
            status: HTTP status.
            what: What is wrong.
            cure: What to do.
        """
        if self.transport.is_closing() or self._ending:
            return
        if self._is_due():
            self._ending = True
            if self.pipeline and self.cycle.more_body:
                self.pipeline.popleft()
            return
        answering = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if answering:
            self.transport.abort()
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        answer = self.gate.app.turn_away(self._path(), RequestError.of(status, what, cure=cure))
        lines = [b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode())]
        headers = (*answer.headers, (b"content-length", b"%d" % len(answer.body)), (b"connection", b"close"))
        headers = (*headers, (b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
        headers += ((b"retry-after", b"1"),) if status == 503 else ()
        lines += [b"%b: %b" % pair for pair in headers]
        self.transport.write(b"\r\n".join([*lines, b"", answer.body]))
        self.transport.close()

    def look(self, now: float) -> None:
        """Turn away a client that is too slow.

        Args:
            now: Of the loop's clock.
        """
        limits = self.gate.app.served.limits
        waited = now - self._since
        if self._head_begun and waited > limits.header_seconds:
            self.turn_away(408, f"the head did not arrive within {limits.header_seconds:g} s", "Send it at once.")
        elif self._head_open and not self._head_begun and waited > KEEP_ALIVE_SECONDS:
            self.transport.close()
        elif self._lacks_body() and waited > limits.header_seconds + limits.body_seconds:
            self.turn_away(408, f"the body did not arrive within {limits.body_seconds:g} s", "Send it at once.")
        self._look_at_reader(now)

    def _lacks_body(self) -> bool:
        cycle = self.cycle
        return cycle is not None and cycle.more_body and not cycle.response_started

    def _look_at_reader(self, now: float) -> None:
        """Give up a client that takes nothing of its answer any more."""
        waiting = self.transport.get_write_buffer_size()
        if waiting == 0 or waiting != self._told:
            self._told, self._told_at = waiting, now
        elif now - self._told_at > self.gate.app.served.limits.body_seconds:
            self.transport.abort()

    def _path(self) -> str:
        """Return the path of the request that is being read, as far as it is known."""
        url = getattr(self, "url", b"")
        try:
            return (httptools.parse_url(url).path or b"/").decode("ascii", "replace")
        except httptools.HttpParserInvalidURLError:
            return "/"
