"""Two servers behind a proxy are started anew, one after the other, under load: nothing fails, nothing is mislabelled.

`TILTYARD_SOAK_RESTARTS=10` for more.
"""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.serving.load import Connection, Tally
from tests.serving.servers import Server, eventually, planned
from tests.soak.fronts import Front, Haproxy, Nginx
from tests.soak.sizes import size
from tiltyard.serving.plan import Plan

RESTARTS = size("RESTARTS", 4)


@pytest.fixture(params=[Nginx, Haproxy])
def front(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Front]:
    """A proxy that is not started yet."""
    made: Front = request.param(tmp_path / "front")
    yield made
    made.stop()


class Visitors:
    """Clients on a thread, every one of which asks one request after the other.

    Args:
        port: Where the proxy listens.
        keep: Whether they keep their connections.
        pause: Seconds between an answer and the next request.
        clients: How many at once.
    """

    def __init__(self, port: int, *, keep: bool, pause: float, clients: int) -> None:
        self.tally = Tally()
        self._port = port
        self._keep = keep
        self._pause = pause
        self._clients = clients
        self._going = True
        self._thread = threading.Thread(target=lambda: asyncio.run(self._ask_all()))
        self._thread.start()

    def stop(self) -> Tally:
        """Ask no more; return what was seen."""
        self._going = False
        self._thread.join()
        return self.tally

    async def _ask_all(self) -> None:
        await asyncio.gather(*(self._ask() for _ in range(self._clients)))

    async def _ask(self) -> None:
        connection = Connection(self._port)
        while self._going:
            try:
                await connection.connect()
                status, content = await connection.post("/v1/models/demand/predict", b'{"features": [[1.0], [2.0]]}')
            except (OSError, asyncio.IncompleteReadError) as error:
                self.tally.lost.append(repr(error))
                connection.close()
            else:
                if status == 200:
                    self.tally.count(json.loads(content))
                else:
                    self.tally.lost.append(f"{status} {content!r}")
            if not self._keep:
                connection.close()
            await asyncio.sleep(self._pause)
        connection.close()


def begin(folder: Path, version: int, port: int | None = None) -> Server:
    """Start a server whose champion is a version, and wait until it answers."""
    (folder / "home").mkdir(parents=True)
    plan = Plan(models={"demand": planned(folder, version)})
    server = Server(folder / "home", names="demand", workers=1, tracking_uri=None, plan=plan, poll=1.0, port=port)
    eventually(server.ready, seconds=120)
    return server


def end(server: Server) -> None:
    """Stop a server that may have been stopped before."""
    server.client.close()
    if server.process.poll() is None:
        server.stop()


@pytest.mark.exhaustive
@pytest.mark.timeout(1_800)
def test_servers_restarted_one_after_the_other_behind_a_proxy_lose_and_mix_nothing(
    front: Front, tmp_path: Path
) -> None:
    folders = (tmp_path / f"{number}" for number in itertools.count())
    with ExitStack() as ends:
        standing = [begin(next(folders), 1) for _ in range(2)]
        for server in standing:
            ends.callback(end, server)
        front.start([server.port for server in standing])
        loads = {
            "new connections": Visitors(front.port, keep=False, pause=0.005, clients=6),
            "kept connections": Visitors(front.port, keep=True, pause=0.005, clients=6),
            "connections idle for longer than a server drains": Visitors(front.port, keep=True, pause=0.7, clients=4),
        }
        try:
            for number in range(RESTARTS):
                old = standing.pop(0)
                assert old.stop() == 0
                standing.append(begin(next(folders), 2 + number, old.port))
                ends.callback(end, standing[-1])
                time.sleep(0.7)
        finally:
            tallies = {name: load.stop() for name, load in loads.items()}
    assert {name: (tally.lost, tally.mixed) for name, tally in tallies.items()} == dict.fromkeys(loads, ([], 0))
    assert all(max(tally.versions) == RESTARTS + 1 for tally in tallies.values())
    answers = {name: tally.answers for name, tally in tallies.items()}
    print(f"{RESTARTS} restarts behind {front.name}, none lost or mixed: {answers}")  # noqa: T201  # -s shows it
