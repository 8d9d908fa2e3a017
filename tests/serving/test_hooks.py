"""MLflow's calls: who may make them, and what they lead to."""

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.serving.asgi import App, Parts
from tiltyard.serving.hooks import DELIVERY, HOOK, MOMENT, MOST_AGE, SIGNATURE, Hook, is_signed, signature
from tiltyard.serving.slots import Served

NOW = 1_795_000_000.0
BODY = b'{"entity": "model_version_alias"}'


def signed(secret: str, moment: float = NOW, body: bytes = BODY) -> dict[bytes, bytes]:
    """Return the headers that MLflow sends."""
    said = signature(secret, "d1", str(int(moment)), body)
    return {SIGNATURE: said.encode(), MOMENT: str(int(moment)).encode(), DELIVERY: b"d1"}


@given(st.text(min_size=1), st.binary(), st.binary())
def test_only_who_knows_the_secret_signs(secret: str, body: bytes, other: bytes) -> None:
    headers = signed(secret, body=body)
    assert is_signed(secret, headers, body, NOW)
    assert is_signed(secret, headers, other, NOW) is (other == body)
    assert not is_signed(f"{secret}x", headers, body, NOW)


@pytest.mark.parametrize(
    "change",
    [
        {SIGNATURE: b""},
        {SIGNATURE: b"v1,\xff"},
        {MOMENT: b""},
        {MOMENT: "\u0663".encode()},
        {MOMENT: b"9" * 400},
        {MOMENT: b"-1"},
        {DELIVERY: b"d2"},
    ],
)
def test_what_was_changed_on_the_way_is_refused(change: dict[bytes, bytes]) -> None:
    assert not is_signed("s", signed("s") | change, BODY, NOW)


def test_an_old_call_is_refused() -> None:
    assert is_signed("s", signed("s", NOW - MOST_AGE), BODY, NOW)
    assert not is_signed("s", signed("s", NOW - MOST_AGE - 1), BODY, NOW)
    assert not is_signed("s", {}, BODY, NOW)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends of a pipe that never waits."""
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    yield ends
    for end in ends:
        os.close(end)


def call(hook: Hook, method: str = "POST", headers: dict[bytes, bytes] | None = None) -> int:
    """Call the route through the application and return the status."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": BODY}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": HOOK, "headers": list((headers or {}).items())}
    asyncio.run(App(Served(names=()), Parts(hook))(scope, receive, send))
    return int(sent[0]["status"])


def test_the_route_is_there_only_with_a_secret(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)
    assert call(Hook(None, pipe[1]), headers=signed("s")) == 404
    assert call(Hook("s", None), headers=signed("s")) == 404
    assert call(Hook("s", pipe[1]), "GET") == 405
    assert call(Hook("s", pipe[1]), headers=signed("t")) == 401
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 1)
    assert call(Hook("s", pipe[1]), headers=signed("s")) == 202
    assert os.read(pipe[0], 10) == b"!"


def test_a_full_pipe_is_hint_enough(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW)
    while True:
        try:
            os.write(pipe[1], bytes(4096))
        except BlockingIOError:
            break
    assert call(Hook("s", pipe[1]), headers=signed("s")) == 202
