"""The crew: worker processes as the search sees them."""

import contextlib
import os
import signal
import subprocess
import sys
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from tiltyard.errors import TrainingError
from tiltyard.training.bench import Bench, Job, Outcome

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


START = """
import sys
sys.modules["pandas"] = None
from tiltyard.training.nursery import main
del sys.modules["pandas"]
main()
"""
"""Starts the nursery. scikit-learn imports pandas when it can, which takes a quarter of the start and serves no fit;
it is hidden until the imports are done, so that an own estimator may still use it."""


class Crew:
    """Workers that each do one job at a time with one thread, and die at once when told to.

    Used as a context manager: entering it starts the processes, whose imports take seconds, so enter it early;
    leaving it kills whatever still runs.

    Args:
        folder: Where the processes' log goes; made when it is not there.
        workers: Number of workers.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        self.workers = workers
        self._log = folder / "workers.log"
        self.running: dict[int, Job] = {}
        self._ready = False
        self._connection: Connection
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> Self:
        ours, theirs = Pipe()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        log = self._log.open("wb")
        with log, theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", START, str(theirs.fileno()), str(self.workers)],
                pass_fds=[theirs.fileno()],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._connection = ours
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill every worker; nothing of them outlives the search."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._connection.close()

    def equip(self, bench: Bench) -> None:
        """Give the workers the arrays they work on; comes before any job.

        Raises:
            TrainingError: The worker processes could not start.
        """
        self._send(bench)

    def wait_ready(self, seconds: float | None) -> bool:
        """Wait until the workers are there.

        Args:
            seconds: Longest wait; forever when None.

        Returns:
            Whether they are; False when the time is up.

        Raises:
            TrainingError: The worker processes could not start.
        """
        if not self._ready:
            self._ready = bool(wait([self._connection], seconds)) and self._receive() is None
        return self._ready

    @property
    def has_idle(self) -> bool:
        """Whether a worker has nothing to do."""
        return len(self.running) < self.workers

    def start(self, job: Job) -> int:
        """Give a job to an idle worker and return the worker's slot."""
        slot = min(set(range(self.workers)) - set(self.running))
        self._send((slot, job))
        self.running[slot] = job
        return slot

    def replace(self, slot: int) -> None:
        """Kill what a worker does and put a fresh one in its place."""
        self._send((slot, None))
        del self.running[slot]

    def next(self, seconds: float | None) -> Outcome | None:
        """Wait for an outcome.

        Args:
            seconds: Longest wait; forever when None.

        Returns:
            The outcome, or None when the time is up or what arrived is of a job that was given up.

        Raises:
            TrainingError: The worker processes are gone.
        """
        if not wait([self._connection], seconds):
            return None
        slot, outcome = cast(tuple[int, Outcome], self._receive())
        if self.running.get(slot) != outcome.job:
            return None
        del self.running[slot]
        return outcome

    def _receive(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._gone() from error

    def _send(self, message: Bench | tuple[int, Job | None]) -> None:
        try:
            self._connection.send(message)
        except OSError as error:
            raise self._gone() from error

    def _gone(self) -> TrainingError:
        log = self._log.read_text(errors="replace").strip()
        reason = log.splitlines()[-1] if log else "no reason given"
        return TrainingError(f"the worker processes ended ({reason})", cure="Run it again: the search resumes.")


def _environment() -> dict[str, str]:
    """Return the environment of the workers: one thread each, and this package importable."""
    package = str(Path(__file__).parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, **dict.fromkeys(ONE_THREAD, "1"), "PYTHONPATH": os.pathsep.join(paths)}
