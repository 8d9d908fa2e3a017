"""`tiltyard rollout` as a person meets it, and what `status`, `history` and `rollback` make of a rollout."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import PROJECT, Tiltyard
from tiltyard.evaluation.evidence import ArmCounts, Evidence
from tiltyard.registry import models, promotion, rollouts
from tiltyard.registry.rollout import Rollout, latest
from tiltyard.steps.place import Place, open_place

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture(scope="module")
def pattern(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose version 2 is champion after version 1; version 3 is there."""
    folder = tmp_path_factory.mktemp("pattern")
    (folder / "tiltyard.yaml").write_text(PROJECT, encoding="utf-8")
    place = open_place(folder)
    place.registry.client.create_registered_model("churn")
    for _ in range(3):
        place.registry.client.create_model_version("churn", source="file:///nowhere")
    for version, before in ((1, None), (2, 1)):
        promotion.promote(place.ledger, place.registry, version, actor="eve", reason="won", expected_champion=before)
    return folder


@pytest.fixture
def place(pattern: Path, project: Path) -> Place:
    """The pattern in the project's folder."""
    shutil.copytree(pattern / ".tiltyard", project / ".tiltyard")
    return open_place(project)


def champion(place: Place) -> int | None:
    found = models.champion(place.registry, "churn")
    return found.version if found else None


def found(place: Place) -> Rollout:
    rollout = latest(place.ledger.entries())
    assert rollout is not None
    return rollout


def test_a_canary_is_started_followed_and_promoted(tiltyard: Tiltyard, place: Place) -> None:
    started = tiltyard("rollout", "start", "3", "--reason", "review")
    assert (started.code, started.err) == (0, "")
    assert started.out.startswith("churn: version 3 answers 0.01 of the requests instead of version 2, step 1 of 4")
    assert tiltyard("rollout", "start", "3").code == 0
    assert tiltyard("rollout", "start", "1").code == 7
    said = tiltyard("rollout", "status")
    assert "not settled: there were no requests of the candidate, and 50 are needed" in said.out
    assert "version 3 answers 0.01" in " ".join(tiltyard("status").out.split())
    assert json.loads(tiltyard("status", "--json").out)["projects"][0]["rollout"]["version"] == 3
    done = tiltyard("rollout", "promote", "--reason", "seen enough")
    assert done.out == "churn: version 3 was promoted to champion instead of version 2.\n"
    assert champion(place) == 3
    assert "has passed its rollout and is champion: seen enough" in tiltyard("rollout", "status").out
    told = tiltyard("history").out
    assert "rollout started" in told
    assert "rollout ended" in told


def test_status_tells_what_the_servers_see(tiltyard: Tiltyard, place: Place) -> None:
    tiltyard("rollout", "start", "3", "--strategy", "blue_green")
    rollout = found(place)
    seen = Evidence(rollout=rollout.sequence, step=0, candidate=ArmCounts(requests=40, errors=2))
    place.store.write(f"rollouts/churn/{rollout.sequence}/a.json", seen.model_dump_json().encode())
    told = json.loads(tiltyard("rollout", "status", "--json").out)
    assert (told["version"], told["share"], told["is_standing"]) == (3, 1.0, True)
    assert told["evidence"]["candidate"]["requests"] == 40
    assert (told["decision"]["kind"], told["decision"]["sentence"]) == (
        "wait",
        "not settled: 40 of 300 requests of the candidate",
    )


def test_return_refuses_the_candidate_and_watching_ends_with_its_own_code(tiltyard: Tiltyard, place: Place) -> None:
    tiltyard("rollout", "start", "3", "--strategy", "shadow")
    said = tiltyard("rollout", "return", "--reason", "customers complain")
    assert said.out == ("churn: the rollout of version 3 has ended and did not make it champion: customers complain.\n")
    assert (champion(place), found(place).ended_by) == (2, "ada")
    assert tiltyard("rollout", "status").code == 0
    assert tiltyard("rollout", "status", "--watch").code == 11
    assert tiltyard("rollout", "return", "--reason", "again").code == 6


def test_rollback_returns_a_rollout_and_moves_the_champion_only_without_one(tiltyard: Tiltyard, place: Place) -> None:
    tiltyard("rollout", "start", "3")
    said = tiltyard("rollback", "--reason", "it is wrong")
    assert "the rollout of version 3 has ended and did not make it champion: it is wrong" in said.out
    assert (champion(place), found(place).outcome) == (2, "returned")
    assert tiltyard("rollback").code == 0
    assert champion(place) == 1


def test_a_promotion_of_another_version_ends_the_rollout(tiltyard: Tiltyard, place: Place) -> None:
    tiltyard("rollout", "start", "3")
    assert tiltyard("promote", "1", "--reason", "back to the first").code == 0
    assert (found(place).outcome, found(place).noted) == ("overtaken", True)
    assert "the champion became version 1 meanwhile, by ada: back to the first" in tiltyard("rollout", "status").out


def test_what_cannot_be_done_is_said(tiltyard: Tiltyard, place: Place) -> None:
    assert tiltyard("rollout", "status").out.startswith("No version was ever rolled out")
    assert json.loads(tiltyard("rollout", "status", "--json").out) is None
    nothing = tiltyard("rollout", "promote", "--reason", "now")
    assert (nothing.code, "no rollout is under way" in nothing.err) == (6, True)
    assert tiltyard("rollout", "start", "2").code == 2
    assert tiltyard("rollout", "start", "9").code == 6
    assert tiltyard("rollout", "start", "3", "--strategy", "direct").code == 2
    assert tiltyard("rollout", "start", "3", "--watch", "--json").code == 2
    assert len(place.ledger.entries()) == 4


def test_a_rollout_of_its_own_making_is_kept_out_of_the_promotions(tiltyard: Tiltyard, place: Place) -> None:
    tiltyard("rollout", "start", "3")
    rollout = found(place)
    rollouts.give_back(place.ledger, place.registry, rollout, actor="server", reason="slow")
    assert tiltyard("history", "--verify").code == 0
    assert place.ledger.champion() == 2
