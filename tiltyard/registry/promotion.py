"""Moving the alias `champion`, with the ledger as the judge of who may.

MLflow's alias lets the last writer win, so the ledger decides first. A move is three steps: an entry `promoting`
(written by compare-and-swap: of two that want the same place one gets it), the alias, and an entry `promoted`. Killed
between any two, the alias is the old champion or the new one, and the open entry says what was under way; the next
call finishes the same move, or settles another's by where the alias was found.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tiltyard.errors import ConflictError, RegistryError, TiltyardError
from tiltyard.registry.client import Registry
from tiltyard.registry.entry import Entry, Kind
from tiltyard.registry.history import State
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.liveness import is_alive, signature, unsigned
from tiltyard.registry.models import champion, set_alias, version, versions
from tiltyard.registry.records import CHAMPION, ModelRef, Promotion, Scalar

BY_HAND = "by hand"
"""Actor of a move that was made in MLflow: it does not tell who."""

_CLOSING: dict[Kind, Literal["promoted", "rolled_back"]] = {"promoting": "promoted", "rolling_back": "rolled_back"}
_LOOKS = 10
_WORDS = {"promoting": "promoted", "rolling_back": "restored"}


@dataclass(frozen=True)
class _Move:
    """What is to be done."""

    kind: Literal["promoting", "rolling_back"]
    ref: ModelRef
    actor: str
    reason: str
    evidence: Mapping[str, Scalar]
    replaces: int | None


def promote(
    ledger: Ledger,
    registry: Registry,
    number: int,
    *,
    actor: str,
    reason: str,
    expected_champion: int | None,
    evidence: Mapping[str, Scalar] | None = None,
) -> Promotion:
    """Make a version the champion.

    Args:
        ledger: The project's ledger.
        registry: The connection to MLflow.
        number: Version to promote.
        actor: Who promotes.
        reason: Why, in words.
        expected_champion: Champion that this decision was based on; None when there was none.
        evidence: Figures behind it.

    Returns:
        What was done; nothing (`changed` is false) when the version is champion already.

    Raises:
        ConflictError: The champion is another than expected, or another promotion was faster or is under way.
        RegistryError: There is no such version, or MLflow cannot be reached or refuses.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    ref = version(registry, ModelRef(name=ledger.project, version=number)).ref
    move = _Move("promoting", ref, actor, reason, evidence or {}, expected_champion)
    state, resumed = _settle(ledger, registry, move)
    if resumed is not None:
        return resumed
    if state.champion == number:
        return _unchanged(ref)
    if state.champion != expected_champion:
        raise ConflictError(
            f"version {number} was to replace {_named(expected_champion)}, but the champion is "
            f"{_named(state.champion)} by now; nothing was changed",
            where=ledger.project,
            cure="See `tiltyard history`, and promote again if it is still the better one.",
        )
    return _carry_out(ledger, registry, move, state)


def rollback(
    ledger: Ledger, registry: Registry, *, actor: str, reason: str, evidence: Mapping[str, Scalar] | None = None
) -> Promotion:
    """Make the last known good version the champion again.

    That is the latest earlier champion which was not itself rolled back from, was not refused by the model server, and
    is still in the registry. A second call goes one further back.

    Args:
        ledger: The project's ledger.
        registry: The connection to MLflow.
        actor: Who rolls back.
        reason: Why, in words.
        evidence: Figures behind it.

    Raises:
        ConflictError: Another promotion was faster or is under way.
        RegistryError: There is no version to return to, or MLflow cannot be reached or refuses.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    state, resumed = _settle(ledger, registry, None)
    if resumed is not None:
        return resumed
    there = {info.ref.version for info in versions(registry, ledger.project)}
    good = next((number for number in state.returnable if number in there), None)
    if good is None:
        raise RegistryError(
            f"there is no earlier champion than {_named(state.champion)} to return to",
            where=ledger.project,
            cure="Promote a version by its number: `tiltyard promote VERSION`.",
        )
    ref = ModelRef(name=ledger.project, version=good)
    move = _Move("rolling_back", ref, actor, reason, evidence or {}, state.champion)
    return _carry_out(ledger, registry, move, state)


def observe(ledger: Ledger, registry: Registry) -> Entry | None:
    """Record a move of the alias that was made by hand in MLflow.

    Returns:
        The entry written; None when alias and ledger agree, or a promotion is under way.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    try:
        state, found = _look(ledger, registry)
        agree = state.open is not None or found == state.champion
        return None if agree else _by_hand(ledger, state, found)
    except ConflictError:
        return None  # somebody else is writing, this very entry perhaps; the next look will tell


def _look(ledger: Ledger, registry: Registry) -> tuple[State, int | None]:
    """Return the ledger's state and the version of the alias, as they were at one moment.

    The alias is read between two looks at the ledger: when they agree and no move is open, none has moved the alias
    in between.

    Raises:
        ConflictError: The ledger changes at every look.
    """
    for _ in range(_LOOKS):
        state = ledger.state()
        found = _alias(registry, ledger.project)
        if ledger.state().sequence == state.sequence:
            return state, found
    raise ConflictError(
        f"`{ledger.project}` is being changed all the time; nothing was changed by this call",
        where=ledger.project,
        cure="See `tiltyard history`, and decide anew.",
    )


