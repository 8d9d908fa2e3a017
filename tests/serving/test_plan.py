"""The plan file: whole or not at all, and read back as it was."""

import errno
import string
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.errors import ServingError
from tiltyard.serving.plan import CandidatePlan, Plan, Refusal, SlotPlan, read_plan, stamp_of, write_plan

NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
SLOT = SlotPlan(version=3, bundle="/cache/churn/3", digest="abc", since=NOW)
REFUSAL = Refusal(version=4, reason="golden rows differ", since=NOW)

names = st.text(string.ascii_lowercase, min_size=1, max_size=8)
times = st.datetimes(timezones=st.just(UTC))
slots = st.builds(SlotPlan, version=st.integers(1), bundle=st.text(), digest=st.text(), since=times)
refusals = st.builds(Refusal, version=st.integers(1), reason=st.text(), since=times, reported=st.booleans())
candidates = st.builds(
    CandidatePlan,
    slot=slots,
    start=st.integers(0),
    strategy=st.sampled_from(["canary", "blue_green", "shadow"]),
    share=st.floats(0, 1),
    key=st.none() | st.text(),
    salt=st.text(),
)
plans = st.builds(
    Plan,
    models=st.dictionaries(names, slots),
    refused=st.dictionaries(names, refusals),
    candidates=st.dictionaries(names, candidates),
    previous=st.dictionaries(names, slots),
    looked=st.frozensets(names),
)


@given(plan=plans)
def test_a_plan_is_read_back_as_it_was_written(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "round-trip" / "plan.json"
    write_plan(path, plan)
    assert read_plan(path) == plan


def test_no_file_is_an_empty_plan(tmp_path: Path) -> None:
    assert read_plan(tmp_path / "plan.json") == Plan()
    assert stamp_of(tmp_path / "plan.json") is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"models": {"churn": 3}}', b'{"shares": {}}'])
def test_a_file_that_is_no_plan_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(content)
    with pytest.raises(ServingError, match="is not a plan") as caught:
        read_plan(path)
    assert caught.value.where == str(path)


def test_a_full_disk_leaves_the_old_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.json"
    write_plan(path, Plan(models={"churn": SLOT}))

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ServingError, match="No space left"):
        write_plan(path, Plan())
    assert read_plan(path) == Plan(models={"churn": SLOT})
    assert [file.name for file in tmp_path.iterdir()] == ["plan.json"]


def test_every_writing_has_its_own_stamp(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    stamps: set[Any] = set()
    for _ in range(20):
        write_plan(path, Plan(models={"churn": SLOT}))
        stamps.add(stamp_of(path))
    assert len(stamps) == 20


def test_a_refusal_leaves_the_slot_and_ends_with_the_next_one() -> None:
    plan = Plan(models={"churn": SLOT}).with_refusal("churn", REFUSAL)
    assert (plan.models["churn"], plan.refused["churn"]) == (SLOT, REFUSAL)
    newer = SLOT.model_copy(update={"version": 5, "since": NOW + timedelta(hours=1)})
    assert plan.with_slot("churn", newer) == Plan(models={"churn": newer}, previous={"churn": SLOT})
    assert plan.with_refusal("churn", None) == Plan(models={"churn": SLOT})


def test_a_plan_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    slot = '{"version": 3, "bundle": "/cache/churn/3", "digest": "abc", "since": "2026-11-20T18:00:00Z"}'
    path.write_text(f'{{"models": {{"churn": {slot}}}, "refused": {{}}}}')
    assert read_plan(path) == Plan(models={"churn": SLOT})


def test_the_version_before_is_kept_and_a_candidate_that_arrives_is_none_any_more() -> None:
    newer = SLOT.model_copy(update={"version": 5})
    candidate = CandidatePlan(slot=newer, start=7, strategy="canary", share=0.1)
    plan = Plan(models={"churn": SLOT}).with_candidate("churn", candidate)
    assert plan.with_candidate("churn", None) == Plan(models={"churn": SLOT})
    arrived = plan.with_slot("churn", newer)
    assert (arrived.candidates, arrived.previous) == ({}, {"churn": SLOT})
    assert arrived.with_slot("churn", newer.model_copy(update={"bundle": "/elsewhere"})).previous == {"churn": SLOT}
    assert arrived.with_slot("churn", SLOT).previous == {"churn": newer}
    other = SLOT.model_copy(update={"version": 6})
    assert plan.with_slot("churn", other).candidates == {"churn": candidate}


def test_a_plan_covers_what_it_holds_or_was_looked_at() -> None:
    plan = Plan(models={"churn": SLOT})
    assert plan.covers(["churn"])
    assert not plan.covers(["churn", "demand"])
    assert plan.with_looked("demand").covers(["churn", "demand"])
