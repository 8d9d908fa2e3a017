"""How a rollout stands by its ledger: how far it has come, and how it ended. Pure functions."""

from collections.abc import Iterable
from typing import Literal

from pydantic import AwareDatetime

from tiltyard.project.rollout import RolloutSection, Strategy
from tiltyard.project.section import Section
from tiltyard.registry.entry import Entry
from tiltyard.registry.history import MOVES
from tiltyard.registry.records import Scalar

Outcome = Literal["promoting", "promoted", "returned", "overtaken"]

ROLLOUT = "rollout"
"""Evidence: number of the entry that started the rollout in question."""

SETTINGS, STEP, SHARE, BASELINE, OUTCOME = "settings", "step", "share", "baseline", "outcome"
"""Evidence of a rollout's own entries."""

_KINDS = ("rollout_started", "rollout_step", "rollout_ended")


class Rollout(Section):
    """A version on its way to become champion.

    Attributes:
        project: Name of the project.
        version: The candidate.
        champion: The champion that it is to replace.
        settings: How; what was in force when it started.
        sequence: Number of the entry that started it.
        started: When.
        actor: Who started it.
        reason: Why, in words.
        evidence: Figures and names behind it.
        step: Number of the step that it is at, from 0.
        since: When that step began.
        baseline: What the champion answered in the step before, as it was written down; empty when it was not.
        outcome: How it ended; `promoting` is decided and not done yet, None while nothing is decided.
        said: Why it ended so, in words.
        ended: When it ended, or was decided.
        ended_by: Who ended it.
        noted: Whether its end has an entry of its own.
    """

    project: str
    version: int
    champion: int
    settings: RolloutSection
    sequence: int
    started: AwareDatetime
    actor: str
    reason: str
    evidence: dict[str, Scalar]
    step: int = 0
    since: AwareDatetime
    baseline: str = ""
    outcome: Outcome | None = None
    said: str = ""
    ended: AwareDatetime | None = None
    ended_by: str = ""
    noted: bool = False

    @property
    def strategy(self) -> Strategy:
        """How it takes over."""
        return self.settings.strategy

    @property
    def share(self) -> float:
        """Share of requests that the candidate answers now; once promotion is decided all, or for a shadow none."""
        return self.settings.shares[-1 if self.outcome == "promoting" else self.step]

    @property
    def salt(self) -> str:
        """What is hashed with a request's key, so that each rollout deals the keys anew."""
        return f"{self.project}/{self.sequence}"

    @property
    def is_standing(self) -> bool:
        """Whether it is in force."""
        return self.outcome in {None, "promoting"}

    @property
    def sentence(self) -> str:
        """How it stands, in words."""
        what = f"version {self.version}"
        if self.outcome == "promoting":
            return f"{what} has passed its rollout and is about to be promoted: {self.said}"
        if self.outcome == "promoted":
            return f"{what} has passed its rollout and is champion: {self.said}"
        if self.outcome is not None:
            return f"the rollout of {what} has ended and did not make it champion: {self.said}"
        if self.strategy == "shadow":
            return (
                f"{what} follows the requests to version {self.champion} as its shadow, since {told_time(self.since)}"
            )
        step = f", step {self.step + 1} of {len(self.settings.shares)}" if len(self.settings.shares) > 1 else ""
        answers = f"{what} answers {self.share:.4g} of the requests instead of version {self.champion}"
        return f"{answers}{step}, since {told_time(self.since)}"


def rollouts(entries: Iterable[Entry]) -> tuple[Rollout, ...]:
    """Return every rollout as it stands, or how it ended, in the order they were started.

    Args:
        entries: Entries of one ledger, in order.
    """
    found: list[Rollout] = []
    for entry in entries:
        if entry.kind == "rollout_started":
            found.append(begun(entry))
        elif found:
            found[-1] = _after(found[-1], entry)
    return tuple(found)


def latest(entries: Iterable[Entry]) -> Rollout | None:
    """Return the latest rollout as it stands, or how it ended; None when there never was one.

    Args:
        entries: Entries of one ledger, in order.
    """
    found = rollouts(entries)
    return found[-1] if found else None


def standing(entries: Iterable[Entry]) -> Rollout | None:
    """Return the rollout in force; None when there is none.

    Args:
        entries: Entries of one ledger, in order.
    """
    found = latest(entries)
    return found if found is not None and found.is_standing else None


def begun(entry: Entry) -> Rollout:
    """Return the rollout that an entry starts.

    Args:
        entry: Of kind `rollout_started`.
    """
    assert entry.version is not None
    assert entry.replaces is not None
    reserved = {SETTINGS, SHARE}
    return Rollout(
        project=entry.project,
        version=entry.version,
        champion=entry.replaces,
        settings=RolloutSection.model_validate_json(str(entry.evidence[SETTINGS])),
        sequence=entry.sequence,
        started=entry.time,
        actor=entry.actor,
        reason=entry.reason,
        evidence={name: value for name, value in entry.evidence.items() if name not in reserved},
        since=entry.time,
    )


def _after(rollout: Rollout, entry: Entry) -> Rollout:
    """Return how a rollout stands after an entry."""
    if entry.kind in _KINDS:
        return after_own(rollout, entry) if entry.evidence.get(ROLLOUT) == rollout.sequence else rollout
    if not rollout.is_standing:
        return rollout
    end = _end_by(rollout, entry)
    return rollout if end is None else _ended(rollout, entry, *end)


def after_own(rollout: Rollout, entry: Entry) -> Rollout:
    """Return how a rollout stands after an entry of its own.

    Args:
        rollout: As it stood.
        entry: Of kind `rollout_step` or `rollout_ended`.
    """
    if entry.kind == "rollout_ended":
        if not rollout.is_standing:
            return rollout.model_copy(update={"noted": True})
        outcome: Outcome = entry.evidence[OUTCOME]  # type: ignore[assignment]  # checked by the chain's one writer
        return _ended(rollout, entry, outcome, entry.reason).model_copy(update={"noted": True})
    step = entry.evidence.get(STEP)
    if rollout.outcome is not None or not isinstance(step, int):
        return rollout
    known = {"step": step, "since": entry.time, "baseline": str(entry.evidence.get(BASELINE, ""))}
    return rollout.model_copy(update=known)


def _end_by(rollout: Rollout, entry: Entry) -> tuple[Outcome, str] | None:
    """Say how an entry of another kind ends a rollout, and why; None when it does not."""
    if entry.kind == "deleted" and entry.version in {None, rollout.version, rollout.champion}:
        return "overtaken", entry.reason
    if entry.kind == "refused" and entry.version == rollout.version:
        return "returned", entry.reason
    if entry.kind not in MOVES or entry.version == rollout.champion:
        return None
    if entry.version == rollout.version:
        return "promoted", rollout.said if rollout.outcome == "promoting" else entry.reason
    by = f"by {entry.actor}" + (f": {entry.reason}" if entry.reason else "")
    if entry.version is None:
        return "overtaken", f"the champion was taken away meanwhile, {by}"
    return "overtaken", f"the champion became version {entry.version} meanwhile, {by}"


def _ended(rollout: Rollout, entry: Entry, outcome: Outcome, said: str) -> Rollout:
    """Return a rollout at its end; a promotion that was decided by an entry of its own needs no second one."""
    noted = (rollout.outcome, outcome) == ("promoting", "promoted")
    known = {"outcome": outcome, "said": said, "ended": entry.time, "ended_by": entry.actor, "noted": noted}
    return rollout.model_copy(update=known)


def told_time(moment: AwareDatetime) -> str:
    """Say a moment to the minute, in UTC."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"
