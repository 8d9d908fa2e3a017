"""What the parts wrote: the last lines of their logs, and new ones as they come."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

from tiltyard.project.addresses import STACK
from tiltyard.stack.supervisor import LOGS

_LONGEST = 300
_PAUSE = 0.3


def log_file(home: Path, name: str) -> Path:
    """Return the log of a part, or of the `supervisor`."""
    return home / STACK / LOGS / f"{name}.log"


def last_lines(file: Path, lines: int) -> list[str]:
    """Return the last lines of a log; none when it is not there.

    Args:
        file: The log.
        lines: How many at most.
    """
    try:
        with file.open(encoding="utf-8", errors="replace") as stream:
            return [line.rstrip("\n") for line in deque(stream, maxlen=lines)]
    except FileNotFoundError:
        return []


def last_words(home: Path, name: str) -> str:
    """Say where a part's log is, and what it said last.

    Args:
        home: Home of the stack.
        name: Part, or `supervisor`.
    """
    file = log_file(home, name)
    said = next((line.strip() for line in reversed(last_lines(file, 40)) if line.strip()), "")
    return f"Its log, {file}, ends with: {said[:_LONGEST]}" if said else f"Its log is {file}."


def follow(file: Path, *, stopped: Callable[[], bool]) -> Iterator[str]:
    """Yield the lines that are written from now on, over the log's rotation, until told to stop.

    Args:
        file: The log; it may appear later.
        stopped: Asked when nothing new has come.
    """
    place = file.stat().st_size if file.exists() else 0
    inode = file.stat().st_ino if file.exists() else None
    rest = ""
    while True:
        fresh = b""
        if file.exists():
            status = file.stat()
            if status.st_ino != inode or status.st_size < place:
                place, inode = 0, status.st_ino
            with file.open("rb") as stream:
                stream.seek(place)
                fresh = stream.read()
            place += len(fresh)
        if fresh:
            *whole, rest = (rest + fresh.decode("utf-8", "replace")).split("\n")
            yield from whole
        elif stopped():
            return
        else:
            time.sleep(_PAUSE)