def _settle(ledger: Ledger, registry: Registry, move: _Move | None) -> tuple[State, Promotion | None]:
    """Bring ledger and alias into agreement before a move.

    Args:
        ledger: The project's ledger.
        registry: The connection to MLflow.
        move: What is to be done; None for a rollback, whose goal depends on the state.

    Returns:
        The state, and what was done when the open entry was this very move.

    Raises:
        ConflictError: A promotion by a living process is under way.
    """
    state, found = _look(ledger, registry)
    if state.open is not None:
        if is_alive(state.open, ledger.now()):
            raise _under_way(state.open)
        if _is_same(state.open, move):
            return state, _finish(ledger, registry, state.open, resumed=True)
        _close(ledger, state.open, found)
        state = ledger.state()
    if found != state.champion:
        _by_hand(ledger, state, found)
        state = ledger.state()
    return state, None


def _is_same(opened: Entry, move: _Move | None) -> bool:
    """Whether an open entry is the move that is wanted now."""
    if move is None:
        return opened.kind == "rolling_back"
    return opened.kind == move.kind and opened.version == move.ref.version


def _close(ledger: Ledger, opened: Entry, found: int | None) -> None:
    """End a move: it is done when the alias was moved, else it is abandoned."""
    done = found == opened.version
    ledger.append(
        _CLOSING[opened.kind] if done else "abandoned",
        actor=opened.actor,
        version=opened.version,
        replaces=opened.replaces,
        reason=opened.reason if done else "interrupted before the alias was moved",
        evidence={**unsigned(opened.evidence), "begun": opened.sequence},
        expected=opened.sequence,
    )


def _carry_out(ledger: Ledger, registry: Registry, move: _Move, state: State) -> Promotion:
    """Do a move: the intent, the alias, the completion."""
    with signature() as worker:
        opened = ledger.append(
            move.kind,
            actor=move.actor,
            version=move.ref.version,
            replaces=state.champion,
            reason=move.reason,
            evidence={**move.evidence, **worker},
            expected=state.sequence,
        )
        return _finish(ledger, registry, opened, resumed=False)


def _finish(ledger: Ledger, registry: Registry, opened: Entry, *, resumed: bool) -> Promotion:
    """Move the alias as an open entry says, and close the entry."""
    assert opened.version is not None
    ref = ModelRef(name=ledger.project, version=opened.version)
    if ledger.state().open != opened:
        raise _overtaken(ref)
    _move_alias(ledger, registry, opened, ref)
    try:
        _close(ledger, opened, ref.version)
    except ConflictError:
        _yield_to_ledger(ledger, registry, ref)
    instead = f" instead of {_named(opened.replaces)}" if opened.replaces is not None else ""
    after = ", after an interruption" if resumed else ""
    sentence = f"version {ref.version} was {_WORDS[opened.kind]} to champion{instead}{after}"
    return Promotion(ref=ref, replaced=opened.replaces, changed=True, sentence=sentence)


def _move_alias(ledger: Ledger, registry: Registry, opened: Entry, ref: ModelRef) -> None:
    """Move the alias; when MLflow refuses and the alias is seen to be where it was, the entry is closed as abandoned.

    Where the alias is cannot be seen either, the entry stays open: the next call will find out.
    """
    try:
        set_alias(registry, ref, CHAMPION)
    except RegistryError as error:
        try:
            found = _alias(registry, ledger.project)
        except RegistryError:
            raise _interrupted(error, ref) from error
        if found != ref.version:
            _close(ledger, opened, found)
            raise


def _yield_to_ledger(ledger: Ledger, registry: Registry, ref: ModelRef) -> None:
    """Settle who is champion after another process has closed this move, believing this one dead.

    It may have been closed as done, or as abandoned, with other moves after it. The alias, which this process may just
    have taken from a later champion, is put where the ledger has it.
    """
    while True:
        state = ledger.state()
        rightful = state.open.version if state.open else state.champion
        if rightful is not None:
            set_alias(registry, ModelRef(name=ledger.project, version=rightful), CHAMPION)
        if ledger.state().sequence == state.sequence:
            break
    if rightful != ref.version:
        raise _overtaken(ref)


def _by_hand(ledger: Ledger, state: State, found: int | None) -> Entry:
    """Record that the alias is not where the ledger has it."""
    return ledger.append(
        "set_by_hand",
        actor=BY_HAND,
        version=found,
        replaces=state.champion,
        reason="the alias was moved in MLflow, not by a promotion",
        expected=state.sequence,
    )


def _alias(registry: Registry, name: str) -> int | None:
    """Return the version the alias points to."""
    ref = champion(registry, name)
    return ref.version if ref else None


def _unchanged(ref: ModelRef) -> Promotion:
    """Say that there was nothing to do."""
    sentence = f"version {ref.version} is champion already; nothing was changed"
    return Promotion(ref=ref, replaced=ref.version, changed=False, sentence=sentence)


def _named(number: int | None) -> str:
    """Name a champion."""
    return "no champion" if number is None else f"version {number}"


def _under_way(opened: Entry) -> ConflictError:
    return ConflictError(
        f"version {opened.version} is being made champion right now by {opened.actor} (since "
        f"{opened.time:%Y-%m-%d %H:%M:%S} UTC); nothing was changed",
        where=opened.project,
        cure="Wait a moment, see `tiltyard history`, and decide anew.",
    )


def _overtaken(ref: ModelRef) -> ConflictError:
    return ConflictError(
        f"the move of the alias to {ref} took so long that somebody else settled it in between",
        where=ref.name,
        cure="See `tiltyard history` and decide anew.",
    )


def _interrupted(error: TiltyardError, ref: ModelRef) -> RegistryError:
    return RegistryError(
        f"{error.what}; whether {ref} is champion is not known yet",
        where=error.where,
        cure="When MLflow answers again, run the same command: it finishes what was begun.",
    )
