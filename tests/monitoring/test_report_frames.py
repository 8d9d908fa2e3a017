import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tests.monitoring.checks import sample
from tiltyard.data.contract import Kind
from tiltyard.monitoring.frames import (
    MISSING,
    MOST_LEVELS,
    OTHERS,
    THERE,
    Frames,
    draw_rows,
    frames_of,
    shared_columns,
    strata_of,
)
from tiltyard.monitoring.sample import ColumnSample, Sample


@given(
    st.lists(st.integers(0, 6), max_size=200).map(lambda strata: np.array(strata, dtype=np.int64)),
    st.integers(1, 60),
    st.integers(0, 5),
)
def test_every_stratum_keeps_its_share_to_within_a_row(strata: np.ndarray, most: int, seed: int) -> None:
    drawn = draw_rows(strata, most, seed)
    assert len(drawn) == min(len(strata), most)
    assert (np.diff(drawn) > 0).all()
    assert drawn.tolist() == draw_rows(strata, most, seed).tolist()
    if len(strata):
        shares = np.bincount(strata, minlength=7) * (len(drawn) / len(strata))
        assert (np.abs(np.bincount(strata[drawn], minlength=7) - shares) < 1 + 1e-9).all()


def test_strata_are_days_and_predicted_classes() -> None:
    predicted = np.array(["no", "yes", "no", "yes"], dtype=object)
    both = Sample(4, 4, {"prediction": ColumnSample(Kind.CATEGORY, predicted)})
    assert len(set(strata_of(both).tolist())) == 2
    assert len(set(strata_of(both, np.array([1, 1, 2, 2])).tolist())) == 4


def test_predicted_numbers_are_told_apart_by_fifths() -> None:
    values = np.append(np.arange(100.0), np.nan)
    strata = strata_of(Sample(101, 101, {"prediction": ColumnSample(Kind.NUMBER, values)}))
    assert np.bincount(strata).tolist() == [20, 20, 20, 20, 21]
    assert strata_of(Sample(1, 1, {"prediction": ColumnSample(Kind.NUMBER, np.array([np.nan]))})).tolist() == [0]
    assert strata_of(Sample(2, 2)).tolist() == [0, 0]


def _frames(reference: Sample, current: Sample, presence: tuple[str, ...] = ()) -> Frames:
    rows = (np.arange(reference.sampled), np.arange(current.sampled))
    return frames_of(reference, current, shared_columns(reference, current), rows, presence)


def test_values_are_as_a_person_reads_them() -> None:
    frames = _frames(sample(300), sample(200, seed=1))
    assert set(frames.categories) == {"feature_region", "feature_many", "feature_flag", "prediction"}
    assert set(frames.current["feature_flag"]) == {"true", "false"}
    assert (frames.current["feature_text"] % 1 == 0).all()
    assert frames.current["feature_time"].between(20_000, 21_000).all()
    assert set(frames.numbers) | set(frames.categories) == set(frames.current.columns) == set(frames.reference.columns)


def test_rare_levels_are_taken_together_and_missing_stays_missing() -> None:
    frames = _frames(sample(300), sample(200, seed=1))
    levels = set(frames.reference["feature_many"]) | set(frames.current["feature_many"])
    assert len(levels) <= MOST_LEVELS
    assert OTHERS in levels
    assert frames.current["feature_region"].isna().any()


def test_a_column_that_was_emptied_is_shown_by_whether_it_has_values() -> None:
    frames = _frames(sample(90), sample(60, emptied=True), presence=("feature_gaps",))
    assert set(frames.current["feature_pay"]) == {MISSING}
    assert set(frames.reference["feature_pay"]) == {THERE}
    assert set(frames.current["feature_gaps"]) == {THERE, MISSING}
    assert {"feature_pay", "feature_gaps"} <= set(frames.categories)


def test_only_columns_of_the_same_kind_on_both_sides_are_shown() -> None:
    one = Sample(1, 1, {"a": ColumnSample(Kind.NUMBER, np.ones(1)), "b": ColumnSample(Kind.NUMBER, np.ones(1))})
    other = Sample(1, 1, {"a": ColumnSample(Kind.INTEGER, np.ones(1)), "b": ColumnSample(Kind.NUMBER, np.ones(1))})
    assert shared_columns(one, other) == ["b"]


def test_infinite_numbers_and_missing_times_are_missing() -> None:
    columns = {
        "a": ColumnSample(Kind.NUMBER, np.array([1.0, np.inf])),
        "b": ColumnSample(Kind.TIME, np.array(["2026-01-01", "NaT"], dtype="datetime64[us]")),
        "c": ColumnSample(Kind.TEXT, np.array(["abc", None], dtype=object)),
    }
    frames = _frames(Sample(2, 2, columns), Sample(2, 2, columns))
    assert pd.isna(frames.current.iloc[1]).all()
    assert frames.current.iloc[0].tolist() == [1.0, 20_454.0, 3.0]
