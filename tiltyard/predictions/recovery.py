"""What dead workers left: their segments are sealed, whole lines kept, a torn last line cut off."""

import os
from pathlib import Path
from typing import NamedTuple

from tiltyard.predictions.files import OPEN, SEALED, held

_BLOCK = 1 << 16


class Recovery(NamedTuple):
    """What was found.

    Attributes:
        sealed: Segments of dead workers.
        torn_bytes: Bytes after their last line feed, cut off: no answer to them had left.
    """

    sealed: int = 0
    torn_bytes: int = 0


def recover(folder: Path) -> Recovery:
    """Seal the segments that nobody writes any more.

    A worker holds the lock of its segment as long as it lives, so that a free lock tells an orphan. What follows the
    last line feed was never acknowledged: an answer leaves only after its whole line is written. A tail of zeros, left
    by a loss of power, goes the same way. Any number of processes may do this at once.

    Args:
        folder: Folder of the segments; need not be there.

    Raises:
        OSError: A segment cannot be read or renamed; raised after the others.
    """
    sealed = torn = 0
    trouble: OSError | None = None
    for path in sorted(folder.glob(f"*{OPEN}")):
        try:
            found = _seal(path)
        except OSError as error:
            trouble = trouble or error
            continue
        sealed, torn = sealed + found.sealed, torn + found.torn_bytes
    if trouble is not None:
        raise trouble
    return Recovery(sealed, torn)


def _seal(path: Path) -> Recovery:
    """Seal one segment, if nobody writes it."""
    with held(path) as descriptor:
        if descriptor is None:
            return Recovery()
        size, whole = os.fstat(descriptor).st_size, end_of_lines(descriptor)
        if whole == 0:
            path.unlink()
        else:
            os.ftruncate(descriptor, whole)
            path.rename(path.with_suffix(SEALED))
        return Recovery(int(whole > 0), size - whole)


def end_of_lines(descriptor: int) -> int:
    """Return the length of a file up to its last line feed."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(end - _BLOCK, 0)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
