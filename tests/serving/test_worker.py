"""Following the plan: what is new is loaded, what fails is tried again, nothing that answers is lost."""

import logging
import shutil
from pathlib import Path

import pytest

from tests.serving.servers import planned
from tiltyard.serving import following
from tiltyard.serving.answers import RequestError
from tiltyard.serving.following import PlanFollower
from tiltyard.serving.plan import CandidatePlan, Plan, forget_looks, write_plan
from tiltyard.serving.reports import Report
from tiltyard.serving.settings import WorkerSettings
from tiltyard.serving.slots import Served

NAMES = ("demand",)


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    return tmp_path / "plan.json"


@pytest.fixture
def follower(plan: Path) -> PlanFollower:
    return PlanFollower(WorkerSettings(names=NAMES, plan=plan, socket=0, parent=1))


def test_the_plan_is_read_when_it_has_changed(tmp_path: Path, plan: Path, follower: PlanFollower) -> None:
    assert not follower.due()
    write_plan(plan, Plan(models={"demand": planned(tmp_path, 1)}))
    assert follower.due()
    served = follower.load(Served(NAMES))
    assert served.slots["demand"].version == 1
    assert not follower.due()


def test_a_version_that_cannot_be_loaded_is_tried_again(
    tmp_path: Path, plan: Path, follower: PlanFollower, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = planned(tmp_path, 1)
    hidden = Path(slot.bundle).rename(tmp_path / "hidden")
    write_plan(plan, Plan(models={"demand": slot}))
    served = follower.load(Served(NAMES))
    assert (served.slots, follower.due()) == ({}, False)
    monkeypatch.setattr(following, "RETRY_SECONDS", 0.0)
    assert follower.load(served).slots == {}
    assert follower.due()
    hidden.rename(slot.bundle)
    assert follower.load(served).slots["demand"].version == 1


def test_an_unreadable_plan_changes_nothing(
    tmp_path: Path, plan: Path, follower: PlanFollower, caplog: pytest.LogCaptureFixture
) -> None:
    write_plan(plan, Plan(models={"demand": planned(tmp_path, 1)}))
    served = follower.load(Served(NAMES))
    plan.write_text("{")
    with caplog.at_level(logging.ERROR):
        assert follower.load(served) is served
    assert "is not a plan" in caplog.text


def test_a_worker_waits_for_a_whole_plan_and_longer_for_a_sidecar_that_has_not_looked(
    tmp_path: Path, plan: Path, follower: PlanFollower
) -> None:
    early, late, too_late = 1.0, following.PATIENCE_SECONDS, following.LONGEST_SECONDS
    assert [follower.is_worth_waiting(seconds) for seconds in (early, late, too_late)] == [True, True, False]
    write_plan(plan, Plan().with_begun())
    assert [follower.is_worth_waiting(seconds) for seconds in (early, late)] == [True, False]
    write_plan(plan, Plan().with_looked("demand"))
    assert not follower.is_worth_waiting(early)
    forget_looks(plan)
    assert follower.is_worth_waiting(early)
    write_plan(plan, Plan(models={"demand": planned(tmp_path, 1)}))
    assert not follower.is_worth_waiting(early)
    plan.write_text("{")
    assert follower.is_worth_waiting(early)


def test_all_three_versions_are_loaded_and_none_of_them_twice(
    tmp_path: Path, plan: Path, follower: PlanFollower
) -> None:
    one, two, three = (planned(tmp_path, version) for version in (1, 2, 3))
    candidate = CandidatePlan(slot=three, start=1, strategy="canary", share=1.0)
    whole = Plan(models={"demand": one}).with_slot("demand", two).with_candidate("demand", candidate)
    write_plan(plan, whole)
    served = follower.load(Served(NAMES))
    assert [served.find("demand", version).arm for version in (1, 2, 3)] == ["previous", "champion", "candidate"]
    assert served.route("demand", "any").version == 3
    for slot in (one, two, three):
        shutil.rmtree(slot.bundle)
    write_plan(plan, whole.with_slot("demand", three))
    promoted = follower.load(served)
    assert (promoted.route("demand", "any").version, promoted.find("demand").arm) == (3, "champion")
    assert promoted.find("demand").runtime is served.find("demand", 3).runtime
    write_plan(plan, whole.with_slot("demand", three).with_slot("demand", two))
    back = follower.load(promoted)
    assert (back.find("demand").version, back.failed) == (2, {})
    assert back.find("demand").runtime is served.find("demand").runtime


def test_a_candidate_or_a_version_before_that_cannot_be_loaded_harms_no_champion(
    tmp_path: Path, plan: Path, follower: PlanFollower
) -> None:
    one, two, three = (planned(tmp_path, version) for version in (1, 2, 3))
    for slot in (one, three):
        shutil.rmtree(slot.bundle)
    whole = Plan(models={"demand": one}).with_slot("demand", two)
    write_plan(plan, whole)
    served = follower.load(Served(NAMES))
    assert (served.find("demand").version, served.previous, follower.due()) == (2, {}, False)
    write_plan(plan, whole.with_candidate("demand", CandidatePlan(slot=three, start=1, strategy="canary", share=1.0)))
    served = follower.load(served)
    assert (served.route("demand", "any").version, served.candidates, served.failed) == (2, {}, {})
    report = Report.model_validate_json(next(tmp_path.glob("workers/*.json")).read_bytes())
    assert "Version 3 cannot be loaded" in report.failed["demand"]
    with pytest.raises(RequestError, match="version 3 of `demand` is not loaded"):
        served.find("demand", 3)
