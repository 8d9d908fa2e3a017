"""Hostile versions in the registry and hostile bytes on the wire: the champion keeps answering."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.attacks.corpus import ATTACKS, CANARY, make
from tests.serving.loading import Load
from tests.serving.registries import MODEL, Registered
from tests.serving.servers import Server, eventually, planned, running
from tiltyard.bundle.manifest import read_manifest
from tiltyard.errors import BundleError
from tiltyard.registry.records import BUNDLE_DIGEST
from tiltyard.serving.plan import Plan

VERSIONS = (
    "pickle as the graph",
    "pickle beside",
    "contract that names a callable",
    "tensor in another file, behind long keys",
    "tensor bomb",
)
PREDICT = b"POST /v1/models/demand/predict HTTP/1.1\r\nhost: x\r\n"
BODY = b'{"features": [1.0]}'


def add_hostile(registered: Registered, name: str, number: int) -> int:
    """Register a version whose files are an attack's, with a loader and code beside them as MLflow would run it."""
    folder = registered.workplace.home / "hostile" / str(number)
    folder.mkdir(parents=True)
    make(ATTACKS[name], folder / "bundle")
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: evil\n    code: code\n")
    (folder / "code").mkdir()
    (folder / "code" / "evil.py").write_text(f"import os\nopen(os.environ['{CANARY}'], 'w').close()\n")
    made = registered.client.create_model_version(
        registered.name, source=folder.as_uri(), tags={BUNDLE_DIGEST: digest_of(folder / "bundle")}
    )
    return int(made.version)


