"""The shadow: a process that answers, after the event, what another version has answered, and adds up the differences.

It follows the prediction log of this machine, which is written whether it is there or not. So it can neither slow nor
fail an answer: nothing waits for it, it shares no lock and no memory with a worker, and it is the last to be given a
processor. While a rollout is under way it gives each logged row to the other of the two versions. When it is killed
the supervisor starts another, which goes on with the same sums; when it falls behind it skips, and says how much.
Started by `tiltyard.serving.server` through `tiltyard.serving.launch`.
"""

import logging
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from tiltyard.bundle.runtime import Runtime
from tiltyard.errors import BundleError, ServingError, TiltyardError
from tiltyard.evaluation.evidence import PairedCounts
from tiltyard.predictions.record import Record, read_record
from tiltyard.project.section import Section
from tiltyard.serving.files import write_whole
from tiltyard.serving.pairing import answers_to, columns_of, compare, in_order, logged_answers
from tiltyard.serving.plan import CandidatePlan, Plan, SlotPlan, Stamp, read_plan, stamp_of
from tiltyard.serving.processes import orphaned, start_log
from tiltyard.serving.settings import ShadowSettings
from tiltyard.serving.tailing import Tail

STATE = "shadow.json"
"""Name of the file, beside the plan, that holds what was found."""

LOOK_SECONDS = 0.2
MOST_ROWS = 2_000
"""Rows that are answered at one look; the rest of them are skipped."""

_NICE = 19
_log = logging.getLogger(__name__)


class ShadowCounts(Section):
    """What was found of one rollout, in one of its steps.

    Attributes:
        start: Number of the ledger's entry that began the rollout.
        step: Number of the rollout's step, from 0.
        version: The candidate.
        paired: The differences.
        non_finite: Answers of the candidate that were NaN or infinite.
        disagreements: Rows that the two versions gave another class.
        seconds: Time spent on answering.
        skipped: Requests that were left out.
        failed_load: Why the versions could not be loaded; empty when they could.
    """

    start: int
    step: int
    version: int
    paired: PairedCounts = PairedCounts()
    non_finite: int = 0
    disagreements: int = 0
    seconds: float = 0.0
    skipped: int = 0
    failed_load: str = ""

    def __add__(self, other: "ShadowCounts") -> "ShadowCounts":
        return self.model_copy(
            update={
                "paired": self.paired + other.paired,
                "non_finite": self.non_finite + other.non_finite,
                "disagreements": self.disagreements + other.disagreements,
                "seconds": self.seconds + other.seconds,
                "skipped": self.skipped + other.skipped,
            }
        )


class ShadowState(Section):
    """What was found.

    Attributes:
        models: By model.
    """

    models: dict[str, ShadowCounts] = Field(default_factory=dict)


def read_state(plan: Path) -> ShadowState:
    """Return what the shadow of a server has found; nothing when it has not written anything that can be read.

    Args:
        plan: Path of the server's plan file.
    """
    try:
        return ShadowState.model_validate_json((plan.parent / STATE).read_bytes())
    except (OSError, ValidationError):
        return ShadowState()


class Pair:
    """The two versions of one rollout's step.

    Args:
        champion: Answers until the rollout is over.
        candidate: May take its place.
        counts: What was found before.
    """

    def __init__(self, champion: SlotPlan, candidate: CandidatePlan, counts: ShadowCounts | None) -> None:
        self.champion = champion
        self.candidate = candidate
        begun = ShadowCounts(start=candidate.start, step=candidate.step, version=candidate.slot.version)
        goes_on = counts is not None and (counts.start, counts.step, counts.version) == _place(begun)
        self.counts = counts if counts is not None and goes_on else begun
        self._runtimes = self._loaded()

    def is_of(self, champion: SlotPlan, candidate: CandidatePlan) -> bool:
        """Whether these are the versions and the step; a share may change."""
        mine = (self.champion.digest, self.candidate.slot.digest, self.candidate.start, self.candidate.step)
        return mine == (champion.digest, candidate.slot.digest, candidate.start, candidate.step)

    def add(self, records: Sequence[Record]) -> None:
        """Compare what the log says one version answered with what the other one answers."""
        for answered, other in ((self.champion, self.candidate.slot), (self.candidate.slot, self.champion)):
            rows = [record for record in records if record.version == answered.version]
            if rows and self._runtimes:
                self.counts += self._compared(rows, answered.version, other.version)

    def skip(self, requests: int) -> None:
        """Note requests that were left out."""
        self.counts += self._none(skipped=requests)

    def _compared(self, records: Sequence[Record], answered: int, other: int) -> ShadowCounts:
        """Compare some records at once, or, where that fails, one after the other: one alone may be at fault."""
        try:
            return self._together(records, answered, other)
        except Exception as error:  # noqa: BLE001  # whatever a version does to a row, it is counted and the next one follows
            if len(records) > 1:
                alone = [self._compared([record], answered, other) for record in records]
                return sum(alone, start=self._none())
            _log.debug("a request could not be compared: %s", type(error).__name__)
            lost = len(records[0].rows) if other == self.candidate.slot.version else 0
            return self._none(paired=PairedCounts(failed=lost))

    def _together(self, records: Sequence[Record], answered: int, other: int) -> ShadowCounts:
        theirs, ours = self._runtimes[answered], self._runtimes[other]
        rows = [row for record in records for row in record.rows]
        known = np.concatenate([logged_answers(record.answers, record.probabilities) for record in records])
        began = time.perf_counter()
        found = answers_to(ours, columns_of(rows, theirs.contract), len(rows))
        seconds = time.perf_counter() - began
        codes = np.concatenate([np.asarray(record.answers) for record in records])
        disagreements = _disagreements(codes, found, theirs, ours)
        found = in_order(found, ours.classes, theirs.classes)
        finite = np.isfinite(found).reshape(len(rows), -1).all(axis=1)
        broken = int((~finite).sum()) if other == self.candidate.slot.version else 0
        known, found = known[finite], found[finite]
        champion, candidate = (known, found) if other == self.candidate.slot.version else (found, known)
        return self._none(
            paired=compare(champion, candidate) + PairedCounts(failed=broken),
            non_finite=broken,
            disagreements=disagreements,
            seconds=seconds,
        )

    def _none(self, **found: object) -> ShadowCounts:
        """Return counts of this step, with nothing but what was found."""
        place = {"start": self.counts.start, "step": self.counts.step, "version": self.counts.version}
        return ShadowCounts.model_validate(place | found)

    def _loaded(self) -> Mapping[int, Runtime]:
        """Load both versions; nothing is compared where that cannot be done, and only the candidate is to blame."""
        try:
            champion = Runtime.load(Path(self.champion.bundle))
        except BundleError as error:
            _log.error("%s", error)
            return {}
        try:
            candidate = Runtime.load(Path(self.candidate.slot.bundle))
        except BundleError as error:
            self.counts = self.counts.model_copy(update={"failed_load": error.what})
            return {}
        return {self.champion.version: champion, self.candidate.slot.version: candidate}


