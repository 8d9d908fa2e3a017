"""A worker: one process that answers requests, on a socket it inherits, with the versions the plan names.

It imports none of MLflow, Prefect, scikit-learn and pandas, and asks no registry and no network: all it needs is the
plan file and the bundles in the local cache. Started by `tiltyard.serving.server` through `tiltyard.serving.launch`.
"""

import asyncio
import dataclasses
import gc
import logging
import os
import resource
import socket
import sys
import time
from types import FrameType

import uvicorn
import uvloop

from tiltyard.predictions.log import PredictionLog
from tiltyard.project.environment import Environment
from tiltyard.serving.asgi import App, Parts
from tiltyard.serving.counting import metrics_folder
from tiltyard.serving.door import KEEP_ALIVE_SECONDS, Door, Gate
from tiltyard.serving.following import PlanFollower
from tiltyard.serving.hooks import Hook
from tiltyard.serving.metrics import Metrics
from tiltyard.serving.newcomers import turn_newcomers_away
from tiltyard.serving.processes import give_hint, orphaned, start_log
from tiltyard.serving.settings import DRAIN_SECONDS, TlsFiles, WorkerSettings
from tiltyard.serving.slots import Served
from tiltyard.serving.tls import Renewal
from tiltyard.serving.tokens import Tokens

LOOK_SECONDS = 0.1
GRACE_SECONDS = 30
SWEEP_SECONDS = 0.5
SPARE_DESCRIPTORS = 256

_log = logging.getLogger(__name__)


class Worker(uvicorn.Server):
    """uvicorn that follows the plan, with a gentler end.

    On SIGTERM it goes on accepting for a moment, tells clients on open connections to reconnect elsewhere and load
    balancers that it is not ready, and only then closes the socket and finishes what has begun.

    Args:
        config: uvicorn's configuration, around `app`.
        app: Its `served` is replaced, as a whole, when the plan changes.
        settings: What the supervisor told.
    """

    def __init__(self, config: uvicorn.Config, app: App, settings: WorkerSettings) -> None:
        super().__init__(config)
        self._app = app
        self._settings = settings
        self._follower = PlanFollower(settings)
        self._loading = asyncio.Lock()
        self._signals = 0
        self._listener: socket.socket | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # what the signal module calls
        """Begin to drain at the next look; a second signal ends the grace."""
        self._signals += 1
        self.should_exit = self._signals > 1

    async def run_until_drained(self, listener: socket.socket) -> None:
        """Load the plan, then answer until a signal, or the loss of the supervisor, ends it.

        It accepts nobody before it has a plan: connections wait in the system's queue, and no client meets a worker
        that has nothing to say yet. A worker that can no longer follow the plan ends, too: the supervisor starts
        another.
        """
        self._listener = listener
        await self._first_plan()
        self._swap(self._follower.load(self._app.served))
        gc.freeze()  # what is there now stays: no collection need look at it again while somebody waits
        looking, keeping = asyncio.create_task(self._look()), asyncio.create_task(self._keep_house())
        for task in (looking, keeping):
            task.add_done_callback(self._stop)
        await self.serve(sockets=[listener])
        for task in (looking, keeping):
            if task.done():
                task.result()
            task.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and say so: what works beside the workers has waited for it."""
        await super().startup(sockets)
        if self._settings.hint is not None:
            give_hint(self._settings.hint)

    async def _first_plan(self) -> None:
        """Wait for a plan that says something of every model, but not for ever."""
        began = time.monotonic()
        while not orphaned(self._settings.parent):
            if not self._follower.is_worth_waiting(time.monotonic() - began):
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def fetch(self, name: str) -> None:
        """Load a model that is not in memory; requests for other models are answered meanwhile."""
        async with self._loading:
            self._swap(await asyncio.to_thread(self._follower.fetch, self._app.served, name))

    def _stop(self, _: object) -> None:
        """Have uvicorn end."""
        self.should_exit = True

    async def _look(self) -> None:
        """Follow the plan until it is time to drain."""
        while not self._signals and not orphaned(self._settings.parent):
            await asyncio.sleep(LOOK_SECONDS)
            if self._follower.due():
                async with self._loading:
                    self._swap(await asyncio.to_thread(self._follower.load, self._app.served))
        await self._drain()

    async def _keep_house(self) -> None:
        """Turn away clients that are too slow, and follow tokens and certificate."""
        tls = self._settings.tls
        renewal = Renewal(self.config.ssl, tls) if tls is not None and self.config.ssl is not None else None
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._app.tick()
            if renewal is not None:
                renewal.refresh()
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                assert isinstance(connection, Door)
                connection.look(now)

    async def _drain(self) -> None:
        """Let clients leave by themselves: only a connection without a request is ever closed on them."""
        _log.info("draining")
        self._app.served = dataclasses.replace(self._app.served, draining=True)
        await asyncio.sleep(self._settings.drain_seconds / 2)
        if self._listener is not None and orphaned(self._settings.parent):
            turn_newcomers_away(self._listener)  # as the supervisor does while there is one
        await asyncio.sleep(self._settings.drain_seconds / 2)
        for server in self.servers:
            server.close()
        deadline = time.monotonic() + min(self._settings.drain_seconds, DRAIN_SECONDS)
        while self.server_state.connections and time.monotonic() < deadline:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(LOOK_SECONDS / 10)

    def _swap(self, served: Served) -> None:
        """Put what was loaded in the place of what answers: the one assignment."""
        before = self._app.served
        self._app.served = dataclasses.replace(served, draining=before.draining, unlogged=before.unlogged)
        for name, slot in served.slots.items():
            if before.slots.get(name) is not slot:
                _log.info("`%s` answers with version %d", name, slot.version)


def main(arguments: list[str]) -> None:
    """Run a worker.

    Args:
        arguments: One: the settings as JSON.
    """
    settings = WorkerSettings.model_validate_json(arguments[0])
    start_log("worker")
    _take_descriptors(settings.limits.connections)
    used: dict[str, float] | None = None if settings.memory_mb is None else {}
    app = App(Served(names=settings.names, limits=settings.limits, used=used), _parts(settings))
    worker = Worker(config_of(app, settings.tls), app, settings)
    app.loader = worker.fetch
    listener = socket.socket(fileno=settings.socket)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(worker.run_until_drained(listener))
    finally:
        app.close()


def _take_descriptors(connections: int) -> None:
    """Take as many file descriptors as the connections may need, where the system gives them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_DESCRIPTORS
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        _log.warning("%d connections are allowed and %d files may be open: raise `ulimit -n`", connections, hard)


def _parts(settings: WorkerSettings) -> Parts:
    """Return what the application has beside what it answers with."""
    secret = Environment().webhook_secret
    return Parts(
        hook=Hook(secret.get_secret_value() if secret else None, settings.hint),
        tokens=Tokens.following(os.environ),
        metrics=Metrics(metrics_folder(settings.plan)),
        log=None if settings.log is None else PredictionLog(settings.log_folder, settings.log, writer=settings.writer),
        log_folder=settings.log_folder,
    )


def config_of(app: App, tls: TlsFiles | None) -> uvicorn.Config:
    """Return uvicorn's configuration.

    Args:
        app: What answers.
        tls: For HTTPS; None for HTTP.
    """
    return uvicorn.Config(
        Gate(app),
        http=Door,
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="error",
        server_header=False,
        proxy_headers=False,
        backlog=2048,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=None if tls is None else str(tls.certificate),
        ssl_keyfile=None if tls is None else str(tls.key),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
