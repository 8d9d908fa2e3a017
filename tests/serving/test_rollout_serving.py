"""Rollouts at real servers under load: sticky, never a failure of the candidate's to be seen, and back by itself."""

import json
import time
from collections.abc import Sequence
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests.serving.bundles import SLOPE
from tests.serving.loading import Load
from tests.serving.registries import Registered
from tests.serving.servers import Server, eventually, running
from tiltyard.project.rollout import RolloutSection
from tiltyard.registry import rollouts
from tiltyard.registry.client import connect
from tiltyard.registry.refusals import SERVING_REFUSED

MODEL = "/v1/models/demand"
KEYS = 300
WORKERS = 2
BY_HAND = RolloutSection(strategy="canary", steps=(0.3, 0.7), min_requests=(1_000_000,), key="price")
QUICK = RolloutSection(strategy="canary", steps=(0.3, 1.0), min_requests=(30,), error_margin=0.5, slow_ratio=20)
"""A rollout whose margins no busy machine breaks."""


def ask(port: int, paths: Sequence[tuple[str, bytes]]) -> list[Any]:
    """Return the answers to some requests, on one new connection; those with a body are posted."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        answers = []
        for path, body in paths:
            connection.request("POST" if body else "GET", path, body or None)
            answers.append(json.loads(connection.getresponse().read()))
        return answers


def versions_of(server: Server) -> dict[int, int]:
    """Return the version that answers for each key; asked on several connections, so that every worker is."""
    found = {}
    for first in range(0, KEYS, 25):
        keys = range(first, first + 25)
        bodies = [json.dumps({"rows": [{"price": key}]}).encode() for key in keys]
        for key, answer in zip(keys, ask(server.port, [(f"{MODEL}/predict", body) for body in bodies]), strict=True):
            assert answer["predictions"][0]["prediction"] == SLOPE * key + answer["version"]
            found[key] = answer["version"]
    return found


def chosen(server: Server, version: int = 2) -> set[int]:
    """Return the keys that a version answers for."""
    return {key for key, answered in versions_of(server).items() if answered == version}


def agreed(server: Server, version: int) -> bool:
    """Whether every worker answers with a version: eight new connections in a row do."""
    return all(ask(server.port, [(MODEL, b"")])[0]["version"] == version for _ in range(8))


def stable(server: Server, *, least: int) -> set[int] | None:
    """Return the keys of the candidate once they are so many, and the same twice."""
    found = chosen(server)
    return found if len(found) >= least and chosen(server) == found else None


def begun(registered: Registered, server: Server) -> None:
    """Wait for a server whose champion is in the ledger."""
    eventually(server.ready)
    eventually(lambda: registered.ledger.champion() == 1)


def test_a_canary_keeps_its_keys_while_it_grows_and_the_way_back_is_open(
    tmp_path: Path, registered: Registered
) -> None:
    registered.promote(registered.add(manner="sloping"))
    registered.add(manner="sloping")
    with running(tmp_path, workers=WORKERS) as server:
        begun(registered, server)
        load = Load(server, clients=4, pause=0.02)
        rollout = registered.roll_out(2, BY_HAND)
        first = eventually(lambda: stable(server, least=60))
        assert len(first) <= 120
        rollout = rollouts.advance(registered.ledger, rollout, actor="ada", reason="it is fine", evidence={})
        second = eventually(lambda: stable(server, least=170))
        assert len(second) <= 250
        assert first < second
        rollouts.promote(registered.ledger, connect(registered.workplace), rollout, actor="ada", reason="it is fine")
        eventually(lambda: agreed(server, 2))
        assert len(chosen(server)) == KEYS
        assert registered.roll_back() == 1
        eventually(lambda: agreed(server, 1))
        tally = load.stop()
    assert (tally.lost, tally.mixed) == ([], 0)


def test_a_candidate_that_fails_is_never_seen_and_returns_by_itself(tmp_path: Path, registered: Registered) -> None:
    registered.promote(registered.add(manner="sloping"))
    registered.add(manner="broken")
    with running(tmp_path, workers=WORKERS) as server:
        begun(registered, server)
        load = Load(server, clients=4, pause=0.02)
        registered.roll_out(2, QUICK)
        eventually(lambda: registered.latest().outcome == "returned")
        eventually(lambda: SERVING_REFUSED in registered.tags(2))
        tally = load.stop()
    assert (tally.lost, tally.mixed, set(tally.versions)) == ([], 0, {1})
    assert registered.alias() == 1


@pytest.mark.exhaustive
@pytest.mark.timeout(1800)
def test_twenty_canaries_and_twenty_ways_back_under_load_lose_and_mix_nothing(
    tmp_path: Path, registered: Registered
) -> None:
    registered.promote(registered.add(manner="sloping"))
    taken = []
    with running(tmp_path, workers=WORKERS, poll=1.0) as server:
        begun(registered, server)
        load = Load(server, clients=4, pause=0.01)
        for _ in range(20):
            version = registered.add(manner="sloping")
            registered.roll_out(version, QUICK)
            eventually(lambda: registered.latest().outcome == "promoted", seconds=120)
            eventually(lambda: agreed(server, version))  # noqa: B023  # called at once
            assert registered.roll_back() == 1
            began = time.monotonic()
            eventually(lambda: agreed(server, 1))
            taken.append(time.monotonic() - began)
        tally = load.stop()
    assert (tally.lost, tally.mixed) == ([], 0)
    assert len(tally.versions) == 21
    print(f"20 canaries and 20 ways back, {tally.answers} answers; slowest way back {max(taken):.2f} s")  # noqa: T201  # -s shows it
