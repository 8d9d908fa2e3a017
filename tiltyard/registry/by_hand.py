"""Moves of the alias `champion` that were made by hand in MLflow: recorded, or put back.

Wherever the alias is compared with the ledger, `settle` brings the two into agreement. What it does is decided by
`decide`, a pure function; what the project's policy is stands in its file (`gates.by_hand`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tiltyard.errors import ConflictError
from tiltyard.project.gates import GatesSection
from tiltyard.project.section import Section
from tiltyard.registry.client import Registry
from tiltyard.registry.entry import Entry, Kind
from tiltyard.registry.history import State
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.liveness import is_alive
from tiltyard.registry.models import set_tags, versions
from tiltyard.registry.moving import Move, carry_out, close, finish, identity, look
from tiltyard.registry.proof import Proof, find_proof
from tiltyard.registry.records import ModelRef, VersionInfo

ALLOW = GatesSection()
"""The policy where none is given: whatever was set by hand is recorded, and stays."""

BY_HAND = "a hand in MLflow"
"""Actor of a move that was made in MLflow: it does not tell who."""

POLICY = "tiltyard"
"""Actor of what follows from the project's policy."""

PUT_BACK = "tiltyard.put_back"
"""Tag of a version: why the alias that was set on it by hand was put back."""

_ROUNDS = 4
"""A move may take several: the model was made anew, and the alias then set on one of its versions."""


class Sight(Section):
    """Alias and ledger, side by side.

    Attributes:
        alias: Version with the alias; None when no version has it.
        champion: Champion by the ledger; None when there is none.
        champion_there: Whether that very version is still in the registry.
        any_there: Whether the registry has any version of the model.
        line: Whether the ledger knows any version to return to.
        by_hand: The project's policy.
        proof: What speaks for the version with the alias; None where nobody looked.
    """

    alias: int | None
    champion: int | None
    champion_there: bool
    any_there: bool
    line: bool
    by_hand: Literal["allow", "require_gate"]
    proof: Proof | None = None


class Decision(Section):
    """What becomes of a difference between alias and ledger.

    Attributes:
        kind: `agree`: there is none. `lost`: the champion was deleted. `emptied`: the whole model was. `record`: the
            alias stays where it was set. `put_back`: it returns to the ledger's champion.
        reason: Why, in words.
    """

    kind: Literal["agree", "lost", "emptied", "record", "put_back"]
    reason: str = ""


@dataclass(frozen=True)
class Settlement:
    """How alias and ledger stand afterwards.

    Attributes:
        state: Where the project stood by its ledger when the two were seen to agree; None when they do not agree yet,
            because somebody else is moving the alias: look again.
        done: What this call did about it, in words, in order.
    """

    state: State | None
    done: tuple[str, ...] = ()


def decide(sight: Sight) -> Decision:
    """Decide what becomes of a difference between alias and ledger.

    Args:
        sight: The two, side by side.
    """
    if not sight.any_there and (sight.line or sight.champion is not None):
        return Decision(kind="emptied", reason="the registered model was deleted in MLflow, with all its versions")
    if sight.champion is not None and not sight.champion_there:
        return Decision(kind="lost", reason=f"the champion, version {sight.champion}, was deleted in MLflow")
    if sight.alias == sight.champion:
        return Decision(kind="agree")
    return _decide_move(sight)


def _decide_move(sight: Sight) -> Decision:
    """Decide what becomes of an alias that a hand has moved."""
    way = "taken away" if sight.alias is None else "moved"
    moved = f"the alias was {way} in MLflow, not by a promotion"
    if sight.by_hand == "allow":
        return Decision(kind="record", reason=moved)
    policy = "the project's `gates.by_hand` is `require_gate`"
    if sight.alias is None:
        return Decision(kind="put_back", reason=f"the alias was taken away by hand, and {policy}")
    if sight.proof is not None and sight.proof.passed:
        return Decision(kind="record", reason=f"{moved}, to a version that has passed: {sight.proof.sentence}")
    why = sight.proof.sentence if sight.proof else "nothing speaks for it"
    reason = f"version {sight.alias} was set by hand and has not passed the gate ({why}); {policy}"
    return Decision(kind="put_back", reason=reason)


