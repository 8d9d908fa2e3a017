"""The adapter: bodies within their limits, one answer a request, no trace."""

import asyncio
import dataclasses
import json
import logging
from typing import Any

import pytest

from tests.serving.bundles import ROW
from tiltyard.serving import asgi
from tiltyard.serving.asgi import App, Message
from tiltyard.serving.settings import Limits
from tiltyard.serving.slots import Served

PREDICT = "/v1/models/churn/predict"
BODY = json.dumps({"rows": [ROW]}).encode()
SMALL = Limits(body_bytes=1_000, body_seconds=0.05)


class Transport:
    """One request as uvicorn brings it; keeps what was sent. Without a last chunk it waits for ever."""

    def __init__(self, *messages: Message) -> None:
        self.messages = list(messages)
        self.sent: list[Message] = []
        self.received = 0

    async def receive(self) -> Message:
        self.received += 1
        if not self.messages:
            await asyncio.sleep(3600)
        return self.messages.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def answer(self) -> tuple[int, Any]:
        start, body = self.sent
        return start["status"], json.loads(body["body"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


def chunk(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def run(served: Served, transport: Transport, **headers: str) -> Transport:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": PREDICT, "headers": pairs}
    asyncio.run(App(served)(scope, transport.receive, transport.send))
    return transport


@pytest.mark.parametrize("cut", [0, 1, 10, len(BODY)])
def test_a_body_in_pieces_is_one_body(served: Served, cut: int) -> None:
    transport = run(served, Transport(chunk(BODY[:cut], more=True), chunk(BODY[cut:])))
    assert transport.answer[0] == 200
    assert int(transport.headers[b"content-length"]) == len(transport.sent[1]["body"])


def test_a_long_body_is_answered_beside_the_loop(served: Served) -> None:
    body = json.dumps({"rows": [{**ROW, "note": "x" * asgi.LONG_BODY}]}).encode()
    assert run(served, Transport(chunk(body))).answer[0] == 200


@pytest.mark.parametrize("pieces", [1, 4])
def test_a_body_over_the_limit_is_read_to_its_end_and_refused(served: Served, pieces: int) -> None:
    small = dataclasses.replace(served, limits=SMALL)
    chunks = [chunk(b"x" * (2_000 // pieces), more=number < pieces - 1) for number in range(pieces)]
    transport = run(small, Transport(*chunks))
    assert transport.answer[0] == 413
    assert transport.received == pieces
    assert transport.headers[b"connection"] == b"close"


def test_a_body_far_over_the_limit_is_not_read(served: Served) -> None:
    small = dataclasses.replace(served, limits=SMALL)
    assert run(small, Transport(), content_length="17000").answer[0] == 413
    assert run(small, Transport(), content_length="1001", expect="100-continue").answer[0] == 413
    endless = Transport(*[chunk(b"x" * 1_000, more=True)] * 40)
    assert run(small, endless).answer[0] == 413
    assert endless.received < 20


def test_a_body_that_does_not_come_is_not_waited_for(served: Served) -> None:
    small = dataclasses.replace(served, limits=SMALL)
    assert run(small, Transport(chunk(b"{", more=True))).answer[0] == 408


def test_a_client_that_leaves_gets_nothing(served: Served) -> None:
    assert run(served, Transport(chunk(b"{", more=True), {"type": "http.disconnect"})).sent == []
    assert run(served, Transport({"type": "http.disconnect"})).sent == []


def test_a_draining_server_asks_clients_to_reconnect(served: Served) -> None:
    draining = dataclasses.replace(served, draining=True)
    transport = run(draining, Transport(chunk(BODY)))
    assert transport.answer[0] == 200
    assert transport.headers[b"connection"] == b"close"


def test_an_unforeseen_failure_shows_no_trace(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(asgi, "handle", broken)
    with caplog.at_level(logging.ERROR):
        transport = run(served, Transport(chunk(BODY)))
    status, answer = transport.answer
    assert status == 500
    assert "secret" not in json.dumps(answer)
    assert "ZeroDivisionError" in caplog.text


def test_websockets_are_closed_and_lifespans_agreed_to(served: Served) -> None:
    socket = Transport()
    asyncio.run(App(served)({"type": "websocket"}, socket.receive, socket.send))
    assert socket.sent[0]["type"] == "websocket.close"
    lifespan = Transport({"type": "lifespan.startup"}, {"type": "lifespan.shutdown"})
    asyncio.run(App(served)({"type": "lifespan"}, lifespan.receive, lifespan.send))
    assert [message["type"] for message in lifespan.sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
