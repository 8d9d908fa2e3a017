"""Checks as they are kept: one record a window, in the object store, and what later checks take from earlier ones.

    monitoring/{model}/checks/2026-11-21T060000.000000Z-from-2026-11-14T060000.000000Z-v3.json
    monitoring/{model}/samples/2026-11-21T060000.000000Z-from-2026-11-14T060000.000000Z-v3.parquet
    monitoring/{model}/actions/churn-retrain-v3-0f3a5b7c1d2e.json

The name is that of the window and the version: the same window checked twice is one record, the latest. Windows that
share more than half of their time are as good as one: hourly checks of the last week are not a week's evidence each.
Actions are claimed by their trigger, which one of many succeeds in, and stay when a window is checked again.
"""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import Literal, TypeVar

from pydantic import AwareDatetime, ValidationError

from tiltyard.errors import ConflictError, DataError, UsageError
from tiltyard.evaluation import records
from tiltyard.monitoring.calibration import Calibration
from tiltyard.monitoring.days import Days, in_parallel
from tiltyard.monitoring.domain import Domain
from tiltyard.monitoring.estimate import Estimate
from tiltyard.monitoring.findings import DriftVerdict, Span
from tiltyard.monitoring.packing import pack_sample, unpack_sample
from tiltyard.monitoring.performance import Performance
from tiltyard.monitoring.policy import Challenger, Decision, Mode, State
from tiltyard.monitoring.quality import QualityFinding
from tiltyard.monitoring.sample import Sample
from tiltyard.predictions.reading import Window
from tiltyard.project.section import Section
from tiltyard.storage.base import Store

ROOM = "monitoring"
MOST_SAMPLES = 12
"""Samples kept of the latest accepted windows, and of those too small to be judged alone."""

_MOMENT = "%Y-%m-%dT%H%M%S.%fZ"
_SHARED = 0.5
_Kept = TypeVar("_Kept", "Check", "Action")


class Check(Section):
    """What one check found and what came of it.

    Attributes:
        model: Model.
        start: First moment of its window.
        end: The moment after its last.
        version: Version whose answers were looked at; None when there were none.
        made: When it was made.
        rows: Predictions of the window.
        drift: The verdict on drift.
        quality: In what ways the data is broken; empty when it is sound.
        performance: Scores of windows with labels, this one's and earlier ones', the newest last.
        estimate: Estimated score of the window.
        domain: Whether its rows can be told from the reference's by all features together; None when nobody asked.
        metric: Metric of `reference` and `standard`.
        reference: The version's score on its own test rows.
        standard: The best score that another version had so as champion; each check hands it on to the next.
        decision: What the policy decided; None before it was asked.
        sampled: Whether a sample of it was kept.
        accepted: Whether later windows are calibrated on this one.
        vindicated: Earlier windows that labels showed to be good by the time of this check.
        calibration: What was known of accepted windows after this one.
    """

    model: str
    start: AwareDatetime
    end: AwareDatetime
    version: int | None
    made: AwareDatetime
    rows: int
    drift: DriftVerdict
    quality: tuple[QualityFinding, ...] = ()
    performance: tuple[Performance, ...] = ()
    estimate: Estimate | None = None
    domain: Domain | None = None
    metric: str = ""
    reference: records.Estimate | None = None
    standard: records.Estimate | None = None
    decision: Decision | None = None
    sampled: bool = False
    accepted: bool = False
    vindicated: tuple[Span, ...] = ()
    calibration: Calibration = Calibration()

    @property
    def window(self) -> Window:
        """Its window."""
        return Window(self.start, self.end)


class Action(Section):
    """What a check set in motion, once.

    Attributes:
        trigger: Its name.
        action: What.
        mode: What a retraining must show.
        made: When it was decided.
        reason: Why.
        check: Name of the record of the check that decided it.
        done: Whether it was carried out; else whoever claimed it may have been cut off in between.
    """

    trigger: str
    action: Literal["retrain", "alert"]
    mode: Mode | None = None
    made: AwareDatetime
    reason: str
    check: str = ""
    done: bool = False


