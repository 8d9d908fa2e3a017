"""The domain classifier: silent without drift, sees what no single column shows, and names the columns."""

from typing import Any

import numpy as np
import pytest

from tiltyard.data.contract import Kind
from tiltyard.monitoring.domain import Table, table_of, tell, tell_apart
from tiltyard.monitoring.expectation import effective
from tiltyard.monitoring.sample import ColumnSample, Sample


def sample_of(rows: int, seed: int, *, shift: float = 0.0, correlation: float = 0.0, category: float = 0.3) -> Sample:
    rng = np.random.default_rng(seed)
    first = rng.normal(size=rows)
    second = correlation * first + np.sqrt(1 - correlation**2) * rng.normal(size=rows)
    plan = np.where(rng.random(rows) < category, "basic", "pro").astype(object)
    plan[rng.random(rows) < 0.05] = None
    third = rng.normal(size=rows) + shift
    third[rng.random(rows) < 0.05] = np.nan
    times = np.datetime64("2026-11-01", "us") + np.arange(rows) * np.timedelta64(1 + seed, "m")
    columns: dict[str, ColumnSample] = {
        "feature_a": ColumnSample(Kind.NUMBER, first),
        "feature_b": ColumnSample(Kind.NUMBER, second),
        "feature_c": ColumnSample(Kind.NUMBER, third),
        "feature_flag": ColumnSample(Kind.BOOLEAN, (rng.random(rows) < 0.5).astype(np.float64)),
        "feature_plan": ColumnSample(Kind.CATEGORY, plan),
        "feature_when": ColumnSample(Kind.TIME, times.astype("datetime64[us]")),
    }
    return Sample(rows=rows, sampled=rows, columns=columns)


def test_without_drift_p_values_are_small_no_more_often_than_they_say() -> None:
    rng = np.random.default_rng(0)
    words = np.array([False, False, False])
    p = np.array(
        [
            tell(Table(("a", "b", "c"), words, rng.normal(size=(150, 3)), rng.normal(size=(150, 3))), seed=run).p
            for run in range(8)
        ]
    )
    assert (p < 0.01).sum() <= 1
    assert (p < 0.5).mean() < 0.9


@pytest.mark.parametrize(
    ("changed", "columns"),
    [
        ({"correlation": 0.7}, {"feature_a", "feature_b"}),
        ({"shift": 0.5}, {"feature_c"}),
        ({"category": 0.6}, {"feature_plan"}),
    ],
)
def test_drift_is_seen_and_the_columns_are_named(changed: dict[str, Any], columns: set[str]) -> None:
    found = tell_apart(sample_of(1_200, 1), sample_of(1_200, 2, **changed), seed=0)
    assert found is not None
    assert found.p < 1e-4
    assert {name for name, _ in found.columns[: len(columns)]} == columns
    assert found.left_out == ("feature_when",)
    assert "can be told" in found.sentence
    assert all(f"`{name.removeprefix('feature_')}`" in found.sentence for name in columns)


def test_no_drift_is_said_in_words_and_the_same_seed_gives_the_same_verdict() -> None:
    before, now = sample_of(1_000, 3), sample_of(1_000, 4)
    found = tell_apart(before, now, seed=5, most_rows=600)
    assert found is not None
    assert (found.rows, found.reference_rows) == (600, 600)
    assert found.p > 0.01
    assert "cannot be told" in found.sentence
    assert found == tell_apart(before, now, seed=5, most_rows=600)


def test_too_few_rows_and_no_shared_column_give_no_verdict() -> None:
    before = sample_of(1_000, 6)
    assert tell_apart(before, sample_of(50, 7), seed=0) is None
    times = Sample(1_000, 1_000, {"feature_when": before.columns["feature_when"]})
    assert tell_apart(times, times, seed=0) is None


def test_weights_make_the_reference_look_like_the_current_rows() -> None:
    before, now = sample_of(2_000, 8), sample_of(2_000, 9, shift=0.7)
    table = table_of(before, now)
    told = tell(table, seed=0)
    place = table.names.index("feature_c")
    there = ~np.isnan(table.reference[:, place])
    moved = np.average(table.reference[there, place], weights=told.weights[there])
    assert 0.4 < moved < 0.8  # trees flatten the ends; a mean of 0 without weights
    assert told.weights.mean() == pytest.approx(1.0)
    same = tell(table_of(before, sample_of(2_000, 10)), seed=0)
    assert effective(same.weights) > 1_800


def test_levels_become_codes_that_both_samples_share() -> None:
    before = Sample(3, 3, {"feature_x": ColumnSample(Kind.CATEGORY, np.array(["a", "b", None], dtype=object))})
    now = Sample(4, 4, {"feature_x": ColumnSample(Kind.CATEGORY, np.array(["b", "b", "new", "a"], dtype=object))})
    table = table_of(before, now)
    assert list(table.words) == [True]
    assert table.reference[:2, 0].tolist() == [1.0, 0.0]
    assert np.isnan(table.reference[2, 0])
    assert table.current[:, 0].tolist() == [0.0, 0.0, 2.0, 1.0]
    many = np.array([f"l{number}" for number in range(1_000)], dtype=object)
    wide = Sample(1_000, 1_000, {"feature_x": ColumnSample(Kind.TEXT, many)})
    assert table_of(wide, wide).reference.max() == 249


def test_constant_and_wholly_missing_columns_are_no_trouble() -> None:
    rng = np.random.default_rng(11)
    columns = {
        "feature_none": ColumnSample(Kind.NUMBER, np.full(200, np.nan)),
        "feature_one": ColumnSample(Kind.NUMBER, np.ones(200)),
        "feature_huge": ColumnSample(Kind.NUMBER, np.where(rng.random(200) < 0.5, np.inf, 1e300)),
        "feature_text": ColumnSample(Kind.TEXT, np.array([None] * 200, dtype=object)),
    }
    sample = Sample(200, 200, columns)
    found = tell_apart(sample, sample, seed=0)
    assert found is not None
    assert found.p > 0.01
    words = Sample(200, 200, {"feature_text": columns["feature_text"]})
    assert tell_apart(words, words, seed=0) is not None
