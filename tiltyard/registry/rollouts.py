"""What is done to a rollout: it is started, goes on, and ends.

The ledger alone holds them, so that all replicas agree: an entry `rollout_started`, one `rollout_step` for every
further share of requests, and `rollout_ended`. All are written by compare-and-swap: of two deciders exactly one
counts, and the other is told. The alias `champion` moves only at the end, by an ordinary promotion. Whatever else
happens to the champion or the candidate meanwhile ends the rollout as well.
"""

from collections.abc import Iterable, Mapping

from tiltyard.errors import AbsentError, ConflictError, UsageError
from tiltyard.project.gates import GatesSection
from tiltyard.project.rollout import RolloutSection
from tiltyard.registry import promotion
from tiltyard.registry.by_hand import ALLOW, settle
from tiltyard.registry.client import Registry
from tiltyard.registry.entry import Entry, Kind
from tiltyard.registry.history import ABOUT_ALIAS, MADE
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.models import version
from tiltyard.registry.moving import identity, named
from tiltyard.registry.records import ModelRef, Promotion, Scalar
from tiltyard.registry.refusals import note_refusal
from tiltyard.registry.rollout import (
    BASELINE,
    OUTCOME,
    ROLLOUT,
    SETTINGS,
    SHARE,
    STEP,
    Rollout,
    after_own,
    begun,
    latest,
    standing,
    told_time,
)

__all__ = ["ROLLOUT", "Rollout", "advance", "give_back", "latest", "promote", "standing", "start", "tidy"]

_ATTEMPTS = 20


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
                    SETTINGS: settings.model_dump_json(),
                    SHARE: settings.shares[0],
                },
                expected=len(entries),
            )
        except ConflictError:
            continue
        return begun(entry)
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
    figures = {**evidence, STEP: step, SHARE: rollout.settings.shares[step], BASELINE: baseline or rollout.baseline}
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
        figures = {**(evidence or {}), OUTCOME: "promoting"}
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
    figures = {**(evidence or {}), OUTCOME: "returned"}
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
        figures: dict[str, Scalar] = {OUTCOME: found.outcome}
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
        figures: dict[str, Scalar] = {OUTCOME: "overtaken"}
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
        return after_own(now, entry)
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
        f"version {known.version} is being rolled out since {told_time(known.started)}; nothing was changed",
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
