"""The ledger: which version became champion when, by whom and why, as a chain that shows every later change.

An entry is one object, `ledger/<project>/<sequence>.json`, written with the store's compare-and-swap: of two that want
the same place exactly one gets it. Each carries the hash of the entry before, so that none can be edited, removed or
put between without `verify` naming the place. What cannot be seen from inside is the removal of the newest entries.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count

from tiltyard.errors import ConflictError, RegistryError
from tiltyard.project.section import Section
from tiltyard.registry.entry import NOTHING_BEFORE, Entry, Kind
from tiltyard.registry.history import State, fold, state_at
from tiltyard.registry.records import Scalar
from tiltyard.storage.base import Store

_ATTEMPTS = 20


class Damage(Section):
    """The first place where a ledger is not what was written.

    Attributes:
        sequence: Entry that was changed or removed.
        sentence: What is wrong with it.
    """

    sequence: int
    sentence: str


def utc_now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


class Ledger:
    """The ledger of one project. Entries once read are kept in memory: they never change.

    Args:
        store: Object store that holds it.
        project: Name of the project.
        clock: Source of the entries' times, with a time zone.
    """

    def __init__(self, store: Store, project: str, *, clock: Callable[[], datetime] = utc_now) -> None:
        self.project = project
        self._store = store
        self._folder = f"ledger/{project}"
        self._clock = clock
        self._known: dict[int, Entry] = {}

    def of(self, project: str) -> "Ledger":
        """Return the ledger of a project in the same store; this one when it is its own."""
        return self if project == self.project else Ledger(self._store, project, clock=self._clock)

    def now(self) -> datetime:
        """Return the present moment by the ledger's clock."""
        return self._clock()

    def append(
        self,
        kind: Kind,
        *,
        actor: str,
        version: int | None,
        replaces: int | None = None,
        reason: str = "",
        evidence: Mapping[str, Scalar] | None = None,
        expected: int | None = None,
    ) -> Entry:
        """Append an entry.

        Args:
            kind: What happened.
            actor: Who did it.
            version: Which version.
            replaces: Champion before, for entries that concern the alias.
            reason: Why, in words.
            evidence: Figures and names behind it; what is not finite is written as text.
            expected: Number of the entry this one must follow (0 for an empty ledger); None to follow whatever is
                last.

        Raises:
            ConflictError: Another entry has taken the place after `expected`; nothing was written.
            StorageError: The store cannot be reached, is full or refuses; nothing was written.
            RegistryError: The entry to follow cannot be read.
        """
        draft = Entry(
            sequence=0,
            time=self._clock(),
            actor=actor,
            kind=kind,
            project=self.project,
            version=version,
            replaces=replaces,
            reason=reason,
            evidence={key: _writable(value) for key, value in (evidence or {}).items()},
            previous=NOTHING_BEFORE,
        )
        for attempt in count(1):
            try:
                return self._write(draft, self._last() if expected is None else self._at(expected))
            except ConflictError as error:
                if expected is not None or attempt == _ATTEMPTS:
                    raise self._beaten(kind, version) from error
        raise AssertionError

    def entries(self) -> tuple[Entry, ...]:
        """Return every entry, in order.

        Raises:
            RegistryError: An entry cannot be read as one; names it.
        """
        return tuple(self._entry(sequence) for sequence in self._sequences())

    def state(self) -> State:
        """Return where the project stands: champion, versions to return to, a promotion under way."""
        return fold(self.entries())

    def champion(self) -> int | None:
        """Return the champion's version by the ledger; None when there is none."""
        return self.state().champion

    def champion_at(self, time: datetime) -> int | None:
        """Return the version that was champion at a moment; None when there was none.

        Args:
            time: The moment; taken as UTC when it has no time zone.
        """
        return self.state_at(time).champion

    def state_at(self, time: datetime) -> State:
        """Return where the project stood at a moment; its `since` says who put the champion there and why.

        Args:
            time: The moment; taken as UTC when it has no time zone.
        """
        return state_at(self.entries(), time if time.tzinfo else time.replace(tzinfo=UTC))

    def verify(self) -> Damage | None:
        """Read the ledger afresh and return the first place that was changed; None when it is whole."""
        contents = {sequence: self._store.read(self._key(sequence)) for sequence in self._sequences()}
        return check_chain(contents, self.project)

    def _key(self, sequence: int) -> str:
        """Return the key of an entry."""
        return f"{self._folder}/{sequence:08d}.json"

    def _sequences(self) -> list[int]:
        """Return the numbers of the entries there are."""
        names = (key.rsplit("/", 1)[-1].removesuffix(".json") for key in self._store.list(self._folder))
        return sorted(int(name) for name in names if name.isdigit())

    def _entry(self, sequence: int) -> Entry:
        """Return one entry, read once."""
        if sequence not in self._known:
            content = self._store.read(self._key(sequence))
            try:
                self._known[sequence] = Entry.from_bytes(content)
            except ValueError as error:
                raise RegistryError(
                    f"entry {sequence} of the ledger cannot be read: it was changed from outside",
                    where=self._key(sequence),
                    cure="See `tiltyard history --verify`; put the entry back from a copy of the store.",
                ) from error
        return self._known[sequence]

    def _last(self) -> Entry | None:
        """Return the latest entry."""
        sequences = self._sequences()
        return self._entry(sequences[-1]) if sequences else None

    def _at(self, sequence: int) -> Entry | None:
        """Return the entry to follow."""
        return self._entry(sequence) if sequence else None

    def _write(self, draft: Entry, last: Entry | None) -> Entry:
        """Write the entry that follows `last`; a clock that went back does not turn the order of times."""
        place: dict[str, object] = {"sequence": 1}
        if last is not None:
            place = {"sequence": last.sequence + 1, "previous": last.hash, "time": max(draft.time, last.time)}
        entry = draft.model_copy(update=place).sealed()
        self._store.create(self._key(entry.sequence), entry.to_bytes())
        self._known[entry.sequence] = entry
        return entry

    def _beaten(self, kind: Kind, version: int | None) -> ConflictError:
        """Say that another entry was faster."""
        return ConflictError(
            f"somebody else changed `{self.project}` at the same moment, so version {version} was not recorded as "
            f"`{kind}`; nothing was done",
            where=self._folder,
            cure="See `tiltyard history` and decide anew.",
        )


def check_chain(contents: Mapping[int, bytes], project: str) -> Damage | None:
    """Return the first place where a chain of entries is broken; None when it is whole.

    Args:
        contents: Bytes by sequence number.
        project: Project they belong to.
    """
    before: Entry | None = None
    for place in range(1, max(contents, default=0) + 1):
        if place not in contents:
            return Damage(sequence=place, sentence=f"entry {place} was removed")
        entry = _intact(contents[place], place, project)
        if entry is None:
            return Damage(sequence=place, sentence=f"entry {place} was edited: it does not match its own hash")
        if before is not None and entry.previous != before.hash:
            sentence = f"entry {place - 1} was replaced: entry {place} was written after another one"
            return Damage(sequence=place - 1, sentence=sentence)
        before = entry
    return None


def _intact(content: bytes, place: int, project: str) -> Entry | None:
    """Return the entry when its bytes are the ones that were written at this place."""
    try:
        entry = Entry.from_bytes(content)
    except ValueError:
        return None
    first_is_first = place > 1 or entry.previous == NOTHING_BEFORE
    belongs = entry.sequence == place and entry.project == project and first_is_first
    return entry if belongs and entry.hash == entry.content_hash() and entry.to_bytes() == content else None


def _writable(value: Scalar) -> Scalar:
    """Return a value as JSON can hold it."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