class History:
    """The checks of a model.

    Args:
        store: The object store.
        model: Model.
    """

    def __init__(self, store: Store, model: str) -> None:
        self._store = store
        self._room = f"{ROOM}/{model}"
        self._model = model
        self._days = Days(store, f"{self._room}/days", lambda key, content: _parsed(key, content, Check))

    def keep(self, check: Check, sample: Sample | None = None) -> str:
        """Keep a check, in place of an earlier one of the same window and version.

        Args:
            check: The check.
            sample: What was looked at, for windows that later ones are compared or pooled with; none is kept of the
                others.

        Returns:
            Key of the record.

        Raises:
            UsageError: The check is of another model, or its window has no time zone.
            StorageError: The store cannot be reached, is full or refuses.
        """
        if check.model != self._model:
            raise UsageError(f"a check of `{check.model}` is none of `{self._model}`")
        name = _name(check.window.checked(), check.version)
        if sample is not None:
            self._store.write(self._key("samples", name), pack_sample(sample))
            self._forget(check.version)
        key = self._key("checks", name)
        kept = check.model_copy(update={"sampled": check.sampled or sample is not None})
        content = json.dumps(
            kept.model_dump(mode="json"), indent=1, ensure_ascii=False
        ).encode()  # keeps infinite effects
        self._days.forget(key)
        self._store.write(key, content)
        self._days.forget(key)  # somebody may have copied the record of before meanwhile
        return key

    def checks(self, since: datetime | None = None, until: datetime | None = None) -> tuple[Check, ...]:
        """Return the checks of a span of time, oldest first.

        Args:
            since: Windows that ended before are left out.
            until: Windows that ended later are left out.

        Raises:
            UsageError: A moment has no time zone.
            DataError: A record cannot be read.
            StorageError: The store cannot be reached.
        """
        first, last = "" if since is None else _text(since), "9" if until is None else _text(until)
        keys = self._store.list(f"{self._room}/checks")
        return self._days.read(keys, [key for key in keys if first <= _end(key) <= last])

    def latest(self) -> Check | None:
        """Return the check of the window that ended last; None when there is none.

        Raises:
            DataError: The record cannot be read.
            StorageError: The store cannot be reached.
        """
        keys = self._store.list(f"{self._room}/checks")
        return self._read(keys[-1], Check) if keys else None

    def sample(self, check: Check) -> Sample | None:
        """Return what a check has looked at, where it is kept; a bounded number of rows.

        Raises:
            DataError: The sample cannot be read.
            StorageError: The store cannot be reached.
        """
        key = self._key("samples", _name(check.window, check.version))
        return unpack_sample(self._store.read(key), where=key) if self._store.exists(key) else None

    def claim(self, check: Check, made: datetime) -> bool:
        """Claim what a check sets in motion; whoever succeeds carries it out, and then says `done`.

        Args:
            check: The check, decided about.
            made: The present moment, with a time zone.

        Returns:
            Whether there is something to do and nobody has claimed it before.

        Raises:
            StorageError: The store cannot be reached, is full or refuses.
        """
        decision = check.decision
        if decision is None or decision.action == "none":
            return False
        known = decision.model_dump(include={"trigger", "action", "mode", "reason"})
        claimed = Action(**known, made=made, check=_name(check.window, check.version))
        try:
            self._store.create(self._key("actions", decision.trigger), claimed.model_dump_json(indent=1).encode())
        except ConflictError:
            return False
        return True

    def done(self, trigger: str) -> None:
        """Note that a claimed action was carried out.

        Raises:
            DataError: The action cannot be read.
            StorageError: The store cannot be reached, or nobody claimed it.
        """
        key = self._key("actions", trigger)
        carried_out = self._read(key, Action).model_copy(update={"done": True})
        self._store.write(key, carried_out.model_dump_json(indent=1).encode())

    def actions(self) -> tuple[Action, ...]:
        """Return what was set in motion, oldest first.

        Raises:
            DataError: A record cannot be read.
            StorageError: The store cannot be reached.
        """
        found = in_parallel(lambda key: self._read(key, Action), self._store.list(f"{self._room}/actions"))
        return tuple(sorted(found, key=lambda action: (action.made, action.trigger)))

    def check_of(self, action: Action) -> Check | None:
        """Return the check that set something in motion; None when it is gone, or has come to something else since.

        Raises:
            DataError: The record cannot be read.
            StorageError: The store cannot be reached.
        """
        key = self._key("checks", action.check)
        found = self._read(key, Check) if self._store.exists(key) else None
        trigger = found.decision.trigger if found is not None and found.decision is not None else ""
        return found if trigger == action.trigger else None

    def _key(self, kind: str, name: str) -> str:
        return f"{self._room}/{kind}/{name}.{'parquet' if kind == 'samples' else 'json'}"

    def _read(self, key: str, kind: type[_Kept]) -> _Kept:
        return _parsed(key, self._store.read(key), kind)

    def _forget(self, version: int | None) -> None:
        """Delete all but the latest samples of a version."""
        ours = [key for key in self._store.list(f"{self._room}/samples") if key.endswith(f"-{_of(version)}.parquet")]
        for key in ours[:-MOST_SAMPLES]:
            self._store.delete(key)


