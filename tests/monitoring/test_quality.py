"""Broken data is named, and drift is not called broken data."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.monitoring.feeds import CONTRACT, NUMBERS, PLANS, Values, sample, values
from tiltyard.data.contract import Kind
from tiltyard.monitoring.quality import TROUBLES, check_quality
from tiltyard.monitoring.sample import ColumnSample, Sample
from tiltyard.monitoring.units import CONVERSIONS, find_conversion

REFERENCE = sample(values(5000, seed=10_000))


def kinds(current: Sample, **options: Any) -> set[str]:
    return {finding.kind for finding in check_quality(current, REFERENCE, CONTRACT, **options)}


def moved(by: float, scale: float, seed: int, rows: int) -> Values:
    """Draw a window in which every number has drifted: by so many standard deviations, and to another spread."""
    found = values(rows, seed)
    for name in NUMBERS:
        column = found[name]
        middle, spread = np.nanmean(column), np.nanstd(column)
        found[name] = middle + (column - middle) * scale + by * spread
    for name in ("visits", "age"):
        found[name] = found[name].round()
    return found


@pytest.mark.parametrize("rows", [500, 5000])
@pytest.mark.parametrize(("by", "scale"), [(0, 1), (0.25, 1), (0.5, 1.25), (1, 1), (-1, 1.25), (1, 0.8), (0, 1.25)])
def test_drift_is_not_called_broken_data(by: float, scale: float, rows: int) -> None:
    for seed in range(4 if rows == 500 else 1):
        assert not check_quality(sample(moved(by, scale, seed, rows)), REFERENCE, CONTRACT)


@pytest.mark.exhaustive
def test_drift_of_any_kind_is_not_called_broken_data() -> None:
    called = 0
    for seed in range(500):
        random = np.random.default_rng(seed)
        rows = int(random.choice([100, 500, 2000, 10_000]))
        found = moved(random.uniform(-1, 1), random.uniform(0.75, 1.33), seed, rows)
        found["plan"] = random.choice(PLANS, rows, p=random.dirichlet([4, 3, 2, 1]))
        found["income"] *= random.uniform(0.75, 1.33)
        found["weight"][random.random(rows) < random.uniform(0, 0.15)] = np.nan
        called += bool(check_quality(sample(found), REFERENCE, CONTRACT))
    assert called == 0


def _nulls(found: Values, share: float, *names: str) -> None:
    lost = np.random.default_rng(1).random(len(found["age"])) < share
    for name in names or tuple(found):
        column = found[name]
        column[lost] = None if column.dtype == object else np.datetime64("NaT") if column.dtype.kind == "M" else np.nan


def _repeat(found: Values, different: int) -> None:
    found["wait"][0] = 5.0
    for name, column in found.items():
        found[name] = np.resize(column[:different], len(column))


def _set(found: Values, name: str, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
    found[name] = change(found[name])


BREAKS: dict[str, tuple[str, str, Callable[[Values], None]]] = {
    "nulls": ("null_filled", "`age` is null-filled: 100% missing, where at most 0% was", lambda v: _nulls(v, 1, "age")),
    "all null": ("null_filled", "`weight`, `income`, `score` and 7 more are null-filled", lambda v: _nulls(v, 1)),
    "six of ten null": ("null_filled", "`wait` is null-filled", lambda v: _nulls(v, 0.6, "wait")),
    "a tenth of the rows": ("null_filled", "hold no value at all, where 0% did", lambda v: _nulls(v, 0.15)),
    "doubled": ("duplicated", "50% of the rows repeat another row", lambda v: _repeat(v, len(v["age"]) // 2)),
    "same hundred": ("duplicated", "the same rows come again and again", lambda v: _repeat(v, 100)),
    "one row": ("stuck", "stuck: one value in 100% of the rows", lambda v: _repeat(v, 1)),
    "stuck": ("stuck", "`income` is stuck", lambda v: _set(v, "income", lambda c: np.full_like(c, c[0]))),
    "filled": (
        "stuck",
        "`score` is stuck",
        lambda v: _set(v, "score", lambda c: np.where(np.arange(len(c)) % 5, -9, c)),
    ),
    "clock": ("stuck", "`since` is stuck", lambda v: _set(v, "since", lambda c: np.full_like(c, c[1]))),
    "cents": (
        "shifted_unit",
        "`income` is in another unit: the values are 100 times",
        lambda v: _set(v, "income", lambda c: c * 100),
    ),
    "thousands": ("shifted_unit", "1,000 times as small", lambda v: _set(v, "income", lambda c: c / 1000)),
    "pounds": ("shifted_unit", "from kilograms to pounds", lambda v: _set(v, "weight", lambda c: c / 0.45359237)),
    "kilograms": ("shifted_unit", "from pounds to kilograms", lambda v: _set(v, "weight", lambda c: c * 0.45359237)),
    "Fahrenheit": ("shifted_unit", "Celsius to Fahrenheit", lambda v: _set(v, "temperature", lambda c: c * 1.8 + 32)),
    "kelvin": ("shifted_unit", "Celsius to kelvin", lambda v: _set(v, "temperature", lambda c: c + 273.15)),
    "seconds": ("shifted_unit", "60 times as large", lambda v: _set(v, "wait", lambda c: c * 60)),
    "per cent": ("shifted_unit", "100 times as large", lambda v: _set(v, "score", lambda c: c * 100)),
    "sign": ("shifted_unit", "of the opposite sign", lambda v: _set(v, "age", lambda c: -c)),
    "spelling": (
        "wrong_schema",
        "`plan`: 100% of the values are no level",
        lambda v: _set(v, "plan", lambda c: np.array([str(x).upper() for x in c], dtype=object)),
    ),
    "absent": ("wrong_schema", "`age` does not arrive at all", lambda v: v.__delitem__("age")),
}


@pytest.mark.parametrize("rows", [500, 5000])
@pytest.mark.parametrize("name", BREAKS)
def test_broken_data_is_named(name: str, rows: int) -> None:
    kind, words, break_it = BREAKS[name]
    for seed in range(4 if rows == 500 else 1):
        found = values(rows, seed)
        break_it(found)
        findings = check_quality(sample(found), REFERENCE, CONTRACT)
        assert words in " ".join(finding.sentence for finding in findings if finding.kind == kind)
        assert {finding.kind for finding in findings} <= {kind, "duplicated"}


def test_counts_are_over_all_rows_and_not_only_the_sampled() -> None:
    found = sample(values(1000, 1), rows=1_000_000)
    age = found.columns["feature_age"]
    broken = ColumnSample(age.kind, age.values, missing=990_000)
    findings = check_quality(Sample(1_000_000, 1000, {**found.columns, "feature_age": broken}), REFERENCE, CONTRACT)
    assert [(finding.kind, finding.columns, finding.share) for finding in findings] == [
        ("null_filled", ("feature_age",), 0.99)
    ]


def test_a_column_of_another_kind_is_named() -> None:
    found = sample(values(500, 1))
    text = ColumnSample(Kind.TEXT, np.array(["1,5"] * 500, dtype=object))
    broken = Sample(500, 500, {**found.columns, "feature_age": text})
    (finding,) = check_quality(broken, REFERENCE, CONTRACT)
    assert (finding.kind, finding.sentence) == ("wrong_schema", "`age` arrives as text and should be integer.")


@pytest.mark.parametrize(
    ("rows", "usual", "expected"),
    [
        (0, (), {"empty"}),
        (0, (1000, 900), {"empty"}),
        (0, (3, 0, 2), set()),
        (40, (1000, 900, 1100), {"traffic"}),
        (40, (50, 30, 20), set()),
        (40, (1000, 30, 1100), set()),
        (300, (1000, 900), set()),
        (9000, (1000, 900), set()),
    ],
)
def test_traffic_is_held_to_what_is_usual(rows: int, usual: tuple[int, ...], expected: set[str]) -> None:
    assert kinds(sample(values(rows, 1)), usual_rows=usual) == expected


def test_few_values_stand_still_only_where_they_never_did() -> None:
    def window(seed: int, month: float | None) -> Sample:
        found = values(500, seed)
        found["visits"] = (
            np.random.default_rng(seed).integers(1, 13, 500).astype(float) if month is None else np.full(500, month)
        )
        return sample(found)

    reference = window(0, None)
    monthly = [window(seed, float(seed)) for seed in range(1, 5)]
    mixed = [window(seed, None) for seed in range(1, 5)]
    now = window(9, 3.0)
    assert check_quality(now, reference, CONTRACT) == ()
    assert check_quality(now, reference, CONTRACT, usual=monthly) == ()
    (finding,) = check_quality(now, reference, CONTRACT, usual=mixed)
    assert (finding.kind, finding.columns) == ("stuck", ("feature_visits",))


def test_a_unit_is_held_to_the_window_before_too_which_knows_the_season() -> None:
    def summer(seed: int, factor: float) -> Sample:
        found = values(500, seed)
        found["temperature"] = np.random.default_rng(seed).normal(36, 2, 500) * factor
        return sample(found)

    assert check_quality(summer(1, 1), REFERENCE, CONTRACT, usual=[summer(2, 1)]) == ()
    (finding,) = check_quality(summer(1, 100), REFERENCE, CONTRACT, usual=[summer(2, 1)])
    assert (finding.kind, finding.columns) == ("shifted_unit", ("feature_temperature",))


def test_a_season_s_new_level_is_no_other_spelling() -> None:
    found = values(500, 1)
    found["plan"] = np.full(500, "summer", dtype=object)
    assert not kinds(sample(found))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (("Basic", "PLUS ", "pro.", "t"), {"wrong_schema"}),
        (("0", "1", "2", "3"), {"wrong_schema"}),
        (("may", "jun", "jul", "aug"), set()),
        (("Basic", "PLUS "), set()),
    ],
)
def test_other_spellings_are_told_from_further_levels(now: tuple[str, ...], expected: set[str]) -> None:
    found = values(500, 1)
    found["plan"] = np.resize(np.array(now, dtype=object), 500)
    assert kinds(sample(found)) == expected


def test_a_row_of_few_possible_values_may_repeat_itself() -> None:
    def few(seed: int, share: float) -> Sample:
        random = np.random.default_rng(seed)
        names = ("visits", "member", "age")
        return sample({name: (random.random(2000) < share).astype(float) for name in names})

    assert check_quality(few(1, 0.7), few(2, 0.5), CONTRACT) == ()


def test_what_is_not_watched_is_not_called_broken() -> None:
    found = values(500, 1)
    _nulls(found, 1, "age")
    found.pop("plan")
    assert not kinds(sample(found), ignore=("age", "plan"))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(CONVERSIONS), st.integers(500, 3000), st.integers(0, 2**16))
def test_every_conversion_is_found_in_a_column_that_tells_it(conversion: Any, rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    before, now = random.normal(60, 4, 4000), random.normal(60, 4, rows)
    found = find_conversion(before, now * conversion.factor + conversion.offset)
    assert found is not None
    assert found.factor * 60 + found.offset == pytest.approx(conversion.factor * 60 + conversion.offset, rel=0.02)


def test_a_power_of_ten_is_found_though_the_column_drifts_too() -> None:
    before, now = values(5000, 1)["income"], values(500, 2)["income"]
    found = find_conversion(before, now * 1.4 * 1000)
    assert found is not None
    assert found.factor == 1000


def test_a_counter_that_goes_on_is_in_no_other_unit() -> None:
    before = np.arange(5000.0)
    for start in (5_000, 12_000, 50_000, 200_000, 10**6):
        assert find_conversion(before, start + np.arange(500.0)) is None


@given(st.lists(st.floats(width=32), max_size=40), st.lists(st.floats(width=32), max_size=40))
def test_any_numbers_can_be_asked_for(before: list[float], now: list[float]) -> None:
    found = find_conversion(np.array(before), np.array(now))
    assert found is None or np.isfinite(found.factor)


def test_every_kind_has_its_words() -> None:
    assert set(TROUBLES) == {"empty", "traffic", "null_filled", "duplicated", "stuck", "shifted_unit", "wrong_schema"}
