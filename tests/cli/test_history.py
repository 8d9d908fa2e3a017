"""`tiltyard history`: what happened, who was champion when, and whether the record is whole."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Tiltyard
from tiltyard.registry.ledger import Ledger
from tiltyard.storage.folder import FolderStore

START = datetime(2026, 11, 17, 12, 0, tzinfo=UTC)


def _hours() -> Iterator[datetime]:
    moment = START
    while True:
        yield moment
        moment += timedelta(hours=1)


@pytest.fixture
def ledger(project: Path) -> Ledger:
    """Version 1 promoted at 12:00, version 2 at 14:00 after being judged at 13:00."""
    clock = _hours()
    ledger = Ledger(FolderStore(project / ".tiltyard" / "store"), "churn", clock=lambda: next(clock))
    ledger.append("promoted", actor="ada", version=1, reason="the first")
    ledger.append("judged", actor="ada", version=2, reason="better by 2 points")
    ledger.append("promoted", actor="grace", version=2, replaces=1, reason="better by 2 points")
    return ledger


@pytest.mark.usefixtures("ledger")
def test_the_history_shows_every_entry(tiltyard: Tiltyard) -> None:
    said = tiltyard("history")
    assert said.code == 0
    for words in ("2026-11-17 12:00:00", "promoted", "judged", "grace", "better by 2 points", "the first"):
        assert words in said.out


def test_before_anything_happened_it_says_what_to_do(tiltyard: Tiltyard) -> None:
    assert tiltyard("history").out == "Nothing has happened yet. `tiltyard train` makes the first version.\n"
    assert json.loads(tiltyard("history", "--json").out) == []


def test_an_intent_that_was_ended_is_left_to_the_machines(tiltyard: Tiltyard, ledger: Ledger) -> None:
    begun = ledger.append("promoting", actor="ada", version=3, replaces=2, reason="by hand")
    assert "promoting" in tiltyard("history").out
    ledger.append("promoted", actor="ada", version=3, replaces=2, reason="by hand", evidence={"begun": begun.sequence})
    assert "promoting" not in tiltyard("history").out
    assert "promoting" in tiltyard("history", "--json").out


@pytest.mark.usefixtures("ledger")
def test_a_reason_is_told_once(tiltyard: Tiltyard) -> None:
    said = tiltyard("history").out
    assert said.count("better by 2 points") == 1
    assert "as in # 2" in said


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("at", "sentences"),
    [
        ("2026-11-17T11:59", ["churn had no champion at 2026-11-17 11:59:00 UTC"]),
        (
            "2026-11-17T13:30",
            ["churn version 1 was champion at", "Put there by ada at 2026-11-17 12:00:00 UTC: the first"],
        ),
        ("2026-11-17T16:30+02:00", ["churn version 2 was champion at 2026-11-17 14:30:00 UTC", "Put there by grace"]),
        ("2026-11-18", ["version 2 was champion at 2026-11-18 00:00:00 UTC"]),
    ],
)
def test_it_knows_who_was_champion_when(tiltyard: Tiltyard, at: str, sentences: list[str]) -> None:
    said = tiltyard("history", "--at", at)
    assert said.code == 0
    for sentence in sentences:
        assert sentence in said.out


@pytest.mark.usefixtures("ledger")
def test_machines_get_json(tiltyard: Tiltyard) -> None:
    entries = json.loads(tiltyard("history", "--json").out)
    assert [entry["kind"] for entry in entries] == ["promoted", "judged", "promoted"]
    moment = json.loads(tiltyard("history", "--at", "2026-11-17T13:30", "--json").out)
    assert (moment["champion"], moment["since"]["actor"]) == (1, "ada")


def test_verify_says_when_the_record_is_whole_and_when_not(tiltyard: Tiltyard, ledger: Ledger, project: Path) -> None:
    assert "Verified: none of the 3 entries was changed or removed." in tiltyard("history", "--verify").out
    entry = project / ".tiltyard" / "store" / "ledger" / ledger.project / "00000002.json"
    entry.write_bytes(entry.read_bytes().replace(b"2 points", b"9 points"))
    said = tiltyard("history", "--verify")
    assert said.code == 6
    assert "entry 2" in said.err
    assert "was edited" in said.err
