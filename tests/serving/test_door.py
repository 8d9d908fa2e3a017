"""The door, on real sockets: who is slow, long, too many or no HTTP is turned away, and harms nobody else."""

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serving.doors import BODY, PREDICT, Client, Door, Reply, open_door, request
from tests.serving.servers import eventually
from tiltyard.predictions.log import PredictionLog
from tiltyard.serving import asgi
from tiltyard.serving.answers import Answer
from tiltyard.serving.asgi import Parts
from tiltyard.serving.exposition import exposition
from tiltyard.serving.handler import handle
from tiltyard.serving.metrics import Metrics, arm_counts
from tiltyard.serving.settings import Limits
from tiltyard.serving.tokens import Tokens

HEAD = f"POST {PREDICT} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(BODY)}\r\n".encode()
UNIQUE = count()
HURRIED = Limits(header_seconds=0.2, body_seconds=0.2)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A door without haste."""
    with open_door(tmp_path_factory.mktemp("patient")) as door:
        yield door


@pytest.mark.parametrize(
    ("head", "shape"),
    [
        (b"POST /v1/models/demand/predict HTTP/1.1\r\ncontent-length: many\r\n\r\n", dict),
        (b"POST /v2/models/demand/infer HTTP/1.1\r\ncontent-length: -1\r\n\r\n", str),
        (b"POST /v1/models/demand/predict HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", dict),
        (b"POST /v1/models/demand/predict HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", dict),
        (b"GET /v1/models/\xff HTTP/1.1\r\n\r\n", dict),
        (b"\x16\x03\x01\x02\x00\x01\x00", dict),
    ],
)
def test_what_is_no_http_is_refused_in_the_shape_of_its_protocol(patient: Door, head: bytes, shape: type) -> None:
    with patient.client() as client:
        reply = client.ask(head)
        assert (reply.status, type(json.loads(reply.body)["error"])) == (400, shape)
        assert "connection: close" in reply.head
        assert client.is_closed()


def test_http_in_its_less_usual_forms_is_answered(patient: Door) -> None:
    with patient.client() as client:
        assert client.ask(request()).status == 200
        chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
        assert client.ask(request(body=chunked, transfer_encoding="chunked")).status == 200
        client.send(request() * 3)
        assert [client.reply().status for _ in range(3)] == [200] * 3
        assert client.ask(request(expect="100-continue")[: -len(BODY)]).status == 100
        assert client.ask(BODY).status == 200
        client.send(request("/v1/models", b"", "HEAD"))
        assert client.reply(bare=True).status == 200
        assert client.ask(request()).status == 200
    with patient.client() as client:
        assert client.ask(request(connection="close")).status == 200
        assert client.is_closed()


def test_slow_clients_harm_no_other_and_are_turned_away(tmp_path: Path) -> None:
    with open_door(tmp_path, HURRIED) as door, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(door.client()) for _ in range(20)]
        for client in slow[:10]:
            client.send(HEAD)
        for client in slow[10:]:
            client.send(HEAD + b"\r\n")
        with door.client() as quick:
            assert {quick.ask(request()).status for _ in range(50)} == {200}
        assert {client.reply().status for client in slow} == {408}
        assert all(client.is_closed() for client in slow)
        assert door.ask(request()).status == 200


def test_a_slow_body_is_turned_away(tmp_path: Path) -> None:
    with open_door(tmp_path, HURRIED) as door, door.client() as client:
        client.send(HEAD + b"\r\n" + BODY[:3])
        assert client.reply().status == 408


def test_a_head_without_end_is_turned_away(patient: Door) -> None:
    limit = Limits().header_bytes
    with patient.client() as client:
        client.send(HEAD + b"x: y\r\n" * (limit // 6 + 1))
        assert client.reply().status == 431
    assert patient.ask(request(x="y" * (limit // 2))).status == 200


@pytest.mark.parametrize("pieces", [1, 5])
@pytest.mark.parametrize(
    ("long", "status"),
    [
        (request(x="y" * 66_000), 431),
        (request("/health/live", b"", "GET", x="y" * 100_000), 431),
        (request().replace(b"host", b"x: y\r\n" * 12_000 + b"host"), 431),
        (request("/v1/models/" + "y" * 70_000), 414),
        (request().replace(b"host: x\r\n", b""), 400),
    ],
    ids=["predict", "health", "many", "address", "no host"],
)
def test_a_head_that_may_not_be_is_answered_once(patient: Door, long: bytes, status: int, pieces: int) -> None:
    with patient.client() as client:
        size = len(long) // pieces + 1
        for start in range(0, len(long), size):
            _send(client, long[start : start + size])
            time.sleep(0.02)
        assert client.reply().status == status
        assert client.is_closed()


def test_many_requests_at_once_are_no_long_head(patient: Door) -> None:
    with patient.client() as client:
        client.send(request("/health/live", b"", "GET", x="y" * 1_000) * 100)
        assert [client.reply().status for _ in range(100)] == [200] * 100
        assert client.ask(request()).status == 200


def test_a_client_that_reads_nothing_is_given_up(tmp_path: Path) -> None:
    rows = json.dumps({"features": [[1.0]] * 9_000}).encode()
    with open_door(tmp_path, HURRIED) as door, door.client(buffer=4096) as client:
        sending = threading.Thread(target=_send, args=(client, request(body=rows) * 60))
        sending.start()
        eventually(lambda: door.worker.server_state.connections)
        eventually(lambda: not door.worker.server_state.connections)
        sending.join()
        assert door.ask(request()).status == 200


def _send(client: Client, content: bytes) -> None:
    with contextlib.suppress(OSError):
        client.send(content)


@pytest.mark.parametrize("path", [PREDICT, "/v2/models/demand/infer", "/invocations"])
def test_beyond_the_limit_requests_are_refused_at_once_and_then_answered_again(tmp_path: Path, path: str) -> None:
    metrics = Metrics(tmp_path / "metrics")
    with open_door(tmp_path, Limits(in_flight=3), Parts(metrics=metrics)) as door, contextlib.ExitStack() as stack:
        held = [stack.enter_context(door.client()) for _ in range(3)]
        for client in held:
            client.send(HEAD + b"\r\n" + BODY[:5])
        eventually(lambda: b"tiltyard_requests_in_flight 3" in exposition(metrics.folder, {}, now=0.0))
        with door.client() as client:
            refused = client.ask(request(path)[: -len(BODY)])
            assert (refused.status, "retry-after: 1" in refused.head) == (503, True)
            assert json.loads(refused.body)
            client.send(BODY)
            assert client.ask(request()).status == 200
            assert client.ask(request("/health/live", b"", "GET")).status == 200
            for waiting in held:
                waiting.send(BODY[5:])
            assert [waiting.reply().status for waiting in held] == [200] * 3
            assert client.ask(request()).status == 200
        counts = {arm.model: count for arm, count in arm_counts(metrics.folder).items()}
        assert counts["demand"].requests == 5


def test_who_has_waited_too_long_is_refused_so_that_the_next_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*arguments: Any) -> Answer:
        time.sleep(0.02)
        return handle(*arguments)

    with open_door(tmp_path, Limits(turn_seconds=0.1)) as door, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(door.client()) for _ in range(100)]
        assert {client.ask(request()).status for client in clients} == {200}
        monkeypatch.setattr(asgi, "handle", slow)
        for client in clients:
            client.send(request())
        replies = [client.reply() for client in clients]
        statuses = [reply.status for reply in replies]
        assert set(statuses) == {200, 503}
        assert all("retry-after: 1" in reply.head for reply in replies if reply.status == 503)
        assert {client.ask(request()).status for client in clients[:5]} == {200}


def test_too_many_connections_are_refused_and_then_taken_again(tmp_path: Path) -> None:
    with open_door(tmp_path, Limits(connections=5)) as door:
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(door.client()) for _ in range(5)]
            assert {client.ask(request()).status for client in held} == {200}
            with door.client() as client:
                reply = client.reply()
                assert (reply.status, "retry-after: 1" in reply.head) == (503, True)
            assert held[0].ask(request()).status == 200
        eventually(lambda: not door.worker.server_state.connections)
        assert door.ask(request()).status == 200


def test_long_bodies_are_held_within_a_limit(tmp_path: Path) -> None:
    limits = Limits(body_bytes=100_000, held_bytes=150_000)
    body = b"x" * 90_000
    with open_door(tmp_path, limits) as door, door.client() as first, door.client() as second:
        first.send(request(body=body)[:80_000])
        eventually(lambda: door.app._bodies.held >= 70_000)
        second.send(request(body=body)[:85_000])
        assert second.reply().status == 503
        first.send(request(body=body)[80_000:])
        assert first.reply().status == 400
        eventually(lambda: door.app._bodies.held == 0)


def test_what_is_under_way_at_the_end_is_answered(tmp_path: Path) -> None:
    with open_door(tmp_path) as door, door.client() as client:
        client.send(HEAD + b"\r\n" + BODY[:5])
        eventually(lambda: door.worker.server_state.tasks)
        door.worker.handle_exit(signal.SIGTERM, None)
        eventually(lambda: door.app.served.draining)
        client.send(BODY[5:])
        reply = client.reply()
        assert (reply.status, "connection: close" in reply.head) == (200, True)
        assert client.is_closed()


USUAL = (
    request(),
    request(body=b"{"),
    request("/v1/models", b"", "GET"),
    request("/v1/models", b"", "HEAD"),
    request("/nothing"),
    request(connection="keep-alive"),
    request(transfer_encoding="chunked", body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)),
    request(expect="0"),
)


@settings(max_examples=40)
@given(
    asked=st.lists(st.sampled_from(USUAL), min_size=1, max_size=12),
    cuts=st.lists(st.integers(min_value=0, max_value=2_000), max_size=4),
)
def test_a_head_that_was_read_before_is_answered_alike(patient: Door, asked: list[bytes], cuts: list[int]) -> None:
    expected = []
    for one in asked:
        alone = one.replace(b"host: x", b"host: %d" % next(UNIQUE))
        with patient.client() as client:
            expected.append(_told(client.ask(alone) if not one.startswith(b"HEAD") else _bare(client, alone)))
    sent = b"".join(asked)
    places = sorted({0, len(sent), *(cut for cut in cuts if cut < len(sent))})
    with patient.client() as client:
        for start, end in pairwise(places):
            client.send(sent[start:end])
        assert [_told(client.reply(bare=one.startswith(b"HEAD"))) for one in asked] == expected


def _bare(client: Client, asked: bytes) -> Reply:
    client.send(asked)
    return client.reply(bare=True)


def _told(reply: Reply) -> tuple[int, int]:
    return reply.status, len(reply.body)


def test_what_looks_like_a_known_request_within_a_body_is_a_body(tmp_path: Path) -> None:
    tokens = Tokens.of({"TILTYARD_TOKENS": "predict:0123456789abcdef"})
    within = request(authorization="Bearer 0123456789abcdef")
    with open_door(tmp_path, parts=Parts(tokens=tokens)) as door:
        for head in (request(body=within), request(body=within, authorization="Bearer 0123456789abcdef")):
            with door.client() as client:
                assert client.ask(within).status == 200
                client.send(head[: -len(within)])
                time.sleep(0.05)
                assert client.ask(within).status in {400, 401}
                assert client.ask(within).status == 200


def test_a_known_head_needs_its_token_anew(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("predict:0123456789abcdef")
    file.chmod(0o600)
    tokens = Tokens.of({"TILTYARD_TOKENS_FILE": str(file)})
    asked = request(authorization="Bearer 0123456789abcdef")
    with open_door(tmp_path, parts=Parts(tokens=tokens)) as door, door.client() as client:
        assert [client.ask(asked).status for _ in range(3)] == [200] * 3
        file.write_text("predict:another-0123456789")
        eventually(lambda: client.ask(asked).status == 401)


def test_answers_of_many_connections_at_once_are_each_client_s_own(tmp_path: Path) -> None:
    with open_door(tmp_path, parts=Parts(log=PredictionLog(tmp_path / "log"))) as door, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(door.client()) for _ in range(40)]
        bodies = [json.dumps({"features": [[1.0]] * (1 + at % 5)}).encode() for at in range(40)]
        ids = set()
        for _ in range(10):
            for client, body in zip(clients, bodies, strict=True):
                client.send(request(body=body))
            replies = [json.loads(client.reply().body) for client in clients]
            assert [len(reply["predictions"]) for reply in replies] == [1 + at % 5 for at in range(40)]
            ids |= {reply["id"] for reply in replies}
    lines = [line for file in (tmp_path / "log").iterdir() for line in file.read_bytes().splitlines()]
    found = [json.loads(line) for line in lines]
    assert {line.get("id") or line["batch"] for line in found if "schema" not in line} == ids
    assert len(ids) == 400


@pytest.mark.parametrize("upgrade", ["h2c", "websocket", "foo"])
@pytest.mark.parametrize("cut", [False, True])
def test_a_protocol_that_is_not_spoken_is_ignored(patient: Door, upgrade: str, cut: bool) -> None:
    within = request("/v1/models", b"", "GET")
    asked = request(connection="Upgrade, HTTP2-Settings", upgrade=upgrade, http2_settings="AAMAAABk")
    smuggling = request(body=within, connection="Upgrade", upgrade=upgrade)
    chunked = request(
        body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
        transfer_encoding="chunked",
        connection="upgrade",
        upgrade="x",
    )
    bare = request("/v1/models", b"", "GET", connection="Upgrade", upgrade=upgrade)
    with patient.client() as client:
        for one, status in ((asked, 200), (smuggling, 400), (chunked, 200), (bare, 200), (asked + b"", 200)):
            head = one.index(b"\r\n\r\n") + 4
            client.send(one[:head])
            if cut:
                time.sleep(0.02)
            client.send(one[head:])
            assert client.reply().status == status
        client.send(bare + asked + bare)
        assert [client.reply().status for _ in range(3)] == [200] * 3


LONG = json.dumps({"features": [[1.0]] * 8_000}).encode()


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("wrong", [b"\x00garbage\r\n\r\n", request(x="y" * 70_000)], ids=["garbage", "long head"])
def test_what_is_whole_is_answered_before_what_is_wrong_behind_it(patient: Door, wrong: bytes, pieces: int) -> None:
    with patient.client() as client:
        client.send(request(body=LONG) * 2 + (wrong if pieces == 1 else b""))
        if pieces == 2:
            _send(client, wrong)
        assert [client.reply().status for _ in range(2)] == [200, 200]
        assert client._file.read()[:12] in {b"", b"HTTP/1.1 400", b"HTTP/1.1 431"}


@pytest.mark.parametrize("asked", [request(body=LONG), request(body=LONG) * 3, request(), request() * 3])
def test_who_asks_no_more_is_answered(patient: Door, asked: bytes) -> None:
    with patient.client() as client:
        client.send(asked)
        client._socket.shutdown(socket.SHUT_WR)
        assert {client.reply().status for _ in range(asked.count(b"POST"))} == {200}
        assert client.is_closed()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request().replace(b"host: x", b"host: x\r\nhost: y"), 400),
        (request().replace(b"HTTP/1.1", b"HTTP/2.0"), 400),
        (request(transfer_encoding="gzip, chunked", body=b"0\r\n\r\n"), 501),
        (request().replace(b"host: x", b"host: x\r\nauthorization: a\r\nauthorization: b"), 400),
        (b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n", 405),
    ],
    ids=["hosts", "version", "coding", "tokens", "tunnel"],
)
def test_a_head_that_can_be_read_in_two_ways_is_refused(patient: Door, asked: bytes, status: int) -> None:
    with patient.client() as client:
        assert client.ask(asked).status == status
        assert client.is_closed()
