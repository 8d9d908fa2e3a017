"""What a server counts: requests, times, rows, answers, what was noticed; and what its sidecar is up to.

Every worker counts on a page of its own (see `tiltyard.serving.counting`); whoever is asked for `/metrics` reads them
all. No label ever holds what a client made up.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tiltyard.evaluation.evidence import LATENCY_BOUNDS, ArmCounts
from tiltyard.predictions.log import Counts
from tiltyard.serving.answers import About
from tiltyard.serving.counting import Numbers, Page, Series, add_numbers, read_pages

VALUE_BOUNDS = tuple(
    sorted(sign * step * 10.0**power for sign in (-1, 1) for step in (1, 2, 5) for power in range(-2, 6))
)
"""Upper bounds of the buckets of predicted values."""

MOST_ARMS = 64
"""Versions on one page; with the next a page is begun."""

MOST_VALUES = 100
"""Most columns, and most classes, of a model that are counted by name."""

OTHER = "other"
OLDER = "older"

REQUESTS = "requests"
SECONDS = "seconds"
ROWS = "rows"
CLASSES = "classes"
VALUES = "values"
RUN = "run"
FAILED = "failed"
UNKNOWN = "unknown"
UNEXPECTED = "unexpected"
IN_FLIGHT = "in_flight"
LOADED = "loaded"
WORKERS = "workers"
LOG_WRITTEN = "log_written"
LOG_MISSING = "log_missing"
LOG_REFUSED = "log_refused"
LOOKED = "looked"
SUCCEEDED = "succeeded"

_OF_VERSIONS = frozenset({REQUESTS, SECONDS, ROWS, CLASSES, VALUES, FAILED})
"""Series whose first labels are model and version."""

_OF_THE_LIVING = frozenset({RUN, IN_FLIGHT, LOADED, WORKERS, LOOKED, SUCCEEDED})
"""Series that mean nothing once their process is dead."""


class Arm(NamedTuple):
    """A version in a slot.

    Attributes:
        model: Model; empty where a request was for none.
        version: Version; 0 where none answered.
        slot: `champion` or `candidate`; empty where none answered.
    """

    model: str
    version: int = 0
    slot: str = ""

    @property
    def labels(self) -> tuple[str, str, str]:
        """The same as labels."""
        return self.model, str(self.version or ""), self.slot


class _Counted:
    """The numbers of one version on a page, found once and then only added to."""

    def __init__(self, page: Page, arm: Arm) -> None:
        self._page = page
        self._labels = arm.labels
        self._codes: dict[tuple[str, int], memoryview[float]] = {}
        self._classes: list[memoryview[float]] = []
        self._values: memoryview[float] | None = None
        self._seconds = page.cells(Series(SECONDS, arm.labels), len(LATENCY_BOUNDS) + 2)
        self._rows = page.cells(Series(ROWS, arm.labels))
        self._run = page.cells(Series(RUN, arm.labels))

    def count(self, protocol: str, status: int, seconds: float) -> None:
        """Count a request."""
        code = self._codes.get((protocol, status))
        if code is None:
            code = self._page.cells(Series(REQUESTS, (*self._labels, protocol, str(status))))
            self._codes[protocol, status] = code
        code[0] += 1
        self._seconds[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self._seconds[-1] += seconds
        self._run[0] = self._run[0] + 1 if status >= 500 else 0

    def fail(self) -> None:
        """Count a request that this version should have answered and another did."""
        code = self._codes.get(("", 0))
        if code is None:
            code = self._codes["", 0] = self._page.cells(Series(FAILED, self._labels))
        code[0] += 1
        self._run[0] += 1

    def answered(self, about: About) -> None:
        """Count what was answered."""
        self._rows[0] += about.rows
        if about.classes:
            self._count_classes(about)
        elif about.rows == 1 and about.answers:
            self._of_values()[bisect_left(VALUE_BOUNDS, about.answers[0])] += 1
            self._of_values()[-1] += about.answers[0]
        else:
            self._count_values(np.asarray(about.answers, dtype=np.float64))

    def _count_classes(self, about: About) -> None:
        if not self._classes:
            names = [name if code < MOST_VALUES else OTHER for code, name in enumerate(about.classes)]
            cells = {name: self._page.cells(Series(CLASSES, (*self._labels, name))) for name in dict.fromkeys(names)}
            self._classes = [cells[name] for name in names]
        for code in about.answers:
            self._classes[int(code)][0] += 1

    def _count_values(self, values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> None:
        cells = self._of_values()
        buckets, counts = np.unique(np.searchsorted(VALUE_BOUNDS, values), return_counts=True)
        for bucket, count in zip(buckets.tolist(), counts.tolist(), strict=True):
            cells[bucket] += count
        cells[-1] += float(values.sum())

    def _of_values(self) -> "memoryview[float]":
        if self._values is None:
            self._values = self._page.cells(Series(VALUES, self._labels), len(VALUE_BOUNDS) + 2)
        return self._values


class Metrics:
    """What one worker counts.

    Args:
        folder: Where the pages of all processes of a server are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loaded_arms: tuple[Arm, ...] = ()
        self._in_flight = 0
        self._log = (0, 0, 0)
        self._begin_page()

    def _begin_page(self) -> None:
        """Begin a page; what was counted on one before stays counted."""
        self._page = Page(self.folder, "worker", fold)
        self._arms: dict[tuple[str, int, str], _Counted] = {}
        self._columns: dict[tuple[str, str], memoryview[float]] = {}
        self._loaded: dict[Arm, memoryview[float]] = {}
        self._page.cells(Series(WORKERS))[0] = 1
        self._in_flight_cell = self._page.cells(Series(IN_FLIGHT))
        self._in_flight_cell[0] = self._in_flight
        self._log_counters = [self._page.cells(Series(name)) for name in (LOG_WRITTEN, LOG_MISSING, LOG_REFUSED)]
        self._log_before = self._log
        self.set_loaded(self._loaded_arms)

    def begin(self) -> None:
        """Count a request that has begun."""
        self._in_flight += 1
        self._in_flight_cell[0] = self._in_flight

    def end(self) -> None:
        """Count a request that has ended."""
        self._in_flight -= 1
        self._in_flight_cell[0] = self._in_flight

    def count(self, arm: Arm, protocol: str, status: int, seconds: float) -> None:
        """Count an answer that no version gave, or none but in its name.

        Args:
            arm: Whose request it was, as far as that is known.
            protocol: Of the request.
            status: HTTP status.
            seconds: From the request's last byte to the answer.
        """
        self._of(arm).count(protocol, status, seconds)

    def count_answer(self, about: About, protocol: str, status: int, seconds: float) -> None:
        """Count a version's answer.

        Args:
            about: The version and what it answered.
            protocol: Of the request.
            status: HTTP status.
            seconds: From the request's last byte to the answer.
        """
        arm = about.model, about.version, about.slot
        counted = self._arms.get(arm) or self._of(Arm(*arm))
        counted.count(protocol, status, seconds)
        if about.rows:
            counted.answered(about)
        if about.failed is not None:
            self._of(Arm(about.model, about.failed, "candidate")).fail()
        if about.unexpected:
            self._column(UNEXPECTED, about.model, "")[0] += about.unexpected
        for column, rows in about.unknown.items():
            self._column(UNKNOWN, about.model, column)[0] += len(rows)

    def set_loaded(self, arms: Iterable[Arm]) -> None:
        """Say which versions are loaded now."""
        self._loaded_arms = tuple(arms)
        for cell in self._loaded.values():
            cell[0] = 0
        for arm in self._loaded_arms:
            if arm not in self._loaded:
                self._loaded[arm] = self._page.cells(Series(LOADED, arm.labels))
            self._loaded[arm][0] = 1

    def set_log(self, counts: Counts) -> None:
        """Say what this process's prediction log has done."""
        self._log = counts.written, counts.unlogged, counts.refused
        for counter, now, before in zip(self._log_counters, self._log, self._log_before, strict=True):
            counter[0] = now - before

    def _of(self, arm: Arm) -> _Counted:
        """Return the numbers of a version."""
        counted = self._arms.get(arm)
        if counted is None:
            if len(self._arms) >= MOST_ARMS:
                self._page.close()
                self._begin_page()
            counted = self._arms[arm] = _Counted(self._page, arm)
        return counted

    def _column(self, name: str, model: str, column: str) -> "memoryview[float]":
        """Return the number of a column; beyond a bound columns are counted together."""
        cell = self._columns.get((model, column))
        if cell is None:
            known = sum(held == model for held, _ in self._columns)
            if known >= MOST_VALUES and column != OTHER:
                return self._column(name, model, OTHER)
            cell = self._columns[model, column] = self._page.cells(Series(name, (model, column)))
        return cell

    def close(self) -> None:
        """Give the page up at the process's end."""
        self._page.close()


