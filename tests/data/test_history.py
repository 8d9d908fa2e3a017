"""`data.history`: a table is learnt from as if its old rows were not there, whatever the split, and says so."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.tables import column, contract_of, frame_of, project_of, simple_contract, simple_frame
from tiltyard.data.checks import check_table, stop_on
from tiltyard.data.contract import Contract
from tiltyard.data.history import recent, young
from tiltyard.data.parts import Part
from tiltyard.data.split import Split, make_split
from tiltyard.data.usage import in_use
from tiltyard.errors import DataError, ProjectError
from tiltyard.project.loading import parse_model
from tiltyard.project.model import Project

MOMENTS = st.datetimes(pd.Timestamp("1990-01-01").to_pydatetime(), pd.Timestamp("2090-01-01").to_pydatetime())
METHODS = ("time", "stratified", "random", "group", "column")


def timed_contract() -> Contract:
    return simple_contract(
        column("at", "time", "time", nullable=True),
        column("who", "text", "group"),
        column("part", "category", "part"),
    )


def timed_frame(rows: int, seed: int = 0) -> pd.DataFrame:
    """Return one row a day in a mixed order, copies among them, some without a target or a time."""
    rng = np.random.default_rng(seed)
    at = pd.Series(pd.date_range("2026-01-01", periods=rows)).sample(frac=1, random_state=seed, ignore_index=True)
    who = [f"g{number}" for number in rng.integers(0, rows // 4, rows)]
    part = rng.choice(["train", "train", "train", "test"], rows)
    frame = simple_frame(timed_contract(), rows, seed, at=at, who=who, part=part)
    copies = rng.integers(0, rows, (5, 2))
    for name in ("a", "b"):
        frame.loc[copies[:, 0], name] = frame.loc[copies[:, 1], name].to_numpy()
    frame.loc[rng.integers(0, rows, 3), "y"] = None
    frame.loc[rng.integers(0, rows, 3), "at"] = None
    return frame


def asked(method: str = "time", history: str | None = None, **sections: Any) -> Project:
    group = {"group": "who"} if method == "group" else {}
    split = {"method": method} | ({"column": "part"} if method == "column" else {})
    return project_of(data={"time": "at", "history": history, **group}, split=split, **sections)


@given(st.lists(st.none() | MOMENTS, min_size=1), MOMENTS, st.timedeltas(timedelta(minutes=1), timedelta(days=3660)))
def test_a_row_is_young_when_it_is_no_older_than_the_span(
    times: list[datetime | None], newest: datetime, span: timedelta
) -> None:
    found = young(np.array(times, dtype="datetime64[us]"), np.datetime64(newest), span)
    assert found.tolist() == [time is not None and newest - time <= span for time in times]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(METHODS), st.integers(0, 30), st.integers(150, 390))
def test_the_split_is_that_of_a_table_without_its_old_rows(method: str, seed: int, days: int) -> None:
    frame, contract = timed_frame(400, seed), timed_contract()
    project = asked(method, f"{days}d")
    whole = make_split(frame, contract, project)
    old = recent(frame, contract, project)
    assert old is not None
    cut = frame[old.rows].reset_index(drop=True)
    part = make_split(cut, contract, asked(method))
    np.testing.assert_array_equal(whole.parts[old.rows], part.parts)
    assert (whole.parts[~old.rows] == Part.EXCLUDED).all()
    for fold in whole.folds(pd.factorize(frame["y"])[0], project):
        assert old.rows[np.concatenate(fold)].all()


@pytest.mark.parametrize("method", METHODS)
def test_all_rows_are_learnt_from_where_none_is_old_or_nobody_asks(method: str) -> None:
    frame, contract = timed_frame(300).dropna(subset=["at"], ignore_index=True), timed_contract()
    plain = make_split(frame, contract, asked(method))
    same = make_split(frame, contract, asked(method, "520w"))
    np.testing.assert_array_equal(plain.parts, same.parts)
    assert plain.notes == same.notes


def test_what_is_left_out_is_said_and_adds_up() -> None:
    frame, contract = timed_frame(1500), timed_contract()
    split = make_split(frame, contract, asked("random", "90d"))
    newest = frame.dropna(subset=["y"])["at"].max()
    old = int((frame["y"].notna() & (frame["at"] < newest - timedelta(days=90))).sum())
    said = f"{old:,} rows are left out because they are older than 90d before the newest ({newest:%Y-%m-%d})"
    assert said in split.summary().sentence
    counts = [int(note.split()[0].replace(",", "")) for note in split.notes]
    assert sum(counts) == split.summary().excluded == 1500 - len(_used(split))


def test_the_newest_row_is_the_newest_with_a_target() -> None:
    frame, contract = timed_frame(400), timed_contract()
    frame.loc[frame["at"] > pd.Timestamp("2026-06-30"), "y"] = None
    split = make_split(frame, contract, asked("time", "120d"))
    used = frame["at"].iloc[_used(split)]
    assert used.min() >= pd.Timestamp("2026-03-02")
    assert used.max() <= pd.Timestamp("2026-06-30")
    assert len(used) > 110


def test_spans_of_hours_name_the_minute() -> None:
    contract = simple_contract(column("at", "time", "time"))
    frame = simple_frame(contract, 400, at=pd.date_range("2026-01-01", periods=400, freq="min"))
    split = make_split(frame, contract, asked("time", "3h"))
    assert "older than 3h before the newest (2026-01-01 06:39)" in split.summary().sentence
    assert len(_used(split)) == 181


def test_too_short_a_history_is_refused_with_both_counts() -> None:
    frame, contract = timed_frame(1500), timed_contract()
    with pytest.raises(DataError, match=r"no validation.*`data.history: 1h` leaves 1 of 1,500 rows; a longer"):
        make_split(frame, contract, asked("time", "1h"))
    project = asked("time", "9d")
    with pytest.raises(DataError, match=r"has \d+ rows with a target; 20 are needed.*leaves \d+ of 1,500 rows"):
        stop_on(check_table(frame, contract, project), "lax")


def test_a_class_that_is_only_old_is_refused_and_the_history_is_named() -> None:
    frame, contract = timed_frame(1000), timed_contract()
    frame.loc[frame["at"] > pd.Timestamp("2027-12-31"), "y"] = "no"
    with pytest.raises(DataError, match=r"class `yes`.*`data.history: 100d` leaves \d+ of 1,000 rows"):
        make_split(frame, contract, asked("time", "100d"))
    with pytest.raises(DataError, match=r"is `no` in all of.*`data.history: 100d` leaves"):
        stop_on(check_table(frame, contract, asked("time", "100d")), "lax")


def test_checks_look_at_the_rows_that_are_learnt_from() -> None:
    frame, contract = timed_frame(1000).dropna(ignore_index=True), timed_contract()
    late = frame["at"] > pd.Timestamp("2028-03-01")
    frame.loc[late, "a"] = np.where(frame.loc[late, "y"] == "yes", 1.0, 0.0)
    codes = [finding.code for finding in check_table(frame, contract, asked("random"))]
    assert "leakage" not in codes
    found = {finding.code: finding for finding in check_table(frame, contract, asked("random", "150d"))}
    assert "leakage" in found
    assert f"{found['old_rows'].count:,} rows of {len(frame):,} are not learnt from" in found["old_rows"].sentence


def test_rows_are_named_by_their_place_in_the_whole_table() -> None:
    contract = contract_of(
        column("a"), column("at", "time", "time"), column("y", "category", "target"), classes=("no", "yes")
    )
    rng = np.random.default_rng(0)
    at = pd.date_range("2026-01-01", periods=400)
    values: dict[str, Any] = {"a": rng.normal(size=400), "at": at, "y": rng.choice(["no", "yes"], 400)}
    frame = frame_of(contract, values)
    for name in ("a", "y"):
        frame.loc[330, name] = frame[name].iloc[310]
    frame.loc[350, "y"] = None
    found = {finding.code: finding for finding in check_table(frame, contract, asked("random", "150d"))}
    assert found["duplicates"].examples == ("row 331",)
    assert found["missing_target"].examples == ("row 351",)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"history": "90d"}, "`history: 90d` needs the age of a row; name under `time` the column"),
        ({"history": "90", "time": "at"}, "`90` is no stretch of time; write a number and `m`"),
        ({"history": "0d", "time": "at"}, "`0d` is no time at all"),
        ({"history": 90, "time": "at"}, "must be a text"),
    ],
)
def test_a_history_that_is_none_is_one_sentence_with_its_cure(data: dict[str, object], words: str) -> None:
    content = {"name": "x", "task": {"kind": "binary"}, "data": {"source": "a.csv", "target": "y", **data}}
    with pytest.raises(ProjectError) as raised:
        parse_model(Project, content, where="tiltyard.yaml")
    assert words in str(raised.value)
    assert "data" in str(raised.value)


def test_a_time_without_an_age_is_refused_before_anything_is_read() -> None:
    contract = simple_contract(column("at", "integer", "time"))
    with pytest.raises(ProjectError, match=r"`data.time: at` is a integer, which has no age for `data.history`"):
        in_use(contract, asked("time", "90d"))


def _used(split: Split) -> np.ndarray:
    return np.flatnonzero(split.parts != Part.EXCLUDED)
