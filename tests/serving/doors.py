"""A worker on a thread of the test's own process, and clients that speak HTTP by hand."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import uvloop

from tests.serving.servers import eventually, planned
from tiltyard.serving.asgi import App, Parts
from tiltyard.serving.plan import Plan, write_plan
from tiltyard.serving.settings import Limits, TlsFiles, WorkerSettings
from tiltyard.serving.slots import Served
from tiltyard.serving.worker import Worker, config_of

BODY = b'{"features": [[1.0], [2.0]]}'
PREDICT = "/v1/models/demand/predict"


def request(path: str = PREDICT, body: bytes = BODY, method: str = "POST", **headers: str) -> bytes:
    """Return a request's bytes; without a body there is no length."""
    lines = [f"{method} {path} HTTP/1.1", "host: x"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [f"content-length: {len(body)}"] if body and "transfer_encoding" not in headers else []
    return "\r\n".join([*lines, "", ""]).encode() + body


class Reply(NamedTuple):
    """One answer.

    Attributes:
        status: HTTP status.
        head: Status line and headers, lower case.
        body: What follows.
    """

    status: int
    head: str
    body: bytes


class Client:
    """One connection, written to and read from by hand."""

    def __init__(self, port: int, *, buffer: int | None = None) -> None:
        self._socket = socket.socket()
        if buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._socket.settimeout(30)
        self._socket.connect(("127.0.0.1", port))
        self._file = self._socket.makefile("rb")

    def send(self, content: bytes) -> None:
        """Send bytes."""
        self._socket.sendall(content)

    def reply(self, *, bare: bool = False) -> Reply:
        """Read one answer; a bare one has no body, whatever its length says."""
        lines = [self._file.readline()]
        while lines[-1] not in {b"\r\n", b""}:
            lines.append(self._file.readline())
        head = b"".join(lines).decode("latin-1").lower()
        length = re.search(r"content-length: (\d+)", head)
        return Reply(int(head.split()[1]), head, self._file.read(int(length[1]) if length and not bare else 0))

    def ask(self, content: bytes) -> Reply:
        """Send a request and read its answer."""
        self.send(content)
        return self.reply()

    def is_closed(self) -> bool:
        """Wait for the end of the connection."""
        try:
            return self._file.read() == b""
        except ConnectionError:
            return True

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()


class Door(NamedTuple):
    """A worker that answers.

    Attributes:
        port: Where.
        worker: The worker.
        app: Its application.
    """

    port: int
    worker: Worker
    app: App

    @contextlib.contextmanager
    def client(self, *, buffer: int | None = None) -> Iterator[Client]:
        """A connection to it."""
        client = Client(self.port, buffer=buffer)
        try:
            yield client
        finally:
            client.close()

    def ask(self, content: bytes) -> Reply:
        """Ask once."""
        with self.client() as client:
            return client.ask(content)


@contextlib.contextmanager
def open_door(
    folder: Path, limits: Limits | None = None, parts: Parts | None = None, tls: TlsFiles | None = None
) -> Iterator[Door]:
    """Run a worker with one model, `demand`, that answers 1.0."""
    plan = folder / "plan.json"
    write_plan(plan, Plan(models={"demand": planned(folder, 1)}))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    told = WorkerSettings(
        names=("demand",), plan=plan, socket=listener.fileno(), parent=os.getppid(), drain_seconds=0.05, tls=tls
    )
    app = App(Served(names=told.names, limits=limits or Limits()), parts or Parts())
    worker = Worker(config_of(app, tls), app, told)

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(worker.run_until_drained(listener))
        app.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        eventually(lambda: worker.started)
        yield Door(port, worker, app)
    finally:
        worker.handle_exit(signal.SIGTERM, None)
        thread.join(60)