class SidecarGauges:
    """What the sidecar says of itself.

    Args:
        folder: Where the pages of all processes of a server are.
    """

    def __init__(self, folder: Path) -> None:
        page = Page(folder, "sidecar", fold)
        self._page = page
        self._looked, self._succeeded = page.cells(Series(LOOKED)), page.cells(Series(SUCCEEDED))

    def looked(self, time: float) -> None:
        """Say when it last looked at the registry.

        Args:
            time: UTC, seconds since 1970.
        """
        self._looked[0] = time

    def succeeded(self, time: float) -> None:
        """Say when a look last found no trouble.

        Args:
            time: UTC, seconds since 1970.
        """
        self._succeeded[0] = time

    def close(self) -> None:
        """Give the page up at the process's end."""
        self._page.close()


class Totals(NamedTuple):
    """The counts of a server.

    Attributes:
        sums: Of all processes, dead ones included.
        living: Of those that are there.
        largest: The largest number of any process, for times.
    """

    sums: Numbers
    living: Numbers
    largest: Numbers


def totals(folder: Path) -> Totals:
    """Add up the pages of a server."""
    sums: Numbers = {}
    living: Numbers = {}
    largest: Numbers = {}
    for page in read_pages(folder):
        add_numbers(sums, page.numbers)
        if page.living:
            add_numbers(living, page.numbers)
        for key, numbers in page.numbers.items():
            largest[key] = max(largest.get(key, numbers), numbers)
    return Totals(sums, living, largest)


