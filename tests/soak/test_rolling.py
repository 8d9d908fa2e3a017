"""Two servers behind nginx are started anew, one after the other, under load: nothing fails, nothing is mislabelled.

`TILTYARD_SOAK_RESTARTS=10` for more.
"""

import asyncio
import itertools
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.conftest import free_port
from tests.serving.load import Connection, Tally
from tests.serving.servers import Server, eventually, planned
from tests.soak.sizes import size
from tiltyard.serving.plan import Plan

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
RESTARTS = size("RESTARTS", 4)
CONFIGURATION = """\
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream yard {{ {servers} keepalive 16; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://yard; proxy_http_version 1.1; proxy_set_header connection ""; proxy_next_upstream off;
    }}
  }}
}}
"""


class Front:
    """nginx before some servers, which it does not ask twice when one fails.

    Args:
        folder: Its files.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        folder.mkdir()

    def start(self, ports: Sequence[int]) -> None:
        """Start nginx."""
        assert NGINX is not None
        self._write(ports)
        command = [NGINX, "-c", str(self._folder / "nginx.conf"), "-p", str(self._folder)]
        self._process = subprocess.Popen(command)
        eventually(lambda: psutil.Process(self._process.pid).children())

    def point(self, ports: Sequence[int]) -> None:
        """Ask these servers from now on; wait until nobody asks the others any more."""
        old = {child.pid for child in self._workers()}
        self._write(ports)
        psutil.Process(self._process.pid).send_signal(1)
        eventually(lambda: not old & {child.pid for child in self._workers()})

    def _workers(self) -> list[psutil.Process]:
        return psutil.Process(self._process.pid).children()

    def _write(self, ports: Sequence[int]) -> None:
        servers = " ".join(f"server 127.0.0.1:{port} max_fails=0;" for port in ports)
        content = CONFIGURATION.format(folder=self._folder, port=self.port, servers=servers)
        (self._folder / "nginx.conf").write_text(content)

    def stop(self) -> None:
        """Stop nginx."""
        self._process.terminate()
        self._process.wait(30)


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    """An nginx that is not started yet."""
    if NGINX is None:
        pytest.skip("nginx is not installed")
    made = Front(tmp_path / "nginx")
    yield made
    with suppress(AttributeError):
        made.stop()


class Visitors:
    """Clients that come on a new connection with every request, on a thread.

    nginx ends idle connections when it is told of other servers; who is about to ask on one finds it closed.

    Args:
        port: Where nginx listens.
        clients: How many at once.
    """

    def __init__(self, port: int, clients: int) -> None:
        self.tally = Tally()
        self._port = port
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
        while self._going:
            connection = Connection(self._port)
            try:
                await connection.connect()
                status, content = await connection.post("/v1/models/demand/predict", b'{"features": [[1.0], [2.0]]}')
            except (OSError, asyncio.IncompleteReadError) as error:
                self.tally.lost.append(repr(error))
            else:
                if status == 200:
                    self.tally.count(json.loads(content))
                else:
                    self.tally.lost.append(f"{status} {content!r}")
            connection.close()
            await asyncio.sleep(0.005)


def begin(folder: Path, version: int) -> Server:
    """Start a server whose champion is a version, and wait until it answers."""
    plan = Plan(models={"demand": planned(folder, version)})
    server = Server(folder / "home", names="demand", workers=1, tracking_uri=None, plan=plan, poll=1.0)
    eventually(server.ready, seconds=120)
    return server


@pytest.mark.exhaustive
@pytest.mark.timeout(1_800)
def test_servers_restarted_one_after_the_other_behind_nginx_lose_and_mix_nothing(front: Front, tmp_path: Path) -> None:
    folders = (tmp_path / f"{number}" for number in itertools.count())
    made: list[Server] = []

    def fresh(version: int) -> Server:
        folder = next(folders)
        (folder / "home").mkdir(parents=True)
        made.append(begin(folder, version))
        return made[-1]

    standing = [fresh(1), fresh(1)]
    try:
        front.start([server.port for server in standing])
        load = Visitors(front.port, clients=8)
        for number in range(RESTARTS):
            old = standing.pop(0)
            front.point([server.port for server in standing])
            assert old.stop() == 0
            standing.append(fresh(2 + number))
            front.point([server.port for server in standing])
            time.sleep(0.5)
        tally = load.stop()
    finally:
        for server in made:
            server.client.close()
            if server.process.poll() is None:
                server.stop()
    assert (tally.lost, tally.mixed) == ([], 0)
    assert max(tally.versions) == RESTARTS + 1
    print(f"{RESTARTS} restarts behind nginx, {tally.answers:,} answers, none lost or mixed: {tally.versions}")  # noqa: T201  # -s shows it
