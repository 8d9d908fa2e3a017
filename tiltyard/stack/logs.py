"""What the parts wrote: the last lines of their logs, and new ones as they come."""

import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from tiltyard.project.addresses import STACK
from tiltyard.stack.supervisor import LOGS

_LONGEST = 300
_PAUSE = 0.3
_CHUNK = 1 << 20


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


def new_lines(files: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Yield the lines that are written from now on, without end, each with the name of its log.

    Args:
        files: The logs by name; one may appear later, and is followed over its rotation.
    """
    tails = {name: Tail(file) for name, file in files.items()}
    while True:
        fresh = [(name, line) for name, tail in tails.items() for line in tail.read()]
        yield from fresh
        if not fresh:
            time.sleep(_PAUSE)


class Tail:
    """The end of one log, read as it grows.

    Args:
        file: The log.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._rest = b""
        status = file.stat() if file.exists() else None
        self._inode, self._place = (status.st_ino, status.st_size) if status else (0, 0)

    def read(self) -> list[str]:
        """Return the whole lines that are new; a log that was rotated or shortened is read from its beginning."""
        try:
            with self._file.open("rb") as stream:
                status = os.fstat(stream.fileno())
                if status.st_ino != self._inode or status.st_size < self._place:
                    self._inode, self._place, self._rest = status.st_ino, 0, b""
                stream.seek(self._place)
                fresh = stream.read(_CHUNK)
        except FileNotFoundError:
            return []
        self._place += len(fresh)
        *lines, self._rest = (self._rest + fresh).split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines]
