"""One move of the alias `champion`: how it is begun, done, ended, and settled when it was interrupted.

MLflow's alias lets the last writer win, so the ledger decides first. A move is three steps: an entry that says what is
about to be done (written by compare-and-swap: of two that want the same place one gets it), the alias, and an entry
that it is done. Killed between any two, the alias is where it was or where it should be, and the open entry says what
was under way; whoever comes next finishes the same move, or settles another's by where the alias was found.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tiltyard.errors import ConflictError, RegistryError, TiltyardError
from tiltyard.registry.client import Registry
from tiltyard.registry.entry import Entry, Kind
from tiltyard.registry.history import ABOUT_ALIAS, BUNDLE, MADE, State
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.liveness import signature, unsigned
from tiltyard.registry.models import champion, remove_alias, set_alias
from tiltyard.registry.records import BUNDLE_DIGEST, CHAMPION, ModelRef, Scalar, VersionInfo

_CLOSING: dict[Kind, Literal["promoted", "rolled_back", "put_back"]] = {
    "promoting": "promoted",
    "rolling_back": "rolled_back",
    "putting_back": "put_back",
}
_LOOKS = 10
_WORDS = {"promoting": "promoted", "rolling_back": "restored", "putting_back": "put back"}


@dataclass(frozen=True)
class Move:
    """What is to be done.

    Attributes:
        kind: Opening kind of the ledger's entry.
        target: Version that becomes champion; None to take the alias away.
        actor: Who does it.
        reason: Why, in words.
        evidence: Figures behind it.
        replaces: For `putting_back`, the version that the alias was set to by hand; None when it was taken away. Any
            other move replaces the ledger's champion.
    """

    kind: Literal["promoting", "rolling_back", "putting_back"]
    target: VersionInfo | None
    actor: str
    reason: str
    evidence: Mapping[str, Scalar]
    replaces: int | None = None

    @property
    def version(self) -> int | None:
        """Number of the version that becomes champion."""
        return self.target.ref.version if self.target else None


def identity(info: VersionInfo) -> dict[str, Scalar]:
    """Return evidence by which a version is known again: numbers begin anew when a model is deleted and made again."""
    bundle = info.tags.get(BUNDLE_DIGEST)
    return {MADE: info.created} | ({BUNDLE: bundle} if bundle else {})


def look(ledger: Ledger, registry: Registry) -> tuple[State, int | None]:
    """Return the ledger's state and the version of the alias, as they were at one moment.

    The alias is read between two looks at the ledger: when they agree and no move is open, none has moved the alias
    in between.

    Raises:
        ConflictError: The ledger changes at every look.
    """
    for _ in range(_LOOKS):
        state = ledger.state()
        found = alias(registry, ledger.project)
        if ledger.state().sequence == state.sequence:
            return state, found
    raise _restless(ledger)


def close(ledger: Ledger, opened: Entry, found: int | None) -> None:
    """End a move: it is done when the alias was moved, else it is abandoned.

    Raises:
        ConflictError: Somebody else has ended it.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    done = found == opened.version
    for _ in range(_LOOKS):
        state = ledger.state()
        if state.open != opened:
            break
        try:
            ledger.append(
                _CLOSING[opened.kind] if done else "abandoned",
                actor=opened.actor,
                version=opened.version,
                replaces=opened.replaces,
                reason=opened.reason if done else "interrupted before the alias was moved",
                evidence={**unsigned(opened.evidence), "begun": opened.sequence},
                expected=state.sequence,
            )
        except ConflictError:  # of another kind perhaps: a version was registered meanwhile
            continue
        return
    raise _overtaken(opened)


