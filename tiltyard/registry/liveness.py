"""Whether the process that began something is still at it."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Lock
from uuid import uuid4

import psutil

from tiltyard.registry.entry import Entry
from tiltyard.registry.records import Scalar

PATIENCE = timedelta(seconds=60)
"""How long a process on another machine is believed to be alive; ten times what a promotion takes at worst."""

_KEYS = ("host", "process", "process_started", "token")
_at_work: set[str] = set()
_lock = Lock()


@contextmanager
def signature() -> Iterator[dict[str, Scalar]]:
    """Return evidence that names this piece of work; it counts as alive until the block ends."""
    token = uuid4().hex
    with _lock:
        _at_work.add(token)
    try:
        yield {
            "host": socket.gethostname(),
            "process": os.getpid(),
            "process_started": _started(os.getpid()),
            "token": token,
        }
    finally:
        with _lock:
            _at_work.discard(token)


def unsigned(evidence: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return evidence without the signature."""
    return {key: value for key, value in evidence.items() if key not in _KEYS}


def is_alive(entry: Entry, now: datetime) -> bool:
    """Whether the work that an entry began may still be going on.

    On this machine that is known: the process is there, was started at the same moment, and, when it is this very
    process, has not left the block. Of another machine it is believed for `PATIENCE`.

    Args:
        entry: An entry whose evidence has a `signature`.
        now: The present moment.
    """
    evidence = entry.evidence
    if evidence.get("host") != socket.gethostname():
        return now - entry.time < PATIENCE
    if evidence.get("process") == os.getpid():
        return _is_at_work(evidence)
    process = evidence.get("process")
    return isinstance(process, int) and _started(process) == evidence.get("process_started")


def _is_at_work(evidence: Mapping[str, Scalar]) -> bool:
    """Whether this process is at that piece of work now."""
    with _lock:
        return evidence.get("token") in _at_work


def _started(process: int) -> float | None:
    """Return when a process was started, in seconds since 1970; None when there is none, or a zombie."""
    try:
        found = psutil.Process(process)
        return None if found.status() == psutil.STATUS_ZOMBIE else found.create_time()
    except psutil.Error:
        return None
