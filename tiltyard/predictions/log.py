"""The prediction log of one process: a line is in the system's hands, or on the disk, before its answer leaves."""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from tiltyard.errors import ServingError
from tiltyard.predictions.files import flush_folder, segment_names
from tiltyard.predictions.segment import Segment
from tiltyard.predictions.settings import LogSettings

RETRY_SECONDS = 2
"""When a client may ask again after an answer that could not be logged."""

REFUSING_SECONDS = 10.0
"""For how long after such an answer requests had better go elsewhere; then one shows whether there is room again."""

_ROTATE_AGAIN_SECONDS = 1.0

_log = logging.getLogger(__name__)


class UnloggedError(ServingError):
    """An answer that cannot be logged, and is therefore refused."""

    retry_after = RETRY_SECONDS


class Counts(NamedTuple):
    """What a log has done since it began.

    Attributes:
        written: Appended lines, those of schemas aside.
        bytes: Appended bytes.
        unlogged: Answers that were sent though they could not be logged.
        refused: Answers that were refused because they could not be logged.
    """

    written: int
    bytes: int
    unlogged: int
    refused: int


class Entry(NamedTuple):
    """What is appended.

    Attributes:
        lines: One or more lines, each with its line feed.
        key: What the schema is of: model and version; None for lines that need none.
        schema: Line that must precede the first such line of a segment.
    """

    lines: bytes
    key: Hashable
    schema: bytes


class Ticket(NamedTuple):
    """An appended line, to be waited for.

    Attributes:
        segment: The segment it is in.
        end: Where it ends.
    """

    segment: Segment
    end: int


