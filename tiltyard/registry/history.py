"""What the entries of a ledger add up to. Pure functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from tiltyard.registry.entry import Entry

OPENING = ("promoting", "rolling_back", "putting_back")
_CLOSING = ("promoted", "rolled_back", "put_back", "abandoned")
MOVES = ("promoted", "rolled_back", "put_back", "set_by_hand")
"""Kinds that say who is champion from then on."""

ABOUT_ALIAS = (*OPENING, *_CLOSING, *MOVES, "deleted")
"""Kinds that concern the alias."""

BUNDLE = "bundle"
"""Evidence: digest of the version's bundle."""

MADE = "made"
"""Evidence: when the version was made, milliseconds since 1970; tells it from a later one of the same number."""


@dataclass(frozen=True)
class State:
    """Where a project stands after some entries.

    Attributes:
        last: Latest entry; None for an empty ledger.
        champion: Champion by the ledger; None when there is none.
        line: Versions that were champion and stay good to return to, oldest first, the champion among them.
        open: A promotion or rollback that was begun and not ended; None when there is none.
        since: Entry that made the champion, or took it away; None when there never was one.
        made: When the champions were made, by version, as far as the ledger knows.
    """

    last: Entry | None = None
    champion: int | None = None
    line: tuple[int, ...] = ()
    open: Entry | None = None
    since: Entry | None = None
    made: Mapping[int, int] = field(default_factory=dict)

    @property
    def sequence(self) -> int:
        """Number of the latest entry; 0 for an empty ledger."""
        return self.last.sequence if self.last else 0

    @property
    def returnable(self) -> tuple[int, ...]:
        """Versions a rollback may go to, the last known good first."""
        return tuple(version for version in reversed(self.line) if version != self.champion)

    def is_same(self, version: int, made: int) -> bool:
        """Whether a version of the registry is the one of that number that was champion.

        Args:
            version: Its number.
            made: When it was made, milliseconds since 1970.
        """
        return self.made.get(version, made) == made


def fold(entries: Iterable[Entry]) -> State:
    """Add entries up, in order."""
    state = State()
    for entry in entries:
        state = _after(state, entry)
    return state


def state_at(entries: Iterable[Entry], time: datetime) -> State:
    """Add up the entries written until a moment.

    Args:
        entries: Entries in order.
        time: A moment with a time zone; entries of exactly this moment count.
    """
    return fold(entry for entry in entries if entry.time <= time)


def _after(state: State, entry: Entry) -> State:
    """Return the state after one more entry."""
    state = replace(state, last=entry)
    if entry.kind in OPENING:
        return replace(state, open=entry)
    if entry.kind in _CLOSING:
        state = replace(state, open=None)
    if entry.kind == "refused":
        return replace(state, line=tuple(version for version in state.line if version != entry.version))
    if entry.kind == "deleted":
        return _after_loss(state, entry)
    if entry.kind not in MOVES:
        return state
    since = state.since if entry.kind == "put_back" and entry.version == state.champion else entry
    made = dict(state.made)
    if entry.version is not None and isinstance(known := entry.evidence.get(MADE), int):
        made[entry.version] = known
    return replace(state, champion=entry.version, line=_line_after(state.line, entry), since=since, made=made)


def _after_loss(state: State, entry: Entry) -> State:
    """Return the state after a version, or for None the whole model, is gone: its number may come again."""
    lost = set(state.line) if entry.version is None else {entry.version}
    state = replace(
        state,
        line=tuple(version for version in state.line if version not in lost),
        made={version: made for version, made in state.made.items() if version not in lost},
    )
    if entry.version is None or entry.version == state.champion:
        return replace(state, champion=None, since=entry)
    return state


def _line_after(line: tuple[int, ...], entry: Entry) -> tuple[int, ...]:
    """Return the line of good champions after a move: a rollback cuts it off, any other move makes it longer."""
    if entry.version is None:
        return line
    if entry.kind == "rolled_back" and entry.version in line:
        return line[: len(line) - line[::-1].index(entry.version)]
    return line if line[-1:] == (entry.version,) else (*line, entry.version)
