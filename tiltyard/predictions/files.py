"""The files of the prediction log: their names, who holds them, and how much waits to be shipped.

A segment is written as `<segment>.open` by the process that holds its lock, sealed as `<segment>.jsonl`, shipped, and
removed. Lines that cannot be read are put aside in `<segment>.damaged`. A lock is the system's (`flock`): it is free
again the moment its process is dead, however it died.
"""

import fcntl
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import NamedTuple

OPEN = ".open"
SEALED = ".jsonl"
DAMAGED = ".damaged"

_NO_NAME = re.compile(r"[^a-z0-9]+")


class Backlog(NamedTuple):
    """What waits on this machine.

    Attributes:
        segments: Sealed segments that are not shipped yet.
        bytes: Their length.
        oldest_seconds: Age of the oldest, 0 when there is none.
        damaged: Files with lines that could not be read, put aside.
    """

    segments: int = 0
    bytes: int = 0
    oldest_seconds: float = 0.0
    damaged: int = 0


def log_folder(home: Path) -> Path:
    """Return the folder of the segments, which all servers of a home share."""
    return home / "serving" / "log"


def segment_names(writer: str = "") -> Iterator[str]:
    """Yield names that no other process on no other machine gives: host, writer, 64 random bits, a count.

    Args:
        writer: Server that the process is of, by which `segments_of` finds them.
    """
    host = _NO_NAME.sub("-", socket.gethostname().lower())[:40].strip("-") or "host"
    prefix = "-".join(word for word in (host, writer, os.urandom(8).hex()) if word)
    yield from (f"{prefix}-{number:06d}" for number in count(1))


def segments_of(folder: Path, writer: str = "") -> list[Path]:
    """Return the open segments of a server, sorted.

    Args:
        folder: Folder of the segments.
        writer: The server; empty for all of them.
    """
    return sorted(folder.glob(f"*-{writer}-{'?' * 16}-*{OPEN}" if writer else f"*{OPEN}"))


def lock(descriptor: int, *, wait: bool = False) -> bool:
    """Whether the lock of an open file was free and is now this one's.

    Args:
        descriptor: The open file.
        wait: Wait until it is free.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def is_file_of(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one that a path names."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


@contextmanager
def held(path: Path) -> Iterator[int | None]:
    """Hold a file of which nobody else may be the writer or the shipper.

    Yields:
        Its descriptor; None when somebody holds it, or it is gone.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor if lock(descriptor) and is_file_of(descriptor, path) else None
    finally:
        os.close(descriptor)


def sealed_segments(folder: Path) -> list[Path]:
    """Return the sealed segments, the oldest first."""
    return sorted(folder.glob(f"*{SEALED}"), key=lambda path: (_changed(path), path.name))


def backlog(folder: Path) -> Backlog:
    """Return what waits in a folder of segments; it need not be there."""
    now, segments, length, oldest, damaged = time.time(), 0, 0, 0.0, 0
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return Backlog()
    for entry in entries:
        damaged += entry.name.endswith(DAMAGED)
        if entry.name.endswith(SEALED) and (stat := _stat(Path(entry.path))):
            segments, length = segments + 1, length + stat.st_size
            oldest = max(oldest, now - stat.st_mtime)
    return Backlog(segments, length, oldest, damaged)


def flush_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _changed(path: Path) -> float:
    stat = _stat(path)
    return stat.st_mtime if stat else 0.0


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
