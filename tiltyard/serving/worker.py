"""A worker: one process that answers requests, on a socket it inherits, with the versions the plan names.

It imports none of MLflow, Prefect, scikit-learn and pandas, and asks no registry and no network: all it needs is the
plan file and the bundles in the local cache. Started by `tiltyard.serving.server` as
`python -m tiltyard.serving.worker SETTINGS`.
"""

import asyncio
import dataclasses
import logging
import socket
import sys
import time
from types import FrameType

import uvicorn
import uvloop

from tiltyard.project.environment import Environment
from tiltyard.serving.asgi import App
from tiltyard.serving.following import PATIENCE_SECONDS, PlanFollower
from tiltyard.serving.hooks import Hook
from tiltyard.serving.processes import orphaned, start_log
from tiltyard.serving.settings import WorkerSettings
from tiltyard.serving.slots import Served

LOOK_SECONDS = 0.1
GRACE_SECONDS = 30
KEEP_ALIVE_SECONDS = 75
"""Longer than load balancers keep an idle connection (60 s as a rule), so that it is they who close it."""

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
        await self._first_plan()
        self._swap(self._follower.load(self._app.served))
        looking = asyncio.create_task(self._look())
        looking.add_done_callback(self._stop)
        await self.serve(sockets=[listener])
        if looking.done():
            looking.result()
        looking.cancel()

    async def _first_plan(self) -> None:
        """Wait for a plan that says something of every model, but not for ever."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._follower.told() and time.monotonic() < deadline and not orphaned(self._settings.parent):  # noqa: ASYNC110  # another process writes it
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

    async def _drain(self) -> None:
        """Let clients leave by themselves: only a connection without a request is ever closed on them."""
        _log.info("draining")
        self._app.served = dataclasses.replace(self._app.served, draining=True)
        await asyncio.sleep(self._settings.drain_seconds)
        for server in self.servers:
            server.close()
        deadline = time.monotonic() + self._settings.drain_seconds
        while self.server_state.connections and time.monotonic() < deadline:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(LOOK_SECONDS / 10)

    def _swap(self, served: Served) -> None:
        """Put what was loaded in the place of what answers: the one assignment."""
        before = self._app.served
        self._app.served = dataclasses.replace(served, draining=before.draining)
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
    secret = Environment().webhook_secret
    hook = Hook(secret.get_secret_value() if secret else None, settings.hint)
    used: dict[str, float] | None = None if settings.memory_mb is None else {}
    app = App(Served(names=settings.names, limits=settings.limits, used=used), hook)
    config = uvicorn.Config(
        app,
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        backlog=2048,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    worker = Worker(config, app, settings)
    listener = socket.socket(fileno=settings.socket)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(worker.run_until_drained(listener))


if __name__ == "__main__":
    main(sys.argv[1:])
