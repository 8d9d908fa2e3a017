"""A Prefect server for the runs of one command, where none is known.

Prefect starts such a server by itself, but only when it is first asked, and then everybody waits for it. This one is
started before Prefect is imported, so that server and imports share the seconds. Like Prefect's own it ends with the
process; when that is killed, `flows.local` ends it at the next start.
"""

import atexit
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from filelock import FileLock, Timeout

from tiltyard.errors import OrchestrationError

APPLICATION = "prefect.server.api.server:create_app"
"""What the server runs; a temporary server of Prefect's own does, too."""

_START_SECONDS = 180.0
_STOP_SECONDS = 5.0
_AS_PREFECTS_OWN = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}


class TemporaryServer:
    """A Prefect server on a free port of this machine, until the process ends.

    Two that start at the same moment in one home would both make the tables of its database, so they take turns.

    Args:
        home: Folder in which Prefect keeps its state.

    Attributes:
        api: Address of its API.
    """

    def __init__(self, home: Path) -> None:
        port = _free_port()
        self.api = f"http://127.0.0.1:{port}/api"
        self._log = home / "temporary-server.log"
        home.mkdir(parents=True, exist_ok=True)
        self._turn = FileLock(home / "temporary-server.lock", thread_local=False)
        self._take_turn()
        address = ("--host", "127.0.0.1", "--port", str(port))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "uvicorn", "--factory", APPLICATION, *address, "--log-level", "error"],
                env=os.environ | _AS_PREFECTS_OWN | {"PREFECT_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        atexit.register(self.stop)

    def _take_turn(self) -> None:
        try:
            self._turn.acquire(timeout=_START_SECONDS)
        except Timeout:
            what = f"another temporary Prefect server has been starting here for {_START_SECONDS:.0f} s"
            cure = "Run the command again, or start servers that stay by `tiltyard up`."
            raise OrchestrationError(what, where=self._turn.lock_file, cure=cure) from None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def wait(self) -> None:
        """Wait until it answers.

        Raises:
            OrchestrationError: It ended, or does not answer in time.
        """
        try:
            self._wait()
        finally:
            self._turn.release()

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if not self.alive or time.monotonic() > deadline:
                what = "ended as it started" if not self.alive else f"did not answer in {_START_SECONDS:.0f} s"
                cure = "Run the command again, or start servers that stay by `tiltyard up`."
                raise OrchestrationError(f"the temporary Prefect server {what}", where=str(self._log), cure=cure)
            time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.api}/health", timeout=5) as answer:  # noqa: S310  # our own server
                return bool(answer.status == 200)
        except OSError:
            return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
