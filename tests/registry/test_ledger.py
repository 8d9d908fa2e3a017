import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiltyard.errors import ConflictError, RegistryError
from tiltyard.registry.entry import Entry, Kind
from tiltyard.registry.history import MOVES, fold
from tiltyard.registry.ledger import Ledger, check_chain
from tiltyard.storage.folder import FolderStore

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
KINDS: tuple[Kind, ...] = ("registered", "judged", "promoting", "promoted", "rolled_back", "refused", "set_by_hand")

scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats() | st.text(max_size=20)
drafts = st.lists(
    st.tuples(st.sampled_from(KINDS), st.integers(1, 4), st.dictionaries(st.text(max_size=8), scalars, max_size=3)),
    max_size=8,
)


class Clock:
    """A clock that goes on an hour at every look."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        self.time += timedelta(hours=1)
        return self.time


def filled(folder: Path, *kinds: Kind) -> Ledger:
    """Return a ledger in which version 1, 2, 3… went through these kinds."""
    ledger = Ledger(FolderStore(folder), "churn", clock=Clock())
    for number, kind in enumerate(kinds, start=1):
        ledger.append(kind, actor="ada", version=number, reason="better", evidence={"gain": 0.02})
    return ledger


def test_entries_come_back_as_written(tmp_path: Path) -> None:
    written = filled(tmp_path, "registered", "promoted").entries()
    assert Ledger(FolderStore(tmp_path), "churn").entries() == written
    assert [entry.sequence for entry in written] == [1, 2]
    assert written[1].previous == written[0].hash
    assert written[0].time == NOON + timedelta(hours=1)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(drafts=drafts)
def test_any_entries_form_a_whole_chain(drafts: list[tuple[Kind, int, dict[str, object]]]) -> None:
    contents: dict[int, bytes] = {}
    before: Entry | None = None
    for place, (kind, version, evidence) in enumerate(drafts, start=1):
        draft = {
            "sequence": place,
            "time": NOON,
            "actor": "ada",
            "kind": kind,
            "project": "churn",
            "version": version,
            "evidence": {key: str(value) if isinstance(value, float) else value for key, value in evidence.items()},
            "previous": before.hash if before else "0" * 64,
        }
        before = Entry.model_validate(draft).sealed()
        contents[place] = before.to_bytes()
        assert Entry.from_bytes(contents[place]) == before
    assert check_chain(contents, "churn") is None
    champions = [version for kind, version, _ in drafts if kind in MOVES]
    assert fold(map(Entry.from_bytes, contents.values())).champion == (champions[-1] if champions else None)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_named(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    contents = {entry.sequence: entry.to_bytes() for entry in filled(tmp_path_factory.mktemp("l"), *KINDS).entries()}
    place = data.draw(st.sampled_from(sorted(contents)))
    byte = data.draw(st.integers(0, len(contents[place]) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != contents[place][byte]))
    contents[place] = contents[place][:byte] + bytes([value]) + contents[place][byte + 1 :]
    damage = check_chain(contents, "churn")
    assert damage is not None
    assert damage.sequence == place


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize("field", ["actor", "version", "reason", "time", "evidence"])
def test_an_edited_entry_is_named_even_with_a_new_hash(tmp_path: Path, place: int, field: str) -> None:
    ledger = filled(tmp_path, "promoted", "promoted", "promoted", "judged")
    values = {"actor": "eve", "version": 9, "reason": "x", "time": "2020-01-01T00:00:00Z", "evidence": {"gain": 1.0}}
    file = tmp_path / f"ledger/churn/{place:08d}.json"
    edited = Entry.from_bytes(json.dumps({**json.loads(file.read_bytes()), field: values[field]}).encode())
    file.write_bytes(edited.to_bytes())
    damage = ledger.verify()
    assert damage is not None
    assert damage.sequence == place
    file.write_bytes(edited.sealed().to_bytes())
    damage = ledger.verify()
    assert damage is not None
    assert damage.sequence == place
    assert str(place) in damage.sentence


def test_a_removed_entry_is_named(tmp_path: Path) -> None:
    ledger = filled(tmp_path, "promoted", "promoted", "promoted")
    (tmp_path / "ledger/churn/00000002.json").unlink()
    damage = ledger.verify()
    assert damage is not None
    assert damage.sequence == 2
    assert "removed" in damage.sentence


def test_an_entry_of_another_project_is_named(tmp_path: Path) -> None:
    filled(tmp_path, "promoted")
    content = (tmp_path / "ledger/churn/00000001.json").read_bytes()
    damage = check_chain({1: content}, "fraud")
    assert damage is not None
    assert damage.sequence == 1


def test_a_lost_race_says_what_to_do(tmp_path: Path) -> None:
    ledger = filled(tmp_path, "promoted")
    with pytest.raises(ConflictError, match=r"somebody else changed `churn` .* See `tiltyard history`"):
        ledger.append("judged", actor="ada", version=2, expected=0)


def test_an_unreadable_entry_is_an_error_that_names_it(tmp_path: Path) -> None:
    filled(tmp_path, "promoted")
    (tmp_path / "ledger/churn/00000001.json").write_text("{")
    with pytest.raises(RegistryError, match="entry 1 of the ledger cannot be read"):
        Ledger(FolderStore(tmp_path), "churn").champion()


def test_of_many_at_once_exactly_one_wins_each_place(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    barrier = Barrier(8)

    def attempt(number: int) -> int:
        ledger = Ledger(store, "churn")
        barrier.wait()
        try:
            return ledger.append("judged", actor="ada", version=number, expected=0).sequence
        except ConflictError:
            return 0

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(attempt, range(8))) == [0] * 7 + [1]


def test_unconditional_entries_at_once_all_find_a_place(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)

    def attempt(number: int) -> int:
        return Ledger(store, "churn").append("judged", actor="ada", version=number).sequence

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(attempt, range(18))) == list(range(1, 19))
    assert Ledger(store, "churn").verify() is None


def test_champion_at_a_moment(tmp_path: Path) -> None:
    ledger = filled(tmp_path, "promoted", "registered", "promoted", "rolled_back")
    assert ledger.champion_at(NOON) is None
    assert ledger.champion_at(NOON + timedelta(hours=1)) == 1
    assert ledger.champion_at(NOON + timedelta(hours=2, minutes=59)) == 1
    assert ledger.champion_at((NOON + timedelta(hours=3)).replace(tzinfo=None)) == 3
    since = ledger.state_at(NOON + timedelta(hours=3)).since
    assert since is not None
    assert (since.actor, since.reason) == ("ada", "better")


def test_a_clock_that_goes_back_does_not_turn_the_order(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    Ledger(store, "churn", clock=lambda: NOON).append("promoted", actor="ada", version=1)
    late = Ledger(store, "churn", clock=lambda: NOON - timedelta(hours=1)).append("promoted", actor="bo", version=2)
    assert late.time == NOON
    assert Ledger(store, "churn").verify() is None


@pytest.mark.parametrize(
    ("history", "returnable"),
    [
        ([("promoted", 1)], ()),
        ([("promoted", 1), ("promoted", 2)], (1,)),
        ([("promoted", 1), ("promoted", 2), ("promoted", 3), ("rolled_back", 2)], (1,)),
        ([("promoted", 1), ("promoted", 2), ("refused", 1)], ()),
        ([("promoted", 1), ("promoted", 2), ("refused", 2)], (1,)),
        ([("promoted", 1), ("promoted", 2), ("set_by_hand", None)], (2, 1)),
        ([("promoted", 1), ("set_by_hand", 4)], (1,)),
        ([("promoted", 1), ("promoting", 2), ("abandoned", 2)], ()),
    ],
)
def test_where_a_rollback_may_go(
    tmp_path: Path, history: list[tuple[Kind, int | None]], returnable: tuple[int, ...]
) -> None:
    ledger = Ledger(FolderStore(tmp_path), "churn")
    for kind, version in history:
        ledger.append(kind, actor="ada", version=version)
    assert ledger.state().returnable == returnable
