"""Reading the prediction log while it is written: whole lines only, and never more than can be dealt with.

Nobody waits for this reader, and it takes no lock: it opens the segments, reads what has been added, and goes on
reading a segment that has been sealed, shipped or removed meanwhile. What it has fallen behind by, it skips and counts.
"""

import os
from pathlib import Path
from typing import NamedTuple

from tiltyard.predictions.files import is_file_of, segments_of

MOST_BYTES = 4 << 20
"""What is read of one segment at a time; of more, the newest."""

_END = b"\n"


class Lines(NamedTuple):
    """What was added to the log.

    Attributes:
        lines: Whole lines, without their ends.
        skipped: Lines that were left out.
    """

    lines: list[bytes]
    skipped: int


class _Segment:
    """One segment, read as it grows.

    Args:
        path: Its file.
        from_end: Leave out what is in it already.
    """

    def __init__(self, path: Path, *, from_end: bool) -> None:
        self._path = path
        self._file = path.open("rb", buffering=0)
        self._rest = b""
        self._whole = True
        if from_end and self._file.seek(0, os.SEEK_END):
            self._file.seek(-1, os.SEEK_CUR)
            self._whole = self._file.read(1) == _END

    def read(self) -> Lines:
        """Return what was added since the last time; a line that found no room on the disk was taken back."""
        skipped = 0
        if self._unread() < 0:
            self._file.seek(0, os.SEEK_END)
            self._rest = b""
        while self._unread() > MOST_BYTES:
            content = self._file.read(min(self._unread() - MOST_BYTES // 2, MOST_BYTES))
            skipped += content.count(_END)
            self._rest, self._whole = b"", False
        *lines, self._rest = (self._rest + self._file.read(MOST_BYTES)).split(_END)
        if not self._whole and (lines or skipped):
            lines, self._whole = lines[1:], True
        return Lines(lines, skipped)

    def has_ended(self) -> bool:
        """Whether it is not written to any more."""
        return not is_file_of(self._file.fileno(), self._path)

    def close(self) -> None:
        """Give it up."""
        self._file.close()

    def _unread(self) -> int:
        return os.fstat(self._file.fileno()).st_size - self._file.tell()


class Tail:
    """The prediction log of this machine, or of one server on it, from now on.

    Args:
        folder: Of the segments.
        writer: The server; empty for all that write there.
    """

    def __init__(self, folder: Path, writer: str = "") -> None:
        self._folder = folder
        self._writer = writer
        self._segments: dict[Path, _Segment] = {}
        self._find(from_end=True)

    def read(self) -> Lines:
        """Return what was added to all segments since the last time."""
        self._find(from_end=False)
        lines: list[bytes] = []
        skipped = 0
        for path, segment in list(self._segments.items()):
            ended = segment.has_ended()
            more = segment.read()
            lines += more.lines
            skipped += more.skipped
            if ended:
                segment.close()
                del self._segments[path]
        return Lines(lines, skipped)

    def close(self) -> None:
        """Give all segments up."""
        for segment in self._segments.values():
            segment.close()

    def _find(self, *, from_end: bool) -> None:
        """Open the segments that are new."""
        for path in segments_of(self._folder, self._writer):
            if path not in self._segments:
                try:
                    self._segments[path] = _Segment(path, from_end=from_end)
                except FileNotFoundError:
                    continue
