"""`tiltyard approvals`, `approve` and `reject` as a person meets them."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Tiltyard
from tiltyard.registry.approvals import ask
from tiltyard.registry.ledger import Ledger
from tiltyard.storage.folder import FolderStore

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture
def ledger(project: Path) -> Ledger:
    """The project's ledger, in which version 4 waits."""
    ledger = Ledger(FolderStore(project / ".tiltyard" / "store"), "churn")
    ask(
        ledger,
        4,
        replaces=None,
        actor="run",
        question="The project wants it.",
        verdict="Better than luck.",
        hours=1,
        evidence={},
    )
    return ledger


def test_approvals_say_what_waits_and_how_to_decide(tiltyard: Tiltyard, ledger: Ledger) -> None:
    said = tiltyard("approvals")
    assert said.code == 0
    assert "The project wants it." in said.out
    assert 'tiltyard approve 4 --reason "…"' in said.out
    listed = json.loads(tiltyard("approvals", "--json").out)
    assert [(found["version"], found["standing"]) for found in listed] == [(4, "waiting")]
    assert ledger.entries()[-1].kind == "approval_wanted"


def test_nothing_waits(tiltyard: Tiltyard) -> None:
    assert tiltyard("approvals").out == "No version waits for a decision.\n"


def test_rejection_is_written_down(tiltyard: Tiltyard, ledger: Ledger) -> None:
    said = tiltyard("reject", "4", "--reason", "too slow")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("churn: version 4 was rejected by ada (")
    assert (ledger.entries()[-1].actor, ledger.entries()[-1].reason) == ("ada", "too slow")
    assert json.loads(tiltyard("reject", "4", "--reason", "too slow", "--json").out)["promotion"] is None


def test_version_that_does_not_wait_is_named(tiltyard: Tiltyard, ledger: Ledger) -> None:
    said = tiltyard("approve", "9", "--reason", "yes")
    assert said.code == 6
    assert "version 9 does not wait for a decision. These do: 4." in said.err
    assert tiltyard("approve", "4", "--reason", " ").code == 2
    assert len(ledger.entries()) == 1


def test_cool_down_that_is_no_number_is_a_sentence(tiltyard: Tiltyard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILTYARD_NOTIFY_COOLDOWN", "soon")
    said = tiltyard("approvals")
    assert said.code == 2
    assert said.err.startswith("tiltyard: TILTYARD_NOTIFY_COOLDOWN: input should be a valid number")
