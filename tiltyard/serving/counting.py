"""Counts that several processes keep and any of them can read: one mapped file a process, a page.

To count is to add to a number in memory, which the system keeps when the process is killed; nothing waits for a lock or
a disk. A page begins with its numbers, doubles, and goes on with one line of JSON a series, which says whose the next
numbers are: `["requests", ["churn", "3"], 1]`. The writer holds a lock on its page, so that a page whose lock can be
had is that of a dead process. Its counts are kept: the next process to open a page adds them to the folder's sums.

Which of the series are sums and which belong to the living alone is for the reader to say.
"""

import fcntl
import io
import json
import logging
import mmap
import os
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

CELLS = 16_384
"""Numbers on a page; what finds no room any more, there or on the disk, is counted nowhere."""

_log = logging.getLogger(__name__)

_BYTES = CELLS * 8
_LOCK = ".lock"
_SUMS = "sums.json"
_ENDING = ".page"


def metrics_folder(plan: Path) -> Path:
    """Return the folder of the pages of all processes of a server.

    Args:
        plan: Its plan file.
    """
    return plan.parent / "metrics"


class Series(NamedTuple):
    """What numbers are of.

    Attributes:
        name: What is counted.
        labels: Of what, in an order that the name implies.
    """

    name: str
    labels: tuple[str, ...] = ()


Numbers = dict[Series, tuple[float, ...]]
Fold = Callable[[Numbers], Numbers]


class Page:
    """The counts of this process.

    Args:
        folder: Where the pages of all processes of a server are.
        role: Begins the file's name.
        fold: Makes fewer of the sums of dead processes, so that they do not grow for ever; the newest come last.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> page = Page(folder, "worker")
        >>> page.cells(Series("requests", ("churn",)))[0] += 1
        >>> read_pages(folder)[-1].numbers
        {Series(name='requests', labels=('churn',)): (1.0,)}
        >>> page.close()
    """

    def __init__(self, folder: Path, role: str, fold: Fold = dict) -> None:
        self._used = 0
        self._file: io.FileIO | None = None
        try:
            self._file = _new_file(folder, f"{role}-{os.getpid()}-{os.urandom(4).hex()}{_ENDING}", fold)
            self._memory = mmap.mmap(self._file.fileno(), _BYTES)
        except OSError as error:
            _log.error("counts are not kept: no page in %s (%s)", folder, error.strerror)
            self._memory = mmap.mmap(-1, _BYTES)
            self._used = CELLS
        self._numbers: memoryview[float] = memoryview(self._memory).cast("d")

    def cells(self, series: Series, width: int = 1) -> "memoryview[float]":
        """Return the numbers of a series that is not on the page yet, all zero; they are changed in place.

        Args:
            series: A series.
            width: How many numbers it has.
        """
        start = self._used
        if start + width > CELLS or not self._told(series, width):
            self._used = CELLS
            return memoryview(bytearray(8 * width)).cast("d")
        self._used += width
        return self._numbers[start : self._used]

    def _told(self, series: Series, width: int) -> bool:
        """Whether a series could be written down."""
        line = json.dumps([series.name, series.labels, width]).encode() + b"\n"
        assert self._file is not None
        try:
            return self._file.write(line) == len(line)
        except OSError:
            return False

    def close(self) -> None:
        """Give the page up: its counts are those of a dead process from now on."""
        if self._file is not None and not self._file.closed:
            fcntl.flock(self._file, fcntl.LOCK_UN)  # the map keeps the file, and with it the lock
            self._file.close()


def _new_file(folder: Path, name: str, fold: Fold) -> io.FileIO:
    """Return the file of a page, locked, its room taken on the disk: a map without it would end the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder, fcntl.LOCK_EX):
        with suppress(OSError):
            _add_up(folder, fold)
        file = io.FileIO(folder / name, "x+")
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        os.posix_fallocate(file.fileno(), 0, _BYTES)
    except OSError:
        file.close()
        raise
    file.seek(_BYTES)
    return file


class Counts(NamedTuple):
    """What is on a page.

    Attributes:
        living: Whether its process is there.
        numbers: The numbers of every series.
    """

    living: bool
    numbers: Numbers


def read_pages(folder: Path) -> list[Counts]:
    """Return the pages of a folder, dead ones and their sums included; none when there is no folder."""
    if not folder.is_dir():
        return []
    with _locked(folder, fcntl.LOCK_SH):
        sums = _read_sums(folder)
        gone = set(sums.added)
        pages = [_read_page(path) for path in sorted(folder.glob(f"*{_ENDING}")) if path.name not in gone]
    return [Counts(living=False, numbers=_numbers_of(sums)), *pages]


def clear(folder: Path) -> None:
    """Forget the counts of a server that is no more."""
    if folder.is_dir():
        with _locked(folder, fcntl.LOCK_EX):
            for path in (*folder.glob(f"*{_ENDING}"), folder / _SUMS):
                path.unlink(missing_ok=True)


class _Sums(msgspec.Struct):
    """Counts of dead processes, and the pages that have been added: one that could not be removed counts once."""

    added: list[str] = []
    series: list[tuple[str, tuple[str, ...], tuple[float, ...]]] = []


def _add_up(folder: Path, fold: Fold) -> None:
    """Add the pages of dead processes to the sums, and remove them."""
    dead = {path: counts for path in folder.glob(f"*{_ENDING}") if not (counts := _read_page(path)).living}
    if not dead:
        return
    before = _read_sums(folder)
    total = _numbers_of(before)
    for path, counts in dead.items():
        if path.name not in before.added:
            add_numbers(total, counts.numbers)
    series = [(key.name, key.labels, numbers) for key, numbers in fold(total).items()]
    draft = folder / f".{_SUMS}"
    draft.write_bytes(msgspec.json.encode(_Sums([path.name for path in dead], series)))
    draft.replace(folder / _SUMS)
    for path in dead:
        path.unlink()


def add_numbers(total: Numbers, more: Numbers) -> None:
    """Add series to others in place; what was added to stands behind what was not."""
    for key, numbers in more.items():
        held = total.pop(key, None)
        total[key] = numbers if held is None else tuple(a + b for a, b in zip(held, numbers, strict=True))


def _read_sums(folder: Path) -> _Sums:
    try:
        return msgspec.json.decode((folder / _SUMS).read_bytes(), type=_Sums)
    except FileNotFoundError:
        return _Sums()


def _numbers_of(sums: _Sums) -> Numbers:
    return {Series(name, labels): numbers for name, labels, numbers in sums.series}


def _read_page(path: Path) -> Counts:
    """Read a page; a last line without its end is of a process that died over it."""
    with path.open("rb") as file:
        living = not _free(file.fileno())
        content = file.read()
    numbers = array("d", content[: min(len(content), _BYTES) // 8 * 8]).tolist()
    found: Numbers = {}
    start = 0
    for name, labels, width in _lines(content[_BYTES:]):
        found[Series(name, tuple(labels))] = tuple(numbers[start : start + width])
        start += width
    return Counts(living, found)


def _lines(content: bytes) -> Iterator[tuple[str, Sequence[str], int]]:
    for line in content.split(b"\n")[:-1]:
        yield json.loads(line)


def _free(descriptor: int) -> bool:
    """Whether nobody holds the lock of a page."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked(folder: Path, how: int) -> Iterator[None]:
    """Hold the folder's lock."""
    with (folder / _LOCK).open("ab") as file:
        fcntl.flock(file, how)
        yield
