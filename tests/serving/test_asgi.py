"""The adapter: bodies within their limits, one answer a request, no trace."""

import asyncio
import dataclasses
import errno
import json
import logging
import os
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.serving.bundles import ROW
from tiltyard.predictions.log import PredictionLog
from tiltyard.predictions.settings import LogSettings
from tiltyard.serving import asgi
from tiltyard.serving.asgi import App, Parts
from tiltyard.serving.bodies import Message
from tiltyard.serving.metrics import Arm, Metrics, arm_counts
from tiltyard.serving.plan import SlotPlan
from tiltyard.serving.requests import Head
from tiltyard.serving.settings import Limits
from tiltyard.serving.slots import Served
from tiltyard.serving.tokens import Tokens

PREDICT = "/v1/models/churn/predict"
FEEDBACK = "/v1/models/churn/feedback"
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


def run(
    served: Served,
    transport: Transport,
    *,
    path: str = PREDICT,
    method: str = "POST",
    parts: Parts | None = None,
    **headers: str,
) -> Transport:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": pairs}
    asyncio.run(App(served, parts or Parts())(scope, transport.receive, transport.send))
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


def text_in(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.iterdir())


def test_a_prediction_is_in_the_log_before_its_answer_leaves(served: Served, tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    seen: list[str] = []

    class Watching(Transport):
        async def send(self, message: Message) -> None:
            seen.append(text_in(tmp_path))
            await super().send(message)

    transport = run(served, Watching(chunk(BODY)), parts=Parts(log=log))
    log.close()
    assert transport.answer[0] == 200
    assert transport.headers[b"x-prediction-id"].decode() in seen[0]


@pytest.mark.parametrize(("when_full", "status"), [("refuse", 503), ("answer", 200)])
def test_an_answer_that_cannot_be_logged_is_refused_or_counted(
    served: Served, tmp_path: Path, when_full: Literal["refuse", "answer"], status: int
) -> None:
    (tmp_path / "log").write_text("no folder")
    log = PredictionLog(tmp_path / "log", LogSettings(when_full=when_full))
    app = App(dataclasses.replace(served, names=("churn",)), Parts(log=log))
    transport = Transport(chunk(BODY))
    scope = {"type": "http", "method": "POST", "path": PREDICT, "headers": []}
    asyncio.run(app(scope, transport.receive, transport.send))
    app.tick()
    assert transport.answer[0] == status
    assert (b"retry-after" in transport.headers) == (status == 503)
    assert (log.counts.unlogged, log.counts.refused) == ((0, 1) if when_full == "refuse" else (1, 0))
    assert app.served.standing == ("unlogged" if when_full == "refuse" else "ready")
    log.close()


def test_only_the_sample_is_logged_and_labels_always(served: Served, tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, LogSettings(sample=0.0))
    assert run(served, Transport(chunk(BODY)), parts=Parts(log=log)).answer[0] == 200
    assert log.counts.written == 0
    label = chunk(json.dumps({"id": "9f" * 12, "label": True}).encode())
    assert run(served, Transport(label), parts=Parts(log=log), path=FEEDBACK).answer[0] == 202
    assert log.counts.written == 1
    log.close()


def test_without_a_log_labels_are_refused(served: Served) -> None:
    label = chunk(json.dumps({"id": "9f" * 12, "label": True}).encode())
    status, answer = run(served, Transport(label), path=FEEDBACK).answer
    assert (status, "no log" in answer["error"]["what"]) == (503, True)


def test_what_was_answered_is_counted(served: Served, tmp_path: Path) -> None:
    metrics = Metrics(tmp_path)
    parts = Parts(metrics=metrics)
    run(served, Transport(chunk(BODY)), parts=parts)
    run(served, Transport(chunk(b"{")), parts=parts)
    run(served, Transport(chunk(b"")), parts=parts, path="/v1/models/nobody/predict")
    transport = run(served, Transport(chunk(b"")), parts=parts, path="/metrics", method="GET")
    text = transport.sent[1]["body"].decode()
    counts = arm_counts(tmp_path)[Arm("churn", 3, "champion")]
    assert (counts.requests, counts.errors, counts.timed) == (1, 0, 1)
    assert 'tiltyard_requests_total{model="churn",version="",slot="",protocol="tiltyard",code="400"} 1' in text
    assert 'tiltyard_requests_total{model="",version="",slot="",protocol="tiltyard",code="404"} 1' in text
    assert 'tiltyard_version_loaded{model="churn",version="3",slot="champion"} 1' in text
    assert "nobody" not in text
    metrics.close()


def test_a_champion_that_fails_is_counted_as_such(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(asgi, "handle", broken)
    metrics = Metrics(tmp_path)
    assert run(served, Transport(chunk(BODY)), parts=Parts(metrics=metrics)).answer[0] == 500
    assert arm_counts(tmp_path)[Arm("churn", 3, "champion")].run_of_errors == 1
    metrics.close()


def test_a_model_that_is_not_in_memory_is_loaded_and_asked_again(served: Served) -> None:
    slot = served.slots["churn"]
    planned = SlotPlan(version=slot.version, bundle="", digest=slot.digest, since=slot.since)
    rest = {name: other for name, other in served.slots.items() if name != "churn"}
    without = dataclasses.replace(served, slots=rest, waiting={"churn": planned})
    app = App(without)
    transport = Transport(chunk(BODY))
    asked: list[str] = []

    async def load(name: str) -> None:
        asked.append(name)
        app.served = served

    assert run(without, Transport(chunk(BODY))).answer[0] == 503
    app.loader = load
    scope = {"type": "http", "method": "POST", "path": PREDICT, "headers": []}
    asyncio.run(app(scope, transport.receive, transport.send))
    assert (transport.answer[0], asked) == (200, ["churn"])


@pytest.mark.parametrize(("path", "shape"), [(PREDICT, dict), ("/v2/models/churn/infer", str), ("/invocations", None)])
def test_who_has_no_token_is_told_so_in_the_protocols_shape(served: Served, path: str, shape: type | None) -> None:
    tokens = Tokens.of({"TILTYARD_TOKENS": "read:0123456789abcdef"})
    transport = run(served, Transport(), parts=Parts(tokens=tokens), path=path)
    status, answer = transport.answer
    assert (status, transport.received) == (401, 0)
    assert transport.headers[b"www-authenticate"].startswith(b"Bearer")
    assert "error_code" in answer if shape is None else isinstance(answer["error"], shape)
    held = run(served, Transport(), parts=Parts(tokens=tokens), path=path, authorization="Bearer 0123456789abcdef")
    assert held.answer[0] == 403


def test_every_answer_has_headers_that_keep_browsers_safe(served: Served) -> None:
    for transport in (run(served, Transport(chunk(BODY))), run(served, Transport(chunk(b"{")))):
        assert transport.headers[b"x-content-type-options"] == b"nosniff"
        assert transport.headers[b"cache-control"] == b"no-store"
    for path in ("/v1/models", "/docs", "/nothing"):
        transport = run(served, Transport(chunk(b"")), path=path, method="GET")
        names = [name for name, _ in transport.sent[0]["headers"]]
        assert len(names) == len(set(names))
        assert b"frame-ancestors 'none'" in transport.headers[b"content-security-policy"]
        assert transport.headers[b"referrer-policy"] == b"no-referrer"


def test_what_has_to_wait_is_not_answered_promptly(served: Served, tmp_path: Path) -> None:
    head = Head("POST", PREDICT, "", {})
    log = PredictionLog(tmp_path, LogSettings(durability="disk"))
    waiting = App(served, Parts(log=log))
    assert waiting.prompt(head, BODY) is None
    assert run(served, Transport(chunk(BODY)), parts=Parts(log=log)).answer[0] == 200
    assert log.counts.written == 1
    log.close()
    app = App(served)
    prompt = app.prompt(head, BODY)
    assert prompt is not None
    assert [answer.status for answer in app.commit([prompt])] == [200]
    assert app.prompt(head, b" " * asgi.LONG_BODY) is None
    assert app.prompt(head._replace(headers={b"content-encoding": b"gzip"}), BODY) is None
    assert app.prompt(head._replace(path="/metrics"), b"") is None


def test_answers_of_one_turn_are_logged_by_one_write(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PredictionLog(tmp_path)
    app = App(served, Parts(log=log))
    heads = [Head("POST", PREDICT, "", {}), Head("POST", "/v1/models/nothing/predict", "", {})]
    prompts = [app.prompt(head, BODY) for head in (*heads, heads[0])]
    writes = []
    write = os.write

    def counted(descriptor: int, content: bytes) -> int:
        writes.append(content)
        return write(descriptor, content)

    monkeypatch.setattr(os, "write", counted)
    answers = app.commit([prompt for prompt in prompts if prompt])
    assert [answer.status for answer in answers] == [200, 404, 200]
    assert [len(content.splitlines()) for content in writes] == [3]
    assert log.counts.written == 2
    log.close()


def test_answers_of_one_turn_that_cannot_be_logged_are_each_refused(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PredictionLog(tmp_path)
    app = App(served, Parts(log=log))
    prompts = [app.prompt(Head("POST", PREDICT, "", {}), BODY) for _ in range(3)]

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    answers = app.commit([prompt for prompt in prompts if prompt])
    assert [answer.status for answer in answers] == [503] * 3
    assert log.counts == (0, 0, 0, 3)
    monkeypatch.undo()
    log.close()


def test_a_fault_at_the_log_is_one_client_s_and_leaves_no_trace(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = PredictionLog(tmp_path)
    app = App(served, Parts(log=log))
    prompt = app.prompt(Head("POST", PREDICT, "", {}), BODY)
    assert prompt is not None

    def faulty(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(log, "append", faulty)
    (answer,) = app.commit([prompt])
    assert (answer.status, b"secret" in answer.body) == (500, False)
    log.close()
