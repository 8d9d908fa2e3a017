"""One application behind several transports: what each costs a request.

    python -m benchmarks.serving.transports [--seconds 2] [--rounds 5]

The application, the model (see `request_cost`), the requests and the load are the same; log and metrics are on. granian
runs in an environment of its own. The servers take turns, so that all of them see the same machine.
"""

import argparse
import asyncio
import importlib.util
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
import uvloop

from tiltyard.predictions.log import PredictionLog
from tiltyard.serving.asgi import App, Parts, Scope, Send
from tiltyard.serving.bodies import Receive
from tiltyard.serving.metrics import Metrics
from tiltyard.serving.plan import Plan, read_plan, write_plan
from tiltyard.serving.settings import Limits
from tiltyard.serving.slots import Served, load_slot
from tiltyard.serving.worker import config_of

FOLDER = "TILTYARD_BENCH_FOLDER"
CONNECTIONS = (1, 32)
_CONSTANT = b'{"predictions":[{"prediction":"no"}]}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_CONSTANT))]


def make_app() -> App:
    """Return the application as a worker has it."""
    folder = Path(os.environ[FOLDER])
    (name, planned), *_ = read_plan(folder / "plan.json").models.items()
    parts = Parts(metrics=Metrics(folder / "metrics"), log=PredictionLog(folder / "log"), log_folder=folder / "log")
    return App(Served(names=(name,), slots={name: load_slot(name, planned)}, limits=Limits()), parts)


def plain_app() -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return the application as a function, which every server takes for ASGI."""
    app = make_app()

    async def asked(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    return asked


def constant_app() -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return an application that reads the request and always answers the same."""

    async def asked(_: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            continue
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send({"type": "http.response.body", "body": _CONSTANT})

    return asked


class Rsgi:
    """The application behind granian's own interface."""

    def __init__(self) -> None:
        self._app = make_app()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        headers = [(name.encode(), value.encode()) for name, value in scope.headers.items()]
        asgi = {"type": "http", "method": scope.method, "path": scope.path, "headers": headers, "query_string": b""}
        told: dict[str, Any] = {}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": await protocol()}

        async def send(message: dict[str, Any]) -> None:
            told.update(message)

        await self._app(asgi, receive, send)
        pairs = [(name.decode(), value.decode()) for name, value in told["headers"]]
        protocol.response_bytes(told["status"], pairs, told["body"])


def run_uvicorn(port: int, *, kind: str) -> None:
    """Run uvicorn in this process."""
    if kind == "door":
        config = config_of(make_app(), None)
        config.host, config.port = "127.0.0.1", port
    else:
        app = plain_app() if kind == "plain" else constant_app()
        config = uvicorn.Config(
            app, port=port, http="httptools", ws="none", lifespan="off", access_log=False, log_level="error",
            server_header=False, proxy_headers=False,
        )  # fmt: skip
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve())


def command_of(name: str, port: int) -> list[str]:
    """Return the command of a transport."""
    server, kind = name.split()
    if server == "uvicorn":
        return [sys.executable, "-m", "benchmarks.serving.transports", "--run", kind, "--port", str(port)]
    from benchmarks.serving.environments import python_of  # noqa: PLC0415  # not for the servers' processes

    target = {"asgi": "plain_app", "rsgi": "Rsgi", "constant": "constant_app"}[kind]
    words = [str(python_of("granian")), "-m", "granian", "--interface", "rsgi" if kind == "rsgi" else "asgi"]
    words += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--loop", "uvloop", "--http", "1"]
    return [*words, "--no-ws", "--log-level", "error", "--factory", f"benchmarks.serving.transports:{target}"]


TRANSPORTS = (
    "uvicorn door", "uvicorn plain", "granian asgi", "granian rsgi", "uvicorn constant", "granian constant",
)  # fmt: skip


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--run", choices=("door", "plain", "constant"), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        run_uvicorn(given.port, kind=given.run)
        return
    measure(given.seconds, given.rounds)


def measure(seconds: float, rounds: int) -> None:
    """Start all, ask them in turn, print the medians."""
    from benchmarks.serving.load import ask  # noqa: PLC0415  # not for the servers' processes
    from benchmarks.serving.request_cost import make_requests, make_slot  # noqa: PLC0415
    from benchmarks.serving.running import Tree  # noqa: PLC0415

    requests = make_requests()
    found: dict[tuple[str, int], list[tuple[float, ...]]] = {}
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        write_plan(Path(folder) / "plan.json", Plan(models={"shop": make_slot(Path(folder))}))
        servers = {name: started(name, Path(folder)) for name in TRANSPORTS}
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        try:
            for turn in range(rounds + 1):
                for (name, (process, port)), connections in ((s, c) for s in servers.items() for c in CONNECTIONS):
                    tree = Tree(process.pid)
                    before = sum(tree.cpu().values())
                    tally = runner.run(ask(port, requests, connections, seconds if turn else 0.5))
                    spent = sum(tree.cpu().values()) - before
                    assert not tally.errors, (name, tally.errors)
                    row = (spent / len(tally.times) * 1e6, len(tally.times) / tally.seconds)
                    row += tuple(np.percentile(tally.times, [50, 99]) * 1e3)
                    found.setdefault((name, connections), []).extend([row] if turn else [])
            memory = {name: Tree(process.pid).memory(process.pid)[1] for name, (process, _) in servers.items()}
        finally:
            for process, _ in servers.values():
                process.send_signal(signal.SIGTERM)
                process.wait(30)
    print(f"{'transport':<18}{'conns':>6}{'CPU µs':>9}{'req/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'MB':>7}")
    for (name, connections), rows in found.items():
        cpu, rate, p50, p99 = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:<18}{connections:>6}{cpu:>9.1f}{rate:>9.0f}{p50:>9.3f}{p99:>9.3f}{memory[name]:>7.0f}")


def started(name: str, folder: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start a server on a CPU of its own and wait until it listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    spec = importlib.util.find_spec("uvicorn")
    assert spec is not None
    assert spec.origin is not None
    paths = [str(Path(__file__).parents[2]), str(Path(spec.origin).parents[1])]
    own = folder / name.replace(" ", "-")
    own.mkdir()
    (own / "plan.json").write_bytes((folder / "plan.json").read_bytes())
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), FOLDER: str(own), "OMP_NUM_THREADS": "1"}
    command = ["taskset", "-c", str(min(os.sched_getaffinity(0))), *command_of(name, port)]
    process = subprocess.Popen(command, env=environment)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return process, port
    raise SystemExit(f"{name} does not listen")


if __name__ == "__main__":
    main()