def carry_out(ledger: Ledger, registry: Registry, move: Move, state: State) -> str:
    """Do a move, the intent, the alias and the completion, and return what was done in words.

    Raises:
        ConflictError: Somebody else has moved the alias since `state`, or settled this move meanwhile.
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    with signature() as worker:
        return finish(ledger, registry, _open(ledger, move, state, worker), resumed=False)


def _open(ledger: Ledger, move: Move, state: State, worker: Mapping[str, Scalar]) -> Entry:
    """Write the intent, unless anybody has moved the alias since `state`; entries of other kinds do not matter."""
    sequence = state.sequence
    for _ in range(_LOOKS):
        try:
            return ledger.append(
                move.kind,
                actor=move.actor,
                version=move.version,
                replaces=state.champion if move.kind != "putting_back" else move.replaces,
                reason=move.reason,
                evidence={**move.evidence, **(identity(move.target) if move.target else {}), **worker},
                expected=sequence,
            )
        except ConflictError:
            entries = ledger.entries()
            if any(entry.kind in ABOUT_ALIAS for entry in entries[state.sequence :]):
                raise
            sequence = len(entries)
    raise _restless(ledger)


def finish(ledger: Ledger, registry: Registry, opened: Entry, *, resumed: bool) -> str:
    """Move the alias as an open entry says, close the entry, and return what was done in words.

    Raises:
        ConflictError: Somebody else has settled it.
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    if ledger.state().open != opened:
        raise _overtaken(opened)
    _move_alias(ledger, registry, opened)
    try:
        close(ledger, opened, opened.version)
    except ConflictError:
        _yield_to_ledger(ledger, registry, opened)
    instead = f" instead of {named(opened.replaces)}" if opened.replaces is not None else ""
    after = ", after an interruption" if resumed else ""
    return f"{named(opened.version)} was {_WORDS[opened.kind]} to champion{instead}{after}"


def _move_alias(ledger: Ledger, registry: Registry, opened: Entry) -> None:
    """Move the alias; when MLflow refuses and the alias is seen to be where it was, the entry is closed as abandoned.

    Where the alias is cannot be seen either, the entry stays open: the next call will find out. What is put back is the
    one move that was judged: an alias that a hand has moved on meanwhile stays where it is.
    """
    if opened.kind == "putting_back":
        found = alias(registry, ledger.project)
        if found not in {opened.replaces, opened.version}:
            close(ledger, opened, found)
            raise _overtaken(opened)
    try:
        _point(registry, ledger.project, opened.version)
    except RegistryError as error:
        try:
            found = alias(registry, ledger.project)
        except RegistryError:
            raise _interrupted(error, opened) from error
        if found != opened.version:
            close(ledger, opened, found)
            raise


def _point(registry: Registry, name: str, number: int | None) -> None:
    """Point the alias at a version, or take it away."""
    if number is None:
        remove_alias(registry, name, CHAMPION)
    else:
        set_alias(registry, ModelRef(name=name, version=number), CHAMPION)


def _yield_to_ledger(ledger: Ledger, registry: Registry, opened: Entry) -> None:
    """Settle who is champion after another process has closed this move, believing this one dead.

    It may have been closed as done, or as abandoned, with other moves after it. The alias, which this process may just
    have taken from a later champion, is put where the ledger has it.
    """
    while True:
        state = ledger.state()
        rightful = state.open.version if state.open else state.champion
        if rightful is not None:
            _point(registry, ledger.project, rightful)
        if ledger.state().sequence == state.sequence:
            break
    if rightful != opened.version:
        raise _overtaken(opened)


def alias(registry: Registry, name: str) -> int | None:
    """Return the version the alias points to."""
    ref = champion(registry, name)
    return ref.version if ref else None


def named(number: int | None) -> str:
    """Name a champion."""
    return "no champion" if number is None else f"version {number}"


def _restless(ledger: Ledger) -> ConflictError:
    return ConflictError(
        f"`{ledger.project}` is being changed all the time; nothing was changed by this call",
        where=ledger.project,
        cure="See `tiltyard history`, and decide anew.",
    )


def _overtaken(opened: Entry) -> ConflictError:
    return ConflictError(
        f"the move of the alias to {named(opened.version)} took so long that somebody else settled it in between",
        where=opened.project,
        cure="See `tiltyard history` and decide anew.",
    )


def _interrupted(error: TiltyardError, opened: Entry) -> RegistryError:
    return RegistryError(
        f"{error.what}; whether {opened.project} {named(opened.version)} is champion is not known yet",
        where=error.where,
        cure="When MLflow answers again, run the same command: it finishes what was begun.",
    )
