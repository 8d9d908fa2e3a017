"""Rollouts: which version is on its way to become champion, how far it has come, and how that ended.

The ledger alone holds them, so that all replicas agree: an entry `rollout_started`, one `rollout_step` for every
further share of requests, and `rollout_ended`. All are written by compare-and-swap: of two deciders exactly one
counts, and the other is told. The alias `champion` moves only at the end, by an ordinary promotion. Whatever else
happens to the champion or the candidate meanwhile ends the rollout as well.
"""

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import AwareDatetime

from tiltyard.errors import AbsentError, ConflictError, UsageError
from tiltyard.project.gates import GatesSection
from tiltyard.project.rollout import RolloutSection, Strategy
from tiltyard.project.section import Section
from tiltyard.registry import promotion
from tiltyard.registry.by_hand import ALLOW, settle
from tiltyard.registry.client import Registry
from tiltyard.registry.entry import Entry, Kind
from tiltyard.registry.history import ABOUT_ALIAS, MADE, MOVES
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.models import version
from tiltyard.registry.moving import identity, named
from tiltyard.registry.records import ModelRef, Promotion, Scalar
from tiltyard.registry.refusals import note_refusal

Outcome = Literal["promoting", "promoted", "returned", "overtaken"]

ROLLOUT = "rollout"
"""Evidence: number of the entry that started the rollout in question."""

_KINDS = ("rollout_started", "rollout_step", "rollout_ended")
_SETTINGS, _STEP, _SHARE, _BASELINE, _OUTCOME = "settings", "step", "share", "baseline", "outcome"
_ATTEMPTS = 20


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
            return f"{what} follows the requests to version {self.champion} as its shadow, since {_time(self.since)}"
        step = f", step {self.step + 1} of {len(self.settings.shares)}" if len(self.settings.shares) > 1 else ""
        return f"{what} answers {self.share:.4g} of the requests instead of version {self.champion}{step}, since " + (
            _time(self.since)
        )


def rollouts(entries: Iterable[Entry]) -> tuple[Rollout, ...]:
    """Return every rollout as it stands, or how it ended, in the order they were started.

    Args:
        entries: Entries of one ledger, in order.
    """
    found: list[Rollout] = []
    for entry in entries:
        if entry.kind == "rollout_started":
            found.append(_begun(entry))
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


def start(  # noqa: PLR0913  # who, why, on what grounds, over whom, by which rules: a decision has that many sides
    ledger: Ledger,
    registry: Registry,
    number: int,
    *,
    settings: RolloutSection,
    actor: str,
    reason: str,
    expected_champion: int | None,
    evidence: Mapping[str, Scalar] | None = None,
    gates: GatesSection = ALLOW,
) -> Rollout:
    """Start the rollout of a version.

    Args:
        ledger: The project's ledger.
        registry: The connection to MLflow.
        number: The version.
        settings: How it is to take over; they hold to the end.
        actor: Who starts it.
        reason: Why, in words.
        expected_champion: Champion that this decision was based on; None when there was none.
        evidence: Figures behind it.
        gates: What the project says about moves by hand: one that is found here is recorded or put back first.

    Returns:
        The rollout; the one in force when it is just this one.

    Raises:
        UsageError: The strategy is `direct`, there is no champion to compare with, or the version is champion.
        ConflictError: Another rollout or promotion is under way, or the champion is another than expected.
        AbsentError: There is no such version.
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    if settings.strategy == "direct":
        raise UsageError(
            "a direct rollout is a promotion", where=ledger.project, cure=f"Say `tiltyard promote {number}`."
        )
    target = version(registry, ModelRef(name=ledger.project, version=number))
    for _ in range(_ATTEMPTS):
        state = settle(ledger, registry, gates).state
        entries = ledger.entries()
        if state is None or any(entry.kind in ABOUT_ALIAS for entry in entries[state.sequence :]):
            continue
        known = standing(entries)
        if known is not None:
            return _same(known, number, settings)
        champion = _replaced(ledger.project, number, state.champion, expected_champion)
        try:
            entry = ledger.append(
                "rollout_started",
                actor=actor,
                version=number,
                replaces=champion,
                reason=reason,
                evidence={
                    **(evidence or {}),
                    **identity(target),
                    _SETTINGS: settings.model_dump_json(),
                    _SHARE: settings.shares[0],
                },
                expected=len(entries),
            )
        except ConflictError:
            continue
        return _begun(entry)
    raise _busy(ledger)


def advance(
    ledger: Ledger, rollout: Rollout, *, actor: str, reason: str, evidence: Mapping[str, Scalar], baseline: str = ""
) -> Rollout:
    """Take a rollout to its next step.

    Args:
        ledger: The project's ledger.
        rollout: As it stood when this was decided.
        actor: Who decided.
        reason: Why, in words.
        evidence: Figures behind it.
        baseline: What the champion answered in the step that was passed; kept for later ones.

    Returns:
        The rollout at its next step.

    Raises:
        ConflictError: It stands otherwise by now; nothing was written.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    step = rollout.step + 1
    if step >= len(rollout.settings.shares):
        raise UsageError(f"{rollout.sentence}: there is no further step", where=rollout.project)
    figures = {**evidence, _STEP: step, _SHARE: rollout.settings.shares[step], _BASELINE: baseline or rollout.baseline}
    return _write(ledger, rollout, "rollout_step", actor=actor, reason=reason, evidence=figures)


