"""The verdict on drift: levels, memory, pooling, sentences, and the promises of the benchmark at a smaller size."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from benchmarks.monitoring.drift.trials import Trial, run
from benchmarks.monitoring.drift.worlds import Change, World
from tiltyard.data.contract import Kind
from tiltyard.monitoring.calibration import Calibration
from tiltyard.monitoring.drift import DriftCheck, Settings, check_drift
from tiltyard.monitoring.findings import DriftVerdict, Span
from tiltyard.monitoring.sample import ColumnSample, Sample, pool

DAY = timedelta(days=1)
START = datetime(2026, 11, 1, tzinfo=UTC)
CALIBRATED = Calibration(windows=8, sampled=2_500, counted=2_500)


def table(seed: int, rows: int = 5_000, **shifts: float) -> Sample:
    """Normal columns a, b and c, and a probability; each shifted by so many standard deviations."""
    rng = np.random.default_rng(seed)
    names = ("feature_a", "feature_b", "feature_c", "probability_yes")
    drawn = {name: rng.normal(shifts.get(name.split("_")[1], 0.0), 1.0, rows) for name in names}
    return Sample(rows, rows, {name: ColumnSample(Kind.NUMBER, values) for name, values in drawn.items()})


REFERENCE = table(0)


def follow(
    windows: Sequence[Sample], *, spans: Sequence[Span] = (), importance: dict[str, float] | None = None
) -> list[DriftCheck]:
    checks: list[DriftCheck] = []
    for place, window in enumerate(windows):
        checks.append(
            check_drift(
                REFERENCE,
                [window],
                previous=checks[-1].verdict if checks else None,
                calibration=CALIBRATED,
                spans=spans[place : place + 1],
                settings=Settings(importance=importance or {}),
            )
        )
    return checks


def test_nothing_is_found_where_nothing_is() -> None:
    verdict = follow([table(1)])[0].verdict
    assert (verdict.level, verdict.findings, verdict.suspects) == ("none", (), ())
    assert verdict.sentence.startswith("no drift: 5,000 rows beside 5,000 of the reference")


def test_a_small_change_warns_once_and_alarms_the_second_time() -> None:
    first, second = follow([table(1, a=0.12), table(2, a=0.12)])
    assert first.verdict.level == "warning"
    assert {suspect.column for suspect in first.verdict.suspects} == {"feature_a"}
    assert second.verdict.level == "alarm"
    assert second.verdict.findings[0].windows == 2
    assert "`a`" in second.verdict.sentence


def test_another_column_the_second_time_is_no_alarm() -> None:
    assert [check.verdict.level for check in follow([table(1, a=0.12), table(2, b=0.12)])] == ["warning", "warning"]


def test_a_large_change_alarms_at_once_and_says_what_how_sure_and_since_when() -> None:
    verdict = follow([table(1, a=0.5)], spans=[Span(start=START, end=START + DAY)])[0].verdict
    assert verdict.level == "alarm"
    location = next(finding for finding in verdict.findings if finding.test == "location")
    assert location.sentence.startswith("`a` lies higher: median 0.")
    assert "chance alone practically never does this" in location.sentence
    assert location.sentence.endswith("since 2026-11-01 00:00")


def test_the_same_rows_are_no_second_witness() -> None:
    window = table(1, a=0.12)
    daily = [Span(start=START + day * DAY, end=START + (7 + day) * DAY) for day in range(5)]
    levels = [check.verdict.level for check in follow([window] * 5, spans=daily)]
    assert levels == ["warning"] * 4 + ["alarm"]


def test_answers_come_first() -> None:
    verdict = follow([table(1, a=0.9, yes=0.4)])[0].verdict
    assert verdict.findings[0].column == "probability_yes"
    assert "the probability of `yes`" in verdict.sentence


def test_an_unimportant_column_is_a_line_in_the_report() -> None:
    checks = follow([table(1, a=0.12), table(2, a=0.12)], importance={"feature_a": 0.01, "feature_b": 1.0})
    assert [check.verdict.level for check in checks] == ["none", "none"]
    assert {finding.level for finding in checks[1].verdict.findings} == {"note"}
    assert not checks[1].verdict.suspects


def test_before_calibration_the_floor_is_higher() -> None:
    window = table(1, a=0.1)
    early = check_drift(REFERENCE, [window]).verdict
    assert (early.level, early.calibrated) == ("none", False)
    assert early.findings[0].level == "note"
    assert follow([window])[0].verdict.level == "warning"


def test_small_windows_are_pooled_and_say_so() -> None:
    windows = [table(seed, 200, a=0.8) for seed in range(1, 6)]
    check = check_drift(REFERENCE, windows)
    assert (check.verdict.rows, check.verdict.pooled, check.verdict.level) == (600, 3, "alarm")
    assert "600 rows of 3 windows taken together" in check.verdict.sentence
    assert not check.quiet
    few = check_drift(REFERENCE, windows[:1], previous=check.verdict).verdict
    assert (few.level, few.tests, few.suspects) == ("too_few_rows", 0, check.verdict.suspects)
    assert few.sentence == "too few rows: 200 rows, 300 are needed; take a longer window"


def even(seed: int, shift: float = 0.0, rows: int = 250) -> Sample:
    """Values without chance in them: the quantiles of a normal distribution, those of a shifted."""
    rng = np.random.default_rng(seed)
    quantiles = norm.ppf((np.arange(rows) + 0.5) / rows)
    columns = {name: rng.permutation(quantiles) + shift * (name == "feature_a") for name in REFERENCE.columns}
    return Sample(rows, rows, {name: ColumnSample(Kind.NUMBER, values) for name, values in columns.items()})


def test_pooled_windows_that_overlap_are_no_second_witness() -> None:
    windows = [even(seed, 0.16) for seed in range(5)]
    previous: DriftVerdict | None = None
    alarms = []
    for last in range(2, 6):
        check = check_drift(REFERENCE, windows[:last], previous=previous, calibration=CALIBRATED)
        previous = check.verdict
        assert "feature_a" in {suspect.column for suspect in check.verdict.suspects}
        alarms.append(check.verdict.level == "alarm")
    assert alarms == [False, False, True, True]


@pytest.mark.parametrize(
    ("reference_rows", "rows", "levels"), [(600, 20_000, "none none"), (20_000, 600, "none alarm")]
)
def test_a_second_window_is_no_second_witness_against_a_small_reference(
    reference_rows: int, rows: int, levels: str
) -> None:
    reference, previous, found = even(0, rows=reference_rows), None, list[str]()
    for seed in (1, 2):
        window = even(seed, 0.13, rows)
        previous = check_drift(reference, [window], previous=previous, calibration=CALIBRATED).verdict
        assert {suspect.column for suspect in previous.suspects} == {"feature_a"}
        found.append(previous.level)
    assert found == levels.split()


def test_columns_that_are_ignored_are_not_looked_at() -> None:
    check = check_drift(REFERENCE, [table(1, a=0.9)], settings=Settings(ignore={"feature_a"}))
    assert check.verdict.level == "none"
    assert all("feature_a" not in (each.column, each.other) for each in check.comparisons)


def test_a_verdict_survives_being_stored() -> None:
    verdict = follow([table(1, a=0.5)], spans=[Span(start=START, end=START + DAY)])[0].verdict
    assert DriftVerdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_accepted_windows_come_from_quiet_checks() -> None:
    quiet, loud = follow([table(1), table(2, a=0.5)])
    assert quiet.quiet
    assert not loud.quiet
    assert quiet.accept(Calibration()).windows == 1


def test_pooling_adds_up() -> None:
    both = pool([table(1, 100), table(2, 300)])
    assert (both.rows, both.sampled) == (400, 400)
    assert np.array_equal(both.columns["feature_a"].values[:100], table(1, 100).columns["feature_a"].values)


@settings(max_examples=8)
@given(st.permutations(["feature_a", "feature_b", "feature_c"]))
def test_the_order_of_columns_does_not_change_the_verdict(names: list[str]) -> None:
    window = table(1, a=0.2, b=0.12)
    turned = Sample(window.rows, window.sampled, {name: window.columns[name] for name in names})
    plain = check_drift(REFERENCE, [turned], calibration=CALIBRATED).verdict
    straight = Sample(window.rows, window.sampled, {name: window.columns[name] for name in sorted(names)})
    assert plain == check_drift(REFERENCE, [straight], calibration=CALIBRATED).verdict


SMALL = World(rows=2_000, reference_rows=4_000)


@pytest.mark.parametrize(
    ("change", "most", "least"),
    [
        (Change(), 0.05, 0.0),
        (Change(wobble=0.03), 0.1, 0.0),
        (Change(shift=0.3), 1.0, 0.9),
    ],
    ids=["nothing", "wobble", "mean"],
)
def test_promises_of_the_verdict(change: Change, most: float, least: float) -> None:
    (rates,) = run([Trial("small", SMALL, change)], 4, seed=7)
    assert least <= rates.found <= most
    assert rates.early <= 0.1


@pytest.mark.exhaustive
@pytest.mark.parametrize("change", [Change(), Change(wobble=0.03), Change(wobble=0.03, uneven=True)])
def test_good_windows_do_not_ring(change: Change) -> None:
    (rates,) = run([Trial("calm", World(), change)], 60, seed=11)
    assert rates.found <= 0.03