def settle(ledger: Ledger, registry: Registry, gates: GatesSection = ALLOW) -> Settlement:
    """Bring alias and ledger into agreement: record a move that was made by hand in MLflow, or put it back.

    However many look at the same moment, one of them writes the entry. A promotion that is under way is left alone.

    Args:
        ledger: The project's ledger.
        registry: The connection to MLflow.
        gates: What the project says about moves by hand.

    Raises:
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    done: list[str] = []
    for _ in range(_ROUNDS):
        try:
            state, over = _round(ledger, registry, gates, done)
        except ConflictError:  # somebody else is writing, this very entry perhaps; the next look will tell
            break
        if over:
            return Settlement(state, tuple(done))
    return Settlement(None, tuple(done))


def put_back(ledger: Ledger, registry: Registry, ref: ModelRef, reason: str) -> bool:
    """Take the alias away from a version that was set by hand and cannot be served.

    The alias returns to the champion that this version replaced; it is taken away when there was none.

    Args:
        ledger: The project's ledger.
        registry: The connection to MLflow.
        ref: The version; left alone when its alias was not set by hand, or has moved on.
        reason: Why, in words.

    Returns:
        Whether it was done; not when there was nothing to put back, or a promotion is under way.

    Raises:
        ConflictError: Somebody else is moving the alias; the next look will tell.
        RegistryError: MLflow cannot be reached or refuses.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    state, found = look(ledger, registry)
    if state.open is not None or found != ref.version or not is_by_hand(state, ref.version):
        return False
    _put_back(ledger, registry, state, found, reason)
    return True


def replaced_by(state: State, number: int | None) -> int | None:
    """Return the champion that a version set by hand replaces; None when there was none.

    Args:
        state: Where the project stands by its ledger, which may have noted the move already.
        number: Version with the alias.
    """
    if state.champion != number:
        return state.champion
    return state.since.replaces if state.since else None


def is_by_hand(state: State, number: int) -> bool:
    """Whether it was a hand, and no promotion, that put a version where the alias is.

    Args:
        state: Where the project stands by its ledger.
        number: Version with the alias.
    """
    if state.open is not None and state.open.version == number:
        return False
    return state.champion != number or (state.since is not None and state.since.kind == "set_by_hand")


def _round(ledger: Ledger, registry: Registry, gates: GatesSection, done: list[str]) -> tuple[State | None, bool]:
    """Take one difference away; return the state when there was none, and whether there is nothing more to do now."""
    state, found = look(ledger, registry)
    if state.open is not None:
        return None, not _ended(ledger, registry, state.open, found)
    there = {info.ref.version: info for info in versions(registry, ledger.project)}
    if found is not None and found not in there:
        raise ConflictError(f"the versions of `{ledger.project}` are being changed", where=ledger.project)
    sight = _sight(state, found, there, gates)
    if found is not None and decide(sight).kind == "put_back":
        sight = sight.model_copy(update={"proof": find_proof(ledger, registry, there[found])})
    decision = decide(sight)
    if decision.kind == "agree":
        return state, True
    if decision.kind == "put_back":
        _put_back(ledger, registry, state, found, decision.reason)
    else:
        _record(ledger, state, decision, there.get(found) if found is not None else None)
    done.append(decision.reason)
    return None, False


def _ended(ledger: Ledger, registry: Registry, opened: Entry, found: int | None) -> bool:
    """End a move whose process is gone, where it is known how; a promotion is left to the call that is made again."""
    if is_alive(opened, ledger.now()):
        return False
    if opened.kind == "putting_back":
        finish(ledger, registry, opened, resumed=True)
        return True
    if found in {opened.version, opened.replaces}:
        return False
    close(ledger, opened, found)
    return True


def _sight(state: State, found: int | None, there: Mapping[int, VersionInfo], gates: GatesSection) -> Sight:
    """Put alias and ledger side by side."""
    champion = there.get(state.champion) if state.champion is not None else None
    return Sight(
        alias=found,
        champion=state.champion,
        champion_there=champion is not None and state.is_same(champion.ref.version, champion.created),
        any_there=bool(there),
        line=bool(state.line),
        by_hand=gates.by_hand,
    )


def _record(ledger: Ledger, state: State, decision: Decision, aliased: VersionInfo | None) -> None:
    """Write down what was done in MLflow."""
    kind: Kind = "set_by_hand" if decision.kind == "record" else "deleted"
    version = state.champion if decision.kind == "lost" else aliased.ref.version if aliased else None
    ledger.append(
        kind,
        actor=BY_HAND,
        version=None if decision.kind == "emptied" else version,
        replaces=state.champion,
        reason=decision.reason,
        evidence=identity(aliased) if aliased and kind == "set_by_hand" else {},
        expected=state.sequence,
    )


def _put_back(ledger: Ledger, registry: Registry, state: State, found: int | None, reason: str) -> None:
    """Return the alias to the champion before, and say why on the version it was set on."""
    there = {info.ref.version: info for info in versions(registry, ledger.project)}
    before = replaced_by(state, found)
    goal = there.get(before) if before is not None else None
    if goal is not None and not state.is_same(goal.ref.version, goal.created):
        goal = None
    carry_out(ledger, registry, Move("putting_back", goal, POLICY, reason, {}, replaces=found), state)
    if found is not None and found in there:
        set_tags(registry, there[found].ref, {PUT_BACK: reason})