class Shadow:
    """Follows plan and log, one look at a time.

    Args:
        settings: What the supervisor told.
    """

    def __init__(self, settings: ShadowSettings) -> None:
        self._settings = settings
        self._tail = Tail(settings.log, settings.writer)
        self._seen: Stamp | None = None
        self._pairs: dict[str, Pair] = {}
        self._written = read_state(settings.plan)

    def look(self) -> bool:
        """Compare what was logged since the last look, and write down what was found.

        Returns:
            Whether there is a rollout to follow.
        """
        self._follow_plan()
        lines, skipped = self._tail.read()
        records = defaultdict[str, list[Record]](list)
        room = MOST_ROWS
        for line in lines if self._pairs else ():
            record = read_record(line)
            if record is None or record.model not in self._pairs:
                continue
            if room > 0:
                records[record.model].append(record)
                room -= len(record.rows)
            else:
                skipped += 1
        for name, pair in self._pairs.items():
            pair.add(records[name])
            if skipped:
                pair.skip(skipped)
        self._write()
        return bool(self._pairs)

    def close(self) -> None:
        """Give the log up."""
        self._tail.close()

    def _follow_plan(self) -> None:
        """Load the versions of a rollout that is new, and give up those of one that is over."""
        stamp = stamp_of(self._settings.plan)
        if stamp == self._seen:
            return
        try:
            plan = read_plan(self._settings.plan)
        except ServingError:
            return
        self._seen = stamp
        self._pairs = {name: self._pair(name, plan) for name in plan.rollouts if name in self._settings.names}

    def _pair(self, name: str, plan: Plan) -> Pair:
        champion, candidate = plan.models[name], plan.candidates[name]
        held = self._pairs.get(name)
        if held is not None and held.is_of(champion, candidate):
            return held
        pair = Pair(champion, candidate, self._written.models.get(name))
        what = "`%s`: version %d is compared with version %d"
        _log.info(what, name, candidate.slot.version, champion.version)
        return pair

    def _write(self) -> None:
        state = ShadowState(
            models={**self._written.models, **{name: pair.counts for name, pair in self._pairs.items()}}
        )
        if state != self._written:
            write_whole(self._settings.plan.parent / STATE, state.model_dump_json())
            self._written = state


def _place(counts: ShadowCounts) -> tuple[int, int, int]:
    return counts.start, counts.step, counts.version


def _disagreements(codes: NDArray[np.float64], found: NDArray[np.float64], theirs: Runtime, ours: Runtime) -> int:
    """Return the number of rows that two versions gave another class."""
    if not ours.classes or not theirs.classes:
        return 0
    mine = found[:, 1] >= ours.threshold if found.shape[1] == 2 else found.argmax(axis=1)
    pairs = zip(codes.astype(int).tolist(), mine.astype(int).tolist(), strict=True)
    return sum(theirs.classes[before] != ours.classes[after] for before, after in pairs)


def main(arguments: list[str]) -> None:
    """Follow the log until there is no rollout any more, SIGTERM, or the loss of the supervisor.

    Args:
        arguments: One: the settings as JSON.
    """
    os.nice(_NICE)
    settings = ShadowSettings.model_validate_json(arguments[0])
    start_log("shadow")
    signal.signal(signal.SIGTERM, _end)
    try:
        shadow = Shadow(settings)
        while not orphaned(settings.parent) and shadow.look():
            time.sleep(LOOK_SECONDS)
    except TiltyardError as error:
        _log.error("%s", error)
        sys.exit(1)


def _end(*_: object) -> None:
    """End at once: what was found is written at every look."""
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