def _parsed(key: str, content: bytes, kind: type[_Kept]) -> _Kept:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        reason = str(error).replace("\n", " ")[:200]
        cure = "It was damaged, or written by another version of Tiltyard: move it out of the store."
        raise DataError(f"is no record of a {kind.__name__.lower()} ({reason})", where=key, cure=cure) from None


def earlier(checks: Sequence[Check], window: Window, version: int | None) -> tuple[Check, ...]:
    """Return the checks of a version whose windows ended before, oldest first; a window's own is not among them.

    Args:
        checks: Checks of a model.
        window: The window that is looked at.
        version: Version that is looked at.
    """
    found = [check for check in checks if check.version == version and check.end < window.end]
    return tuple(sorted(found, key=lambda check: (check.end, check.start)))


def apart(checks: Sequence[Check], window: Window) -> tuple[Check, ...]:
    """Return those that share at most half of their time with a window, and with each other, oldest first.

    Of checks that share more the latest stands for all. With windows that are longer than the time between checks
    these are the ones that count: for an alarm by two windows running, for accepted windows, for pooling.

    Args:
        checks: Checks of one version, oldest first.
        window: The window that is looked at.
    """
    kept: list[Check] = []
    taken = [window]
    for check in reversed(checks):
        if all(shared(check.window, other) <= _SHARED for other in taken):
            kept.append(check)
            taken.append(check.window)
    return tuple(reversed(kept))


def calibration_before(checks: Sequence[Check], window: Window, version: int | None) -> Calibration:
    """Return what is known of accepted windows when a window is looked at, however often that is.

    Args:
        checks: Checks of a model.
        window: The window that is looked at.
        version: Version that is looked at; another one's windows say nothing about it.
    """
    before = earlier(checks, window, version)
    return before[-1].calibration if before else Calibration()


def is_fresh(checks: Sequence[Check], window: Window, version: int | None) -> bool:
    """Whether accepting a window adds to what is known: no accepted or vindicated one shares most of its time.

    Args:
        checks: Checks of a model.
        window: The window that is looked at.
        version: Version that is looked at.
    """
    known = earlier(checks, window, version)
    good = [check.window for check in known if check.accepted]
    good += [Window(span.start, span.end) for check in known for span in check.vindicated]
    return all(shared(one, window) <= _SHARED for one in good)


def state_of(  # noqa: PLR0913  # what is known of a champion
    checks: Sequence[Check],
    actions: Sequence[Action],
    *,
    project: str,
    version: int | None,
    since: datetime | None = None,
    trained: datetime | None = None,
    running: bool = False,
    challenger: Challenger | None = None,
) -> State:
    """Return what the policy must know beside the checks.

    Args:
        checks: Checks of the model, those before the one that is decided about at least.
        actions: What was set in motion.
        project: Name of the project.
        version: The champion; None when there is none.
        since: When it became champion.
        trained: When it was trained.
        running: Whether a training run of the project is under way.
        challenger: A version on its way to become champion; None when there is none.
    """
    decided = [check for check in checks if check.decision is not None]
    last = max(decided, key=lambda check: check.made, default=None)
    return State(
        project=project,
        version=version,
        since=since,
        trained=trained,
        retrainings=tuple(action.made for action in actions if action.action == "retrain"),
        running=running,
        challenger=challenger,
        told=last.decision.told if last is not None and last.decision is not None else (),
    )


def shared(one: Window, other: Window) -> float:
    """Return the share of the shorter of two windows that lies in the other.

    Example:
        >>> hour = [datetime.fromisoformat(f"2026-11-21T0{hour}:00Z") for hour in range(5)]
        >>> shared(Window(hour[0], hour[2]), Window(hour[1], hour[4]))
        0.5
    """
    both = (min(one.end, other.end) - max(one.start, other.start)).total_seconds()
    shorter = min((one.end - one.start).total_seconds(), (other.end - other.start).total_seconds())
    return max(0.0, both) / shorter if shorter > 0 else float(both >= 0)


def _name(window: Window, version: int | None) -> str:
    return f"{_text(window.end)}-from-{_text(window.start)}-{_of(version)}"


def _of(version: int | None) -> str:
    return "none" if version is None else f"v{version}"


def _text(moment: datetime) -> str:
    """Return a moment as names have it, which sort as moments do."""
    return f"{Window(moment, moment).checked().start:{_MOMENT}}"


def _end(key: str) -> str:
    """Return when the window of a record ended."""
    return PurePosixPath(key).name.partition("-from-")[0]