def promote(
    ledger: Ledger,
    registry: Registry,
    rollout: Rollout,
    *,
    actor: str,
    reason: str,
    evidence: Mapping[str, Scalar] | None = None,
    gates: GatesSection = ALLOW,
) -> Promotion:
    """End a rollout by making its candidate champion; called again, it completes what an interruption left open.

    Args:
        ledger: The project's ledger.
        registry: The connection to MLflow.
        rollout: As it stood when this was decided.
        actor: Who decided.
        reason: Why, in words; of a decision that was written down before, that one's counts.
        evidence: Figures behind it.
        gates: What the project says about moves by hand.

    Raises:
        ConflictError: It stands otherwise by now, or the champion is another one; nothing was moved.
        AbsentError: The candidate is not there any more.
        RegistryError: MLflow cannot be reached or refuses; the decision stands, and the next call completes it.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    decided = rollout
    if rollout.outcome is None:
        figures = {**(evidence or {}), _OUTCOME: "promoting"}
        decided = _write(ledger, rollout, "rollout_ended", actor=actor, reason=reason, evidence=figures)
    return promotion.promote(
        ledger,
        registry,
        decided.version,
        actor=decided.ended_by,
        reason=decided.said,
        expected_champion=decided.champion,
        evidence={**_grounds(decided), **(evidence or {}), ROLLOUT: decided.sequence},
        gates=gates,
    )


def give_back(
    ledger: Ledger,
    registry: Registry,
    rollout: Rollout,
    *,
    actor: str,
    reason: str,
    evidence: Mapping[str, Scalar] | None = None,
) -> Rollout:
    """End a rollout by returning to the champion; the candidate is refused, and its tag says why.

    The alias is not touched, and the ledger comes first: MLflow may be away.

    Args:
        ledger: The project's ledger.
        registry: The connection to MLflow.
        rollout: As it stood when this was decided.
        actor: Who decided.
        reason: Why, in words.
        evidence: Figures behind it.

    Raises:
        ConflictError: It stands otherwise by now; nothing was written.
        RegistryError: It has ended, but MLflow could not be told; `tidy` does that later.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    figures = {**(evidence or {}), _OUTCOME: "returned"}
    ended = _write(ledger, rollout, "rollout_ended", actor=actor, reason=reason, evidence=figures)
    _refuse(ledger, registry, ended)
    return ended