class PredictionLog:
    r"""The log of one process. `append` is for any thread, `synced` for the one with the event loop.

    Args:
        folder: Folder of the segments; made when it is not there.
        settings: Durability, what a full disk means, sampling, rotation.
        clock: Seconds that only grow.
        writer: Server that the process is of; it is in the names of the segments.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     log = PredictionLog(Path(folder))
        ...     _ = log.append(b'{"id":"1"}\n', ("churn", 3), b'{"schema":1}\n')
        ...     log.close()
        ...     print(next(Path(folder).iterdir()).read_text(), end="")
        {"schema":1}
        {"id":"1"}
    """

    def __init__(
        self,
        folder: Path,
        settings: LogSettings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        writer: str = "",
    ) -> None:
        self._folder = folder
        self._settings = settings or LogSettings()
        self._clock = clock
        self._names = segment_names(writer)
        self._lock = threading.Lock()
        self._syncing = threading.Lock()
        self._to_disk = self._settings.durability == "disk"
        self._threshold = int(self._settings.sample * 2**64)
        self._segment: Segment | None = None
        self._retired: list[Segment] = []
        self._rotate_after = 0.0
        self._written = self._bytes = self._unlogged = self._refused = 0
        self._refused_at = -math.inf
        self._trouble = ""
        self._thread: ThreadPoolExecutor | None = None
        self._flushing: asyncio.Future[None] | None = None

    @property
    def waits(self) -> bool:
        """Whether `synced` has anything to wait for."""
        return self._to_disk

    @property
    def counts(self) -> Counts:
        """What the log has done since it began."""
        return Counts(self._written, self._bytes, self._unlogged, self._refused)

    @property
    def is_refusing(self) -> bool:
        """Whether a prediction was refused a moment ago, and the next would probably be, too."""
        refuses = self._settings.when_full == "refuse" and bool(self._trouble)
        return refuses and self._clock() < self._refused_at + REFUSING_SECONDS

    def wants(self, prediction: str) -> bool:
        """Whether the sample has a prediction; the same id is always answered alike.

        Args:
            prediction: Its id.
        """
        if self._threshold >= 2**64:
            return True
        digest = blake2b(prediction.encode(), digest_size=8).digest()
        return int.from_bytes(digest) < self._threshold

    def append(self, lines: bytes, key: Hashable, schema: bytes, *, required: bool = False) -> Ticket | None:
        """Append whole lines; with durability `process` they survive the process when this returns.

        Args:
            lines: One or more lines, each with its line feed.
            key: What the schema is of: model and version; None for lines that need none.
            schema: Line that must precede the first such line of a segment.
            required: Refuse even where a full disk means to answer all the same.

        Returns:
            What to wait for with `synced`; None when there is nothing to wait for, or it was not logged, which is
            counted.

        Raises:
            UnloggedError: It could not be logged, and that is a reason to refuse the answer.
        """
        with self._lock:
            try:
                segment = self._current()
                content = lines if key in segment.known else schema + lines
                segment.write(content)
            except OSError as error:
                self._abandon_torn()
                self._unable(error.strerror or "error", required=required)
                return None
            if self._trouble and not self._to_disk:
                self._recovered()
            segment.known.add(key)
            self._written += 1
            self._bytes += len(content)
            return Ticket(segment, segment.size) if self._to_disk else None

    def append_all(self, entries: Sequence[Entry]) -> bool:
        """Append several entries by one write.

        Args:
            entries: Lines with their key and schema, as for `append`.

        Returns:
            Whether it was done; else nothing was appended nor counted, and `append` tells of each why.
        """
        if not entries:
            return True
        with self._lock:
            try:
                segment = self._current()
                content = b"".join(_with_schemas(entries, segment.known))
                segment.write(content)
            except OSError:
                self._abandon_torn()
                return False
            if self._trouble and not self._to_disk:
                self._recovered()
            segment.known.update(entry.key for entry in entries)
            self._written += len(entries)
            self._bytes += len(content)
            return True

    async def synced(self, ticket: Ticket | None, *, required: bool = False) -> None:
        """Wait until lines are as durable as the settings say; those who wait at one time share one flush.

        Args:
            ticket: What `append` returned.
            required: As for `append`.

        Raises:
            UnloggedError: The disk refused, and that is a reason to refuse the answer.
        """
        if ticket is None or not self._to_disk:
            return
        segment, end = ticket
        while segment.synced < end and not segment.failed:
            await asyncio.shield(self._flush_soon())
        if segment.synced < end:
            with self._lock:
                self._unable("it cannot be flushed", required=required)
        elif self._trouble:
            self._recovered()

    def tick(self) -> None:
        """Seal what has come of age; to be called every now and then, for it costs nothing when nothing is due."""
        with self._lock:
            segment = self._segment
            if segment is not None and (self._is_due(segment) or not segment.is_there()):
                self._retire()
        if self._retired:
            self._flush_aside()

    def close(self) -> None:
        """Seal what is open; the log can be used again."""
        with self._lock:
            self._retire()
        self._flush()
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None

    def _current(self) -> Segment:
        """Return the segment to write to.

        Raises:
            OSError: There is none, and none can be made.
        """
        segment = self._segment
        if segment is None:
            segment = self._segment = self._opened()
        elif segment.failed or self._is_due(segment):
            return self._rotated(segment)
        return segment

    def _is_due(self, segment: Segment) -> bool:
        now = self._clock()
        old = segment.size >= self._settings.rotate_bytes or now - segment.opened >= self._settings.rotate_seconds
        return old and now >= self._rotate_after

    def _rotated(self, segment: Segment) -> Segment:
        """Return a new segment; the old one goes on where none can be made, unless the disk has refused it."""
        try:
            fresh = self._opened()
        except OSError:
            if segment.failed:
                raise
            self._rotate_after = self._clock() + _ROTATE_AGAIN_SECONDS
            return segment
        self._retire()
        self._segment = fresh
        return fresh

    def _opened(self) -> Segment:
        if not self._folder.is_dir():
            self._folder.mkdir(parents=True, exist_ok=True)
            flush_folder(self._folder.parent)
        return Segment(self._folder, next(self._names), self._clock())

    def _retire(self) -> None:
        """Write no more to the segment; sealed at once, or after its flush where that is promised."""
        segment, self._segment = self._segment, None
        if segment is None:
            return
        if self._to_disk:
            self._retired.append(segment)
        else:
            segment.end()

    def _abandon_torn(self) -> None:
        """Write no more to a segment whose last line could not be taken back."""
        if self._segment is not None and self._segment.torn:
            self._retire()

    def _unable(self, reason: str, *, required: bool) -> None:
        """Count what is not logged, say why when it is new, and refuse it where that is asked for."""
        refuse = required or self._settings.when_full == "refuse"
        self._unlogged += not refuse
        self._refused += refuse
        if self._trouble != reason:
            self._trouble = reason
            _log.error("the prediction log in %s cannot be written (%s)", self._folder, reason)
        if refuse:
            self._refused_at = self._clock()
            raise UnloggedError(
                f"the prediction log cannot be written ({reason})",
                cure="Ask again soon; whoever keeps the server frees the disk, or sets TILTYARD_LOG_WHEN_FULL=answer.",
            )

    def _recovered(self) -> None:
        """Say that a trouble is over."""
        self._trouble = ""
        _log.info("the prediction log in %s is written again", self._folder)

    def _flush_aside(self) -> None:
        """Flush without holding up an event loop, where there is one."""
        try:
            self._flush_soon()
        except RuntimeError:
            self._flush()

    def _flush_soon(self) -> asyncio.Future[None]:
        """Return the flush that is under way, or begin one.

        Raises:
            RuntimeError: No event loop runs on this thread.
        """
        if self._flushing is None or self._flushing.done():
            loop = asyncio.get_running_loop()
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="prediction-log")
            self._flushing = loop.run_in_executor(self._thread, self._flush)
        return self._flushing

    def _flush(self) -> None:
        """Bring all that was appended to the disk, and seal what is not written to any more."""
        with self._syncing:
            with self._lock:
                retired, self._retired = self._retired, []
                segment = self._segment
            for old in retired:
                old.sync()
                old.end()
            if segment is not None and self._to_disk:
                segment.sync()
                if segment.failed:
                    self._give_up(segment)

    def _give_up(self, segment: Segment) -> None:
        """Leave a segment that the disk refused: what it holds was not acknowledged, what follows is another's."""
        with self._lock:
            if segment is self._segment:
                self._segment = None
                segment.end()


def _with_schemas(entries: Sequence[Entry], known: Collection[Hashable]) -> Iterator[bytes]:
    """Yield the lines of entries, each schema before the first that needs it."""
    told = set(known)
    for lines, key, schema in entries:
        if key not in told:
            told.add(key)
            yield schema
        yield lines
