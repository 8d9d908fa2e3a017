"""Promotion and rollback: the ways by which Tiltyard itself moves the alias `champion`."""

from collections.abc import Mapping

from tiltyard.errors import ConflictError, RegistryError
from tiltyard.project.gates import GatesSection
from tiltyard.registry.by_hand import ALLOW, settle
from tiltyard.registry.client import Registry
from tiltyard.registry.entry import Entry
from tiltyard.registry.history import State
from tiltyard.registry.ledger import Ledger
from tiltyard.registry.liveness import is_alive
from tiltyard.registry.models import version, versions
from tiltyard.registry.moving import Move, carry_out, close, finish, look, named
from tiltyard.registry.records import ModelRef, Promotion, Scalar, VersionInfo


def promote(  # noqa: PLR0913  # who, why, on what grounds, over whom, by which rules: a decision has that many sides
    ledger: Ledger,
    registry: Registry,
    number: int,
    *,
    actor: str,
    reason: str,
    expected_champion: int | None,
    evidence: Mapping[str, Scalar] | None = None,
    gates: GatesSection = ALLOW,
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
        gates: What the project says about moves by hand: one that is found here is recorded or put back first.

    Returns:
        What was done; nothing (`changed` is false) when the version is champion already.

    Raises:
        ConflictError: The champion is another than expected, or another promotion was faster or is under way.
        RegistryError: There is no such version, or MLflow cannot be reached or refuses.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    target = version(registry, ModelRef(name=ledger.project, version=number))
    move = Move("promoting", target, actor, reason, evidence or {})
    state, resumed = _prepare(ledger, registry, move, gates)
    if resumed is not None:
        return resumed
    if state.champion == number:
        return _unchanged(target.ref)
    if state.champion != expected_champion:
        raise ConflictError(
            f"version {number} was to replace {named(expected_champion)}, but the champion is "
            f"{named(state.champion)} by now; nothing was changed",
            where=ledger.project,
            cure="See `tiltyard history`, and promote again if it is still the better one.",
        )
    return _do(ledger, registry, move, state)


def rollback(
    ledger: Ledger,
    registry: Registry,
    *,
    actor: str,
    reason: str,
    evidence: Mapping[str, Scalar] | None = None,
    gates: GatesSection = ALLOW,
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
        gates: What the project says about moves by hand: one that is found here is recorded or put back first.

    Raises:
        ConflictError: Another promotion was faster or is under way.
        RegistryError: There is no version to return to, or MLflow cannot be reached or refuses.
        StorageError: The ledger's store cannot be reached or refuses.
    """
    state, resumed = _prepare(ledger, registry, None, gates)
    if resumed is not None:
        return resumed
    there = {info.ref.version: info for info in versions(registry, ledger.project)}
    good = next((there[number] for number in state.returnable if _is_there(state, there.get(number))), None)
    if good is None:
        raise RegistryError(
            f"there is no earlier champion than {named(state.champion)} to return to",
            where=ledger.project,
            cure="Promote a version by its number: `tiltyard promote VERSION`.",
        )
    return _do(ledger, registry, Move("rolling_back", good, actor, reason, evidence or {}), state)


def _is_there(state: State, info: VersionInfo | None) -> bool:
    """Whether a former champion is still in the registry, and no other version has its number."""
    return info is not None and state.is_same(info.ref.version, info.created)


def _prepare(
    ledger: Ledger, registry: Registry, move: Move | None, gates: GatesSection
) -> tuple[State, Promotion | None]:
    """Bring ledger and alias into agreement before a move.

    Args:
        ledger: The project's ledger.
        registry: The connection to MLflow.
        move: What is to be done; None for a rollback, whose goal depends on the state.
        gates: What the project says about moves by hand.

    Returns:
        The state, and what was done when the open entry was this very move.

    Raises:
        ConflictError: A promotion by a living process is under way.
    """
    state, found = look(ledger, registry)
    if state.open is not None:
        if is_alive(state.open, ledger.now()):
            raise _under_way(state.open)
        if _is_same(state.open, move):
            return state, _resume(ledger, registry, state.open)
        close(ledger, state.open, found)
    settled = settle(ledger, registry, gates)
    if settled.state is None:
        raise ConflictError(
            f"`{ledger.project}` is being changed by somebody else; nothing was changed by this call",
            where=ledger.project,
            cure="See `tiltyard history`, and decide anew.",
        )
    return settled.state, None


def _is_same(opened: Entry, move: Move | None) -> bool:
    """Whether an open entry is the move that is wanted now."""
    if move is None:
        return opened.kind == "rolling_back"
    return opened.kind == move.kind and opened.version == move.version


def _resume(ledger: Ledger, registry: Registry, opened: Entry) -> Promotion:
    """Finish a move that was interrupted."""
    assert opened.version is not None
    sentence = finish(ledger, registry, opened, resumed=True)
    ref = ModelRef(name=ledger.project, version=opened.version)
    return Promotion(ref=ref, replaced=opened.replaces, changed=True, sentence=sentence)


def _do(ledger: Ledger, registry: Registry, move: Move, state: State) -> Promotion:
    """Carry out a move."""
    assert move.target is not None
    sentence = carry_out(ledger, registry, move, state)
    return Promotion(ref=move.target.ref, replaced=state.champion, changed=True, sentence=sentence)


def _unchanged(ref: ModelRef) -> Promotion:
    """Say that there was nothing to do."""
    sentence = f"version {ref.version} is champion already; nothing was changed"
    return Promotion(ref=ref, replaced=ref.version, changed=False, sentence=sentence)


def _under_way(opened: Entry) -> ConflictError:
    return ConflictError(
        f"version {opened.version} is being made champion right now by {opened.actor} (since "
        f"{opened.time:%Y-%m-%d %H:%M:%S} UTC); nothing was changed",
        where=opened.project,
        cure="Wait a moment, see `tiltyard history`, and decide anew.",
    )