@pytest.mark.exhaustive
def test_hostile_versions_are_refused_while_the_champion_answers(
    registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = registered.workplace.home
    canary = home / "canary"
    monkeypatch.setenv(CANARY, str(canary))
    registered.promote(registered.add())
    with running(home) as server:
        eventually(server.ready)
        load = Load(server, clients=2, pause=0.01)
        for number, name in enumerate(VERSIONS):
            version = add_hostile(registered, name, number)
            registered.promote(version)
            reason = eventually(partial(refusal_of, registered, version))
            eventually(lambda: registered.alias() == 1)
            assert ATTACKS[name].reason in reason
        tally = load.stop()
    assert (tally.lost, tally.mixed, set(tally.versions)) == ([], 0, {1})
    assert not canary.exists()


def digest_of(bundle: Path) -> str:
    """Return the digest that a version's tag has to name; empty where there is none to name."""
    try:
        return read_manifest(bundle).digest
    except BundleError:
        return ""


def refusal_of(registered: Registered, version: int) -> str:
    """Return the tag that says why a version is not served, empty when there is none yet."""
    return next((text for tag, text in registered.tags(version).items() if "refus" in tag), "")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that needs no registry."""
    folder = tmp_path_factory.mktemp("attacked")
    with running(folder / "home", plan=Plan(models={MODEL: planned(folder, 1)})) as made:
        eventually(made.ready)
        yield made


def send(server: Server, content: bytes, *, seconds: float = 10.0) -> bytes:
    """Send bytes on a connection of their own; return all that comes back until it closes or is silent."""
    received = b""
    with closing(socket.create_connection(("127.0.0.1", server.port), timeout=seconds)) as connection:
        try:
            connection.sendall(content)
            while chunk := connection.recv(65_536):
                received += chunk
                if answers(received) and received.endswith((b"}", b"}\n")):
                    connection.settimeout(0.2)
        except (TimeoutError, ConnectionError):
            pass
    return received


def answers(received: bytes) -> list[int]:
    """Return the statuses of the answers in a stream."""
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]


SMUGGLED = b"GET /v1/models/smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
LENGTH = b"content-length: %d\r\n" % len(BODY)
AMBIGUOUS = {
    "length and chunks": PREDICT + b"content-length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED,
    "chunks and length": PREDICT + CHUNKED + b"content-length: 300\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two lengths": PREDICT + b"content-length: 0\r\n" + LENGTH + b"\r\n" + BODY + SMUGGLED,
    "negative length": PREDICT + b"content-length: -1\r\n\r\n" + SMUGGLED,
    "length with a sign": PREDICT + b"content-length: +19\r\n\r\n" + BODY + SMUGGLED,
    "length of two numbers": PREDICT + b"content-length: 19, 19\r\n\r\n" + BODY + SMUGGLED,
    "hexadecimal length": PREDICT + b"content-length: 0x13\r\n\r\n" + BODY + SMUGGLED,
    "length beyond all numbers": PREDICT + b"content-length: 99999999999999999999999\r\n\r\n" + SMUGGLED,
    "unknown coding": PREDICT + b"transfer-encoding: chunked, evil\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "coding after a tab": PREDICT + b"content-length: 5\r\ntransfer-encoding:\tchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "blank in a name": PREDICT + b"content-length : 19\r\n\r\n" + BODY + SMUGGLED,
    "chunk of no number": PREDICT + CHUNKED + b"\r\nzz\r\n" + SMUGGLED,
    "chunk beyond all numbers": PREDICT + CHUNKED + b"\r\nffffffffffffffffff\r\n" + SMUGGLED,
    "continued line": PREDICT + b"x: a\r\n content-length: 3\r\n" + LENGTH + b"\r\n" + BODY,
    "bare line feeds": PREDICT.replace(b"\r\n", b"\n") + LENGTH + b"\n" + BODY,
    "null in a header": PREDICT + b"x: a\0b\r\n\r\n",
    "no version": b"GET /health/live\r\n\r\n",
    "version of tomorrow": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no request at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 200,
    "giant header": PREDICT + b"x: " + b"a" * 2_000_000 + b"\r\n\r\n",
    "many headers": PREDICT + b"".join(b"x%d: y\r\n" % at for at in range(20_000)) + b"\r\n",
    "giant path": b"GET /" + b"a" * 2_000_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_requests_smuggle_nothing(name: str, server: Server) -> None:
    received = send(server, AMBIGUOUS[name], seconds=0.7)
    assert b"smuggled" not in received
    assert all(status < 500 for status in answers(received))
    assert server.version() == 1


CLOSE = "connection: close\r\ncontent-length: 0"
PATHS = (
    *("/../../etc/passwd", "/v1/models/../../../etc/passwd", "/v1/models/%2e%2e%2f%2e%2e%2fetc%2fpasswd"),
    *("/v1/models/..%5c..%5cwindows", "/v1/models/demand%2fpredict", "/v1/models/demand%00/predict", "//etc/passwd"),
    *("/v1/models/%c0%ae%c0%ae/predict", "/v1/models/demand;x=/predict", "/v1//models//demand", "/%", "/%zz", "/%ff"),
    *("/docs/../../tiltyard.yaml", "/docs/%2e%2e/plan.json", "/v2/models/../repository/index", "/metrics/../plan.json"),
    *("/v2/models/demand/versions/../../../x/infer", "http://elsewhere/v1/models/demand", "*"),
    "/v1/models/" + "%41" * 900,
)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path[:40])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_path_leads_out(method: str, path: str, server: Server) -> None:
    received = send(server, f"{method} {path} HTTP/1.1\r\nhost: x\r\n{CLOSE}\r\n\r\n".encode())
    assert len(answers(received)) == 1, received
    assert answers(received)[0] in {200, 400, 403, 404, 405, 422}
    assert b"root:" not in received
    assert b"bundle" not in received.lower()
    assert str(Path.cwd()).encode() not in received


@pytest.mark.parametrize("method", [b"CONNECT x:1", b"TRACE /", b"PATCH /v1/models", b"BREW /coffee", b"M-SEARCH *"])
def test_no_method_does_anything_else(method: bytes, server: Server) -> None:
    received = send(server, method + b" HTTP/1.1\r\nhost: x\r\nauthorization: secret-4711\r\nconnection: close\r\n\r\n")
    assert all(400 <= status < 500 for status in answers(received))
    assert b"4711" not in received
    assert server.version() == 1


def test_requests_in_one_write_are_answered_in_their_order(server: Server) -> None:
    one = PREDICT + LENGTH + b"\r\n" + BODY
    received = send(server, one * 50)
    assert answers(received) == [200] * 50


def test_three_hundred_silent_connections_keep_nobody_out(server: Server) -> None:
    async def crowd() -> None:
        opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(300)]
        for number, (_, writer) in enumerate(opened):
            writer.write(PREDICT[: number % len(PREDICT)])
        assert await asyncio.to_thread(server.version) == 1
        for _, writer in opened:
            writer.close()

    asyncio.run(crowd())
    assert server.version() == 1
