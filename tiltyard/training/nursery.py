"""The nursery: a process of its own that has imported what fits need, and forks workers cheaply.

Forked from here rather than from the process that searches, workers inherit none of its threads, and a new one costs
milliseconds instead of the import of scikit-learn. The nursery dies with the process that started it, and its workers
with the nursery, whatever ends them.

Messages from the searching process: `(slot, job)` to run a job, `(slot, None)` to replace the worker in a slot.
Messages to it: `None` once the workers are there, then `(slot, outcome)`.
"""

import ctypes
import multiprocessing
import signal
import sys
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess

from threadpoolctl import threadpool_limits

from tiltyard.training.bench import Bench, Job, Outcome

PARENT_DEATH_SIGNAL = 1
"""`PR_SET_PDEATHSIG` of Linux's prctl: get a signal when the parent dies."""

CONTEXT = multiprocessing.get_context("fork")


class Worker:
    """One forked process and the pipe to it.

    Args:
        bench: The arrays of the search.
    """

    def __init__(self, bench: Bench) -> None:
        self.connection, inner = CONTEXT.Pipe()
        self.job: Job | None = None
        self.process: ForkProcess = CONTEXT.Process(target=_work, args=(bench, inner), daemon=True)
        self.process.start()
        inner.close()

    def run(self, job: Job) -> None:
        """Hand over a job."""
        self.job = job
        self.connection.send(job)

    def receive(self) -> Outcome | None:
        """Return the outcome that has arrived, or, when the process died, an outcome that says so."""
        job, self.job = self.job, None
        try:
            outcome: Outcome = self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            if job is None:
                return None
            return Outcome(job, None, None, 0, 0.0, f"the worker died (exit code {self.process.exitcode})")
        return outcome

    def end(self) -> None:
        """Kill the process."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def _work(bench: Bench, connection: Connection) -> None:
    """Do jobs until the nursery hangs up."""
    die_with_parent()
    with threadpool_limits(1):
        while True:
            try:
                job: Job = connection.recv()
            except EOFError:
                return
            connection.send(bench.run(job))


def die_with_parent() -> None:
    """Ask Linux to end this process with its parent; elsewhere the closed pipe does, after the current fit."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)


def tend(searcher: Connection, count: int) -> None:
    """Fork workers and pass jobs and outcomes on, until the searching process hangs up.

    Args:
        searcher: Pipe to the searching process; its first message is the `Bench`.
        count: Number of workers.
    """
    bench: Bench = searcher.recv()
    workers = [Worker(bench) for _ in range(count)]
    searcher.send(None)
    try:
        while True:
            ready = wait([searcher, *(worker.connection for worker in workers)])
            if searcher in ready:
                slot, job = searcher.recv()
                if job is not None:
                    workers[slot].run(job)
                else:
                    workers[slot].end()
                    workers[slot] = Worker(bench)
                continue
            for slot, worker in enumerate(workers):
                if worker.connection in ready:
                    outcome = worker.receive()
                    if worker.process.exitcode is not None:
                        workers[slot] = Worker(bench)
                    if outcome is not None:
                        searcher.send((slot, outcome))
    except (EOFError, BrokenPipeError):
        pass  # the searching process is gone, and so is the reason to work
    finally:
        for worker in workers:
            worker.end()


def main() -> None:
    """Tend the workers; arguments are the file descriptor of the pipe and the number of workers."""
    tend(Connection(int(sys.argv[1])), int(sys.argv[2]))
