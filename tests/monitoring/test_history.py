"""Checks that are kept: one a window and version, read back as they were; what later ones take from earlier ones."""

import gzip
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.predictions.lines import MODEL, NOON
from tiltyard.data.contract import Kind
from tiltyard.errors import DataError, StorageError, UsageError
from tiltyard.evaluation import records
from tiltyard.monitoring.calibration import Calibration
from tiltyard.monitoring.estimate import Estimate
from tiltyard.monitoring.findings import DriftVerdict, Finding, Span, Suspect
from tiltyard.monitoring.history import (
    MOST_SAMPLES,
    Check,
    History,
    apart,
    calibration_before,
    earlier,
    is_fresh,
    shared,
    state_of,
)
from tiltyard.monitoring.packing import pack_sample, unpack_sample
from tiltyard.monitoring.performance import Performance
from tiltyard.monitoring.policy import Decision, Told
from tiltyard.monitoring.quality import QualityFinding
from tiltyard.monitoring.sample import ColumnSample, Sample
from tiltyard.predictions.reading import Window
from tiltyard.storage.folder import FolderStore

DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """An empty store."""
    return FolderStore(tmp_path / "store")


@pytest.fixture
def history(store: FolderStore) -> History:
    """No checks so far."""
    return History(store, MODEL)


def check(day: float, days: float = 1, **changed: Any) -> Check:
    """Return a check of a window that ends so many days after noon."""
    end = NOON + day * DAY
    content: dict[str, Any] = {
        "model": MODEL,
        "start": end - days * DAY,
        "end": end,
        "version": 3,
        "made": end + DAY / 24,
        "rows": 1000,
        "drift": DriftVerdict(level="none", rows=1000, reference_rows=2000, sentence="Nothing."),
    }
    return Check(**content | changed)


def full(day: float) -> Check:
    """Return a check that says all that one can."""
    finding = Finding(
        column="feature_age", test="location", effect=-0.25, p=1e-300, level="alarm", since=NOON, sentence="Älter."
    )
    endless = finding.model_copy(update={"effect": float("inf")})
    suspect = Suspect(column="feature_age", windows=2)
    drift = DriftVerdict(
        level="alarm", rows=7, reference_rows=9, findings=(finding, endless), suspects=(suspect,), sentence="It moved."
    )
    score = records.Estimate(value=0.1 + 0.2, low=1 / 3, high=0.9)
    performance = Performance(
        metric="accuracy", value=0.8, low=0.7, high=0.9, rows=9, labelled=3, coverage=1 / 3, version=3,
        start=NOON, end=NOON + DAY, reference=score, p=0.25, sentence="Well.",
    )  # fmt: skip
    estimate = Estimate(metric="accuracy", value=None, low=None, high=None, valid=False, why="Too few.")
    trouble = QualityFinding(kind="stuck", columns=("feature_age",), share=0.5, sentence="It stands still.")
    calibration = Calibration(windows=3, sampled=10.5, counted=7.25, squares={"location feature_age": 1.5})
    return check(
        day,
        drift=drift,
        quality=(trouble,),
        performance=(performance, performance),
        estimate=estimate,
        reference=score,
        decision=DECISION,
        accepted=True,
        vindicated=(Span(start=NOON - DAY, end=NOON),),
        calibration=calibration,
    )


DECISION = Decision(
    action="retrain",
    mode="superiority",
    reason="harm",
    evidence=("It moved.",),
    next_possible=NOON + 3 * DAY,
    trigger="churn-retrain-v3-0f3a5b7c1d2e",
    told=(Told(trouble="drift", size=0.25),),
)


def test_what_is_kept_is_read(history: History) -> None:
    assert (history.checks(), history.latest()) == ((), None)
    kept = [check(0), full(1), check(2, version=None)]
    for one in reversed(kept):
        history.keep(one)
    assert history.checks() == tuple(kept)
    assert history.latest() == kept[-1]


def test_the_same_window_is_one_record(history: History, store: FolderStore) -> None:
    key = history.keep(check(0))
    assert key == f"monitoring/{MODEL}/checks/2026-11-20T120000.000000Z-from-2026-11-19T120000.000000Z-v3.json"
    again = check(0, made=NOON + DAY, accepted=True)
    assert history.keep(again) == key
    assert history.checks() == (again,)
    others = [check(0, version=4), check(0, days=2), check(0.5)]
    assert len({history.keep(one) for one in others} | {key}) == 4
    assert len(store.list("monitoring")) == 4
    assert History(store, "another").checks() == ()
    with pytest.raises(UsageError, match="a check of `churn` is none of `another`"):
        History(store, "another").keep(again)


