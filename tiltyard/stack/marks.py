"""The mark in the environment of everything that a stack starts, and the ending of whatever carries it.

A process hands its environment on to its children, so that the mark finds a training run of the worker as well, also
when everything between it and the supervisor was killed.
"""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

import psutil

MARK = "TILTYARD_STACK"
"""Environment variable of every process of a stack; its value is the stack's home."""

SUPERVISOR = "supervisor.supervisord"
"""Module that the supervisor runs as."""


def marked(home: Path) -> list[psutil.Process]:
    """Return the processes of a home's stack; this one and those above it are never among them."""
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process in psutil.process_iter() if process.pid not in mine and _carries(process, str(home))]


def end(home: Path, *, patience: float) -> int:
    """End every process of a home's stack: first by asking, then by force.

    The supervisor goes first and takes the parts along in order; then whatever is left, until nothing is. Who has
    started others is asked before them: a model server ends its workers, and what brings their log away, one by one.

    Args:
        home: Home of the stack.
        patience: How long the supervisor may take, seconds; the others get a part of it.

    Returns:
        How many processes had to be ended beside those that the supervisor took along.
    """
    _end([process for process in marked(home) if is_supervisor(process)], patience)
    ended: set[int] = set()
    while left := marked(home):
        pids = {process.pid for process in left}
        ended |= pids
        _end([process for process in left if _parent_of(process) not in pids], patience / 2)
    return len(ended)


def is_supervisor(process: psutil.Process) -> bool:
    """Whether a process is a stack's supervisor."""
    with contextlib.suppress(psutil.Error):
        return SUPERVISOR in process.cmdline()
    return False


def _carries(process: psutil.Process, home: str) -> bool:
    """Whether a living process has the mark of a home."""
    try:
        return process.environ().get(MARK) == home and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):  # ended meanwhile, or somebody else's
        return False


def _parent_of(process: psutil.Process) -> int | None:
    """Return the process id of a process's parent; None when the process has ended."""
    try:
        return process.ppid()
    except psutil.Error:
        return None


def _end(processes: Sequence[psutil.Process], patience: float) -> None:
    """Ask processes to end, wait, and kill those that do not."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, late = psutil.wait_procs(processes, timeout=patience)
    for process in late:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(late, timeout=patience)
