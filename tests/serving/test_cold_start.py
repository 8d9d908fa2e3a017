"""A server on a new port begins with what other servers of its home have fetched."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.serving.servers import eventually, planned, running
from tiltyard.bundle.manifest import MANIFEST
from tiltyard.serving.cold_start import begin_from_others
from tiltyard.serving.plan import CandidatePlan, Plan, Refusal, SlotPlan, read_plan, write_plan

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)


def test_without_a_registry_a_new_port_answers_with_what_another_has_fetched(tmp_path: Path) -> None:
    home = tmp_path / "home"
    slot = planned(tmp_path, 3)
    write_plan(home / "serving" / "port-1" / "plan.json", Plan(models={"demand": slot}, begun=True))
    with running(home, tracking_uri=f"http://127.0.0.1:{free_port()}") as server:
        eventually(server.ready)
        assert server.version() == 3
        assert read_plan(server.plan).models == {"demand": slot}


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The place of a plan that is not there yet."""
    return tmp_path / "port-9" / "plan.json"


def slot_at(folder: Path, version: int, *, there: bool = True) -> SlotPlan:
    bundle = folder / "bundles" / f"{version}"
    if there:
        bundle.mkdir(parents=True, exist_ok=True)
        (bundle / MANIFEST).touch()
    return SlotPlan(version=version, bundle=str(bundle), digest="abc", since=NOW)


def write_other(own: Path, port: int, plan: Plan, *, written: int) -> Path:
    path = own.parents[1] / f"port-{port}" / "plan.json"
    write_plan(path, plan)
    os.utime(path, (written, written))
    return path


def test_only_champions_of_the_models_served_are_taken_over(own: Path, tmp_path: Path) -> None:
    slot = slot_at(tmp_path, 3)
    candidate = CandidatePlan(slot=slot_at(tmp_path, 4), start=7, strategy="canary", share=0.1)
    refusal = Refusal(version=5, reason="golden rows differ", since=NOW)
    other = Plan(
        models={"churn": slot, "demand": slot},
        candidates={"churn": candidate},
        refused={"churn": refusal},
        previous={"churn": slot_at(tmp_path, 2)},
        begun=True,
        looked=frozenset({"churn", "demand"}),
    )
    write_other(own, 1, other, written=1)
    assert begin_from_others(own, ["churn", "waiting"]) == read_plan(own) == Plan(models={"churn": slot})


def test_the_plan_written_last_decides_whatever_its_port_and_one_without_its_bundle_does_not(
    own: Path, tmp_path: Path
) -> None:
    old, new, gone = slot_at(tmp_path, 1), slot_at(tmp_path, 2), slot_at(tmp_path, 3, there=False)
    write_other(own, 3, Plan(models={"churn": old, "demand": old}), written=1)
    write_other(own, 1, Plan(models={"churn": new}), written=2)
    write_other(own, 2, Plan(models={"churn": gone}), written=3)
    write_other(own, 4, Plan(), written=4).write_text("{")
    begin_from_others(own, ["churn", "demand"])
    assert read_plan(own).models == {"churn": new, "demand": old}


def test_where_there_is_nothing_to_begin_with_no_plan_is_written(own: Path, tmp_path: Path) -> None:
    assert begin_from_others(own, ["churn"]) is None
    write_other(own, 1, Plan(models={"demand": slot_at(tmp_path, 1)}), written=1)
    write_other(own, 2, Plan(models={"churn": slot_at(tmp_path, 2, there=False)}), written=2)
    assert begin_from_others(own, ["churn"]) is None
    assert not own.exists()


def test_a_plan_of_its_own_comes_first_and_one_that_says_nothing_is_none(own: Path, tmp_path: Path) -> None:
    write_other(own, 1, Plan(models={"churn": slot_at(tmp_path, 2)}), written=2)
    refused = Plan(refused={"churn": Refusal(version=2, reason="golden rows differ", since=NOW)})
    for mine in (Plan(models={"churn": slot_at(tmp_path, 1)}), refused):
        write_plan(own, mine)
        assert begin_from_others(own, ["churn"]) is None
        assert read_plan(own) == mine
    own.write_text("{")
    assert begin_from_others(own, ["churn"]) is None
    write_plan(own, Plan())
    assert begin_from_others(own, ["churn"]) == read_plan(own) == Plan(models={"churn": slot_at(tmp_path, 2)})