def arm_counts(folder: Path) -> Mapping[Arm, ArmCounts]:
    """Return what every version answered since the server started; no number but the run of errors ever falls.

    Args:
        folder: Where the pages of all processes of the server are.
    """
    pages = read_pages(folder)
    found: dict[Arm, ArmCounts] = {}
    for page in pages:
        for arm, counts in _arms_of(page.numbers, living=page.living).items():
            found[arm] = found[arm] + counts if arm in found else counts
    return found


def _arms_of(numbers: Numbers, *, living: bool) -> dict[Arm, ArmCounts]:
    """Return the versions of one page."""
    requests: dict[Arm, int] = {}
    errors: dict[Arm, int] = {}
    for (name, labels), (value, *_) in numbers.items():
        if name not in {REQUESTS, FAILED} or not labels[1].isdigit():
            continue
        arm = Arm(labels[0], int(labels[1]), labels[2])
        requests[arm] = requests.get(arm, 0) + int(value)
        if name == FAILED or labels[-1] >= "500":
            errors[arm] = errors.get(arm, 0) + int(value)
    return {
        arm: ArmCounts(
            requests=count,
            errors=errors.get(arm, 0),
            latency=tuple(map(int, numbers[Series(SECONDS, arm.labels)][:-1])),
            run_of_errors=int(numbers[Series(RUN, arm.labels)][0]) if living else 0,
        )
        for arm, count in requests.items()
    }


def fold(numbers: Numbers) -> Numbers:
    """Make fewer of the sums of dead processes: versions of long ago are counted together.

    Args:
        numbers: The sums, the newest last.
    """
    recent: dict[tuple[str, ...], None] = {}
    for key in reversed(numbers):
        if key.name in _OF_VERSIONS and len(recent) < MOST_ARMS:
            recent[key.labels[:2]] = None
    folded: Numbers = {}
    for key, values in numbers.items():
        if key.name not in _OF_THE_LIVING:
            old = key.name in _OF_VERSIONS and key.labels[:2] not in recent
            labels = (key.labels[0], OLDER, *key.labels[2:]) if old else key.labels
            add_numbers(folded, {Series(key.name, labels): values})
    return folded