def tidy(ledger: Ledger, registry: Registry, gates: GatesSection = ALLOW) -> Rollout | None:
    """Finish what interruptions have left open, and write down the end of a rollout that something else has ended.

    Args:
        ledger: The project's ledger.
        registry: The connection to MLflow.
        gates: What the project says about moves by hand.

    Returns:
        The rollout in force afterwards; None when there is none.

    Raises:
        ConflictError: Somebody else is writing; look again.
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    entries = ledger.entries()
    found = latest(entries)
    if found is None:
        return None
    if found.is_standing:
        found = _settled(ledger, registry, found, gates)
        entries = ledger.entries()
    if not found.is_standing and not found.noted:
        figures: dict[str, Scalar] = {_OUTCOME: found.outcome}
        found = _write(ledger, found, "rollout_ended", actor=found.ended_by, reason=found.said, evidence=figures)
    if found.outcome == "returned" and not _is_refused(entries, found):
        _refuse(ledger, registry, found)
    return found if found.is_standing else None


def _settled(ledger: Ledger, registry: Registry, rollout: Rollout, gates: GatesSection) -> Rollout:
    """Return a standing rollout after a look at MLflow: a hand may have moved the alias, or deleted a version."""
    settle(ledger, registry, gates)
    found = latest(ledger.entries())
    if found is None or found.sequence != rollout.sequence or not found.is_standing:
        return found or rollout
    if not _is_there(registry, found):
        figures: dict[str, Scalar] = {_OUTCOME: "overtaken"}
        reason = f"version {found.version} was deleted in MLflow"
        return _write(ledger, found, "rollout_ended", actor="a hand in MLflow", reason=reason, evidence=figures)
    if found.outcome == "promoting":
        promote(ledger, registry, found, actor=found.ended_by, reason=found.said, gates=gates)
        return latest(ledger.entries()) or found
    return found


def _is_there(registry: Registry, rollout: Rollout) -> bool:
    """Whether the candidate is still in the registry, and no other version has its number."""
    try:
        info = version(registry, ModelRef(name=rollout.project, version=rollout.version))
    except AbsentError:
        return False
    return rollout.evidence.get(MADE, info.created) == info.created


def _is_refused(entries: Iterable[Entry], rollout: Rollout) -> bool:
    """Whether the ledger says since its rollout that a candidate is refused, or gone."""
    return any(
        (entry.kind, entry.version) in {("refused", rollout.version), ("deleted", rollout.version), ("deleted", None)}
        for entry in entries
        if entry.sequence > rollout.sequence
    )


def _refuse(ledger: Ledger, registry: Registry, rollout: Rollout) -> None:
    ref = ModelRef(name=rollout.project, version=rollout.version)
    note_refusal(ledger, registry, ref, f"returned from its rollout: {rollout.said}", actor=rollout.ended_by)


def _begun(entry: Entry) -> Rollout:
    """Return the rollout that an entry starts."""
    assert entry.version is not None
    assert entry.replaces is not None
    reserved = {_SETTINGS, _SHARE}
    return Rollout(
        project=entry.project,
        version=entry.version,
        champion=entry.replaces,
        settings=RolloutSection.model_validate_json(str(entry.evidence[_SETTINGS])),
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
        return _after_own(rollout, entry) if entry.evidence.get(ROLLOUT) == rollout.sequence else rollout
    if not rollout.is_standing:
        return rollout
    end = _end_by(rollout, entry)
    return rollout if end is None else _ended(rollout, entry, *end)


def _after_own(rollout: Rollout, entry: Entry) -> Rollout:
    """Return how a rollout stands after an entry of its own."""
    if entry.kind == "rollout_ended":
        if not rollout.is_standing:
            return rollout.model_copy(update={"noted": True})
        outcome: Outcome = entry.evidence[_OUTCOME]  # type: ignore[assignment]  # checked by the chain's one writer
        return _ended(rollout, entry, outcome, entry.reason).model_copy(update={"noted": True})
    step = entry.evidence.get(_STEP)
    if rollout.outcome is not None or not isinstance(step, int):
        return rollout
    known = {"step": step, "since": entry.time, "baseline": str(entry.evidence.get(_BASELINE, ""))}
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
    return "overtaken", f"the champion became {named(entry.version)} meanwhile, {by}"


def _ended(rollout: Rollout, entry: Entry, outcome: Outcome, said: str) -> Rollout:
    """Return a rollout at its end; a promotion that was decided by an entry of its own needs no second one."""
    noted = (rollout.outcome, outcome) == ("promoting", "promoted")
    known = {"outcome": outcome, "said": said, "ended": entry.time, "ended_by": entry.actor, "noted": noted}
    return rollout.model_copy(update=known)


def _write(
    ledger: Ledger, rollout: Rollout, kind: Kind, *, actor: str, reason: str, evidence: Mapping[str, Scalar]
) -> Rollout:
    """Write an entry about a rollout, when it still stands as it did; entries about anything else may come between.

    Raises:
        ConflictError: It stands otherwise by now; nothing was written.
    """
    for _ in range(_ATTEMPTS):
        entries = ledger.entries()
        now = latest(entries)
        if now is None or _place(now) != _place(rollout):
            raise _overtaken(rollout, now)
        try:
            entry = ledger.append(
                kind,
                actor=actor,
                version=rollout.version,
                replaces=rollout.champion,
                reason=reason,
                evidence={**evidence, ROLLOUT: rollout.sequence},
                expected=len(entries),
            )
        except ConflictError:
            continue
        return _after_own(now, entry)
    raise _busy(ledger)


def _place(rollout: Rollout) -> tuple[object, ...]:
    return rollout.sequence, rollout.step, rollout.outcome, rollout.noted


def _grounds(rollout: Rollout) -> dict[str, Scalar]:
    """Return the evidence that a rollout started on, without what tells the version."""
    return {name: value for name, value in rollout.evidence.items() if name != MADE}


def _same(known: Rollout, number: int, settings: RolloutSection) -> Rollout:
    """Return the rollout in force when it is the one that is wanted."""
    if (known.version, known.settings) == (number, settings):
        return known
    raise ConflictError(
        f"version {known.version} is being rolled out since {_time(known.started)}; nothing was changed",
        where=known.project,
        cure="See `tiltyard rollout status`; end it by `tiltyard rollout promote` or `tiltyard rollout return` first.",
    )


def _replaced(project: str, number: int, champion: int | None, expected: int | None) -> int:
    """Return the champion that a version is to replace."""
    if champion == number:
        raise UsageError(f"version {number} is champion already", where=project, cure="There is nothing to roll out.")
    if champion != expected:
        raise ConflictError(
            f"version {number} was to replace {named(expected)}, but the champion is {named(champion)} by now; nothing "
            "was changed",
            where=project,
            cure="See `tiltyard history`, and start the rollout again if it is still wanted.",
        )
    if champion is None:
        raise UsageError(
            "there is no champion to compare with, and to return to",
            where=project,
            cure=f"Make version {number} champion by `tiltyard promote {number} --reason …`.",
        )
    return champion


def _overtaken(rollout: Rollout, now: Rollout | None) -> ConflictError:
    how = now.sentence if now is not None else "there is none"
    return ConflictError(
        f"the rollout of version {rollout.version} stands otherwise by now ({how}); nothing was changed by this call",
        where=rollout.project,
        cure="See `tiltyard rollout status`, and decide anew.",
    )


def _busy(ledger: Ledger) -> ConflictError:
    return ConflictError(
        f"`{ledger.project}` is being changed at this moment; nothing was changed by this call",
        where=ledger.project,
        cure="Wait a moment, see `tiltyard history`, and decide again.",
    )


def _time(moment: AwareDatetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