def test_a_span_of_time_is_chosen_by_the_ends_of_windows(history: History) -> None:
    for day in range(5):
        history.keep(check(day))
    found = history.checks(NOON + DAY, NOON + 3 * DAY)
    assert [one.end for one in found] == [NOON + day * DAY for day in (1, 2, 3)]
    assert len(history.checks(since=NOON + 3.5 * DAY)) == 1
    assert len(history.checks(until=NOON + 0.5 * DAY)) == 1
    with pytest.raises(UsageError, match="no time zone"):
        history.checks(since=datetime(2026, 11, 20))  # noqa: DTZ001  # what is refused


@pytest.mark.parametrize("content", [b"", b"no", b"{}", b'{"model": 1}'])
def test_what_is_damaged_is_named_with_a_cure(history: History, store: FolderStore, content: bytes) -> None:
    key = history.keep(check(0))
    store.write(key, content)
    with pytest.raises(DataError, match="is no record of a check") as raised:
        history.checks()
    assert raised.value.where == key
    assert "move it out" in str(raised.value)


class Counting(FolderStore):
    """A folder that notes what is read, and how often it is asked what there is."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.seen: list[str] = []
        self.asked = 0

    def read(self, key: str) -> bytes:
        self.seen.append(key)
        return super().read(key)

    def list(self, prefix: str) -> list[str]:
        self.asked += 1
        return super().list(prefix)


def test_hourly_checks_of_weeks_are_a_few_dozen_reads(tmp_path: Path) -> None:
    store = Counting(tmp_path)
    history, days = History(store, MODEL), 20
    hourly = [check(hour / 24, days=7) for hour in range(24 * days)]
    for one in hourly:
        name = f"{one.end:%Y-%m-%dT%H%M%S.%fZ}-from-{one.start:%Y-%m-%dT%H%M%S.%fZ}-v3"
        (tmp_path / f"monitoring/{MODEL}/checks").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"monitoring/{MODEL}/checks/{name}.json").write_text(one.model_dump_json())
    assert history.checks() == tuple(hourly)
    assert len(store.seen) == len(hourly)
    store.seen.clear()
    store.asked = 0
    assert history.checks() == tuple(hourly)
    assert len(store.seen) <= days + 24
    assert store.asked == 2
    store.seen.clear()
    assert history.checks(NOON + 3 * DAY, NOON + 4 * DAY) == tuple(hourly[72:97])
    assert len(store.seen) == 2


def test_the_copy_of_a_day_is_never_believed_against_the_records(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    history = History(store, MODEL)
    kept = [check(hour / 24) for hour in range(3)] + [check(2)]
    for one in kept:
        history.keep(one)
    assert history.checks() == tuple(kept)
    (copy,) = store.list(f"monitoring/{MODEL}/days")
    again = check(1 / 24, accepted=True)
    history.keep(again)
    assert store.list(f"monitoring/{MODEL}/days") == []
    assert history.checks() == (kept[0], again, *kept[2:])
    history.keep(check(3 / 24))
    assert len(history.checks()) == 5
    for damage in (b"", b"no", gzip.compress(b"[]"), gzip.compress(b'{"a": 1}'), store.read(copy)[:40]):
        store.write(copy, damage)
        assert len(history.checks()) == 5
        assert history.checks()[1] == again
    gone = store.list(f"monitoring/{MODEL}/checks")[0]
    store.delete(gone)
    assert history.checks()[0] == again


def sample(rows: int = 5) -> Sample:
    """Return a sample with a column of each kind."""
    values: dict[Kind, Any] = {
        Kind.NUMBER: np.array([0.1, np.nan, -np.inf, 1e300, 2.0]),
        Kind.INTEGER: np.array([1.0, 2.0, np.nan, 4.0, 5.0]),
        Kind.BOOLEAN: np.array([1.0, 0.0, np.nan, 1.0, 1.0]),
        Kind.CATEGORY: np.array(["a", None, "ä", "", "b"], dtype=object),
        Kind.TEXT: np.array([None] * 5, dtype=object),
        Kind.TIME: np.array(["2026-11-20", "NaT", "1969-12-31", "2026-01-01", "2026-01-02"], dtype="datetime64[us]"),
    }
    columns = {f"feature_{kind}": ColumnSample(kind, found[:rows], 2, 1, 3) for kind, found in values.items()}
    return Sample(rows=100, sampled=rows, columns=columns)


@given(rows=st.integers(0, 5), most=st.integers(1, 6))
def test_a_sample_is_unpacked_as_it_was(rows: int, most: int) -> None:
    packed = sample(rows)
    found = unpack_sample(pack_sample(packed, most=most), where="a test")
    assert (found.rows, found.sampled) == (100, min(rows, most))
    assert list(found.columns) == list(packed.columns)
    for name, column in found.columns.items():
        other = packed.columns[name]
        assert (column.kind, column.missing, column.new, column.outside) == (other.kind, 2, 1, 3)
        assert column.values.dtype == other.values.dtype
        np.testing.assert_array_equal(column.values, other.values[:most])


def test_samples_of_the_latest_windows_are_kept(history: History, store: FolderStore) -> None:
    for day in range(MOST_SAMPLES + 3):
        history.keep(check(day), sample())
    history.keep(check(20, version=4), sample())
    assert all(one.sampled for one in history.checks())
    kept = [history.sample(one) is not None for one in history.checks()]
    assert kept == [False] * 3 + [True] * (MOST_SAMPLES + 1)
    assert history.sample(check(30)) is None
    key = store.list(f"monitoring/{MODEL}/samples")[0]
    store.write(key, b"no table")
    with pytest.raises(DataError, match="the sample cannot be read") as raised:
        history.sample(history.checks()[3])
    assert raised.value.where == key


def test_a_window_is_never_before_itself() -> None:
    checks = [check(2), check(0), check(1, version=4), check(1)]
    assert [one.end for one in earlier(checks, check(1).window, 3)] == [NOON]
    assert earlier(checks, check(0).window, 3) == ()
    assert len(earlier(checks, check(3).window, 3)) == 3


def test_calibration_is_that_of_the_window_before_of_the_same_version() -> None:
    known = [Calibration(windows=number) for number in range(4)]
    checks = [check(day, calibration=known[day]) for day in range(4)]
    assert calibration_before(checks, check(2).window, 3) == known[1]
    assert calibration_before(checks, check(9).window, 3) == known[3]
    assert calibration_before(checks, check(9).window, 4) == Calibration()


def test_windows_that_are_nearly_the_same_count_once() -> None:
    hourly = [check(hour / 24, days=7, accepted=True) for hour in range(24 * 8)]
    now = check(8, days=7).window
    assert [one.end for one in apart(hourly, now)] == [NOON + 1 * DAY, NOON + 4.5 * DAY]
    assert not is_fresh(hourly, now, 3)
    assert is_fresh(hourly[:100], now, 3)
    assert is_fresh([one.model_copy(update={"accepted": False}) for one in hourly], now, 3)
    span = Span(start=NOON + 3 * DAY, end=NOON + 10 * DAY)
    assert not is_fresh([check(7, days=7, vindicated=(span,))], now, 3)
    daily = [check(day) for day in range(5)]
    assert apart(daily, check(5).window) == tuple(daily)


def test_of_many_that_claim_an_action_one_succeeds(history: History, store: FolderStore) -> None:
    quiet = Decision(action="none", reason="nothing is wrong")
    assert not history.claim(check(0, decision=quiet), NOON)
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda _: History(store, MODEL).claim(check(0, decision=DECISION), NOON), range(50)))
    assert sum(won) == 1
    (action,) = history.actions()
    assert (action.trigger, action.action, action.mode, action.made, action.done) == (
        DECISION.trigger,
        "retrain",
        "superiority",
        NOON,
        False,
    )
    history.done(action.trigger)
    assert [(one.done, one.made) for one in history.actions()] == [(True, NOON)]
    assert not history.claim(check(1, decision=DECISION), NOON + DAY)
    with pytest.raises(StorageError):
        history.done("churn-retrain-v3-another")


def test_the_check_behind_an_action_is_found_unless_it_came_to_something_else(history: History) -> None:
    asked = check(0, decision=DECISION)
    history.claim(asked, NOON)
    (action,) = history.actions()
    assert history.check_of(action) is None
    history.keep(asked)
    assert history.check_of(action) == asked
    history.keep(check(0, decision=Decision(action="none", reason="all is well")))
    assert history.check_of(action) is None


def test_a_window_that_is_checked_again_does_not_forget_its_retraining(history: History) -> None:
    history.keep(check(0, decision=DECISION))
    history.claim(check(0, decision=DECISION), NOON)
    again = check(0, made=NOON + DAY, decision=Decision(action="none", reason="too soon"))
    history.keep(again)
    state = state_of(history.checks(), history.actions(), project=MODEL, version=3, since=NOON - 9 * DAY)
    assert state.retrainings == (NOON,)
    assert state.told == ()
    assert state_of([full(0), full(1)], (), project=MODEL, version=3).told == DECISION.told
    assert state_of([], (), project=MODEL, version=None).retrainings == ()


moments = st.integers(0, 1000).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))
windows = st.tuples(moments, moments).map(lambda pair: Window(min(pair), max(pair)))


@given(windows, windows)
def test_what_windows_share_is_the_same_both_ways(one: Window, other: Window) -> None:
    assert shared(one, other) == shared(other, one)
    assert 0 <= shared(one, other) <= 1
    assert shared(one, one) == 1
