"""Splits: exact, stable, deterministic, and nothing that belongs together straddles them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.tables import column, contract_of, frame_of, project_of, simple_contract, simple_frame
from tiltyard.data.allotment import allot, allot_in_order
from tiltyard.data.contract import Contract
from tiltyard.data.parts import Part
from tiltyard.data.row_keys import row_keys
from tiltyard.data.split import Split, make_split
from tiltyard.errors import DataError, ProjectError
from tiltyard.project.model import Project

PARTS = (Part.TRAIN, Part.VALIDATION, Part.TEST)


def straddles(split: Split, labels: pd.Series) -> bool:
    inside = split.parts >= 0
    pairs = pd.DataFrame({"part": split.parts[inside], "label": labels[inside].to_numpy()}).drop_duplicates()
    return bool(pairs["label"].duplicated().any())


def copy_features(frame: pd.DataFrame, source: int, to: int) -> None:
    for name in ("a", "b"):
        frame.loc[to, name] = frame[name].iloc[source]


def panel_contract() -> Contract:
    return simple_contract(column("who", "text", "group", nullable=True))


def timed_contract() -> Contract:
    return simple_contract(column("at", "time", "time", nullable=True))


def days(count: int) -> list[pd.Timestamp]:
    return list(pd.date_range("2026-01-01", periods=count, freq="D"))


def test_shares_are_exact_in_every_class() -> None:
    frame = simple_frame(simple_contract(), rows=1000)
    split = make_split(frame, simple_contract(), project_of())
    for rows in frame.groupby("y").indices.values():
        counts = [(split.parts[rows] == part).sum() for part in PARTS]
        test, held_out = round(0.25 * len(rows)), round(0.4 * len(rows))
        assert counts == [len(rows) - held_out, held_out - test, test]


def test_calibration_rows_are_kept_when_wanted() -> None:
    frame = simple_frame(simple_contract(), rows=1000)
    split = make_split(frame, simple_contract(), project_of(search={"calibration": "sigmoid"}))
    assert len(split.rows(Part.CALIBRATION)) == pytest.approx(100, abs=1)
    assert split.summary().calibration == len(split.rows(Part.CALIBRATION))


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(120, 400), profiles=st.integers(25, 400), seed=st.integers(0, 1000))
def test_copies_never_straddle_and_shares_hold_up_to_a_block(rows: int, profiles: int, seed: int) -> None:
    contract = contract_of(column("a"), column("y", "category", "target"))
    rng = np.random.default_rng(seed)
    frame = frame_of(contract, {"a": rng.integers(profiles, size=rows), "y": rng.choice(["no", "yes"], size=rows)})
    split = make_split(frame, contract, project_of(split={"seed": seed}))
    assert not straddles(split, frame["a"])
    assert (split.parts >= 0).all()
    largest = int(frame["a"].value_counts().max())
    assert len(split.rows(Part.TEST)) == pytest.approx(0.25 * rows, abs=2 * largest)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(100, 250), groups=st.integers(4, 60), seed=st.integers(0, 1000))
def test_groups_never_straddle_parts_or_folds(rows: int, groups: int, seed: int) -> None:
    contract = panel_contract()
    numbers = np.random.default_rng(seed).integers(groups, size=rows)
    who = [f"g{number}" if number else None for number in numbers]
    frame = simple_frame(contract, rows, seed, who=who)
    project = project_of(data={"group": "who"}, split={"seed": seed})
    split = make_split(frame, contract, project)
    named = frame["who"].notna()
    assert not straddles(split, frame["who"].where(named, pd.Series(np.arange(rows)).astype(str)))
    for train, score in split.folds(pd.factorize(frame["y"])[0], project):
        assert not set(split.groups[train]) & set(split.groups[score])


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_the_split_depends_on_content_and_seed_alone(task: str) -> None:
    contract = simple_contract(task=task)
    frame, project = simple_frame(contract), project_of(task)
    split = make_split(frame, contract, project)
    order = np.random.default_rng(1).permutation(len(frame))
    mixed = make_split(frame.iloc[order].reset_index(drop=True), contract, project)
    np.testing.assert_array_equal(mixed.parts, split.parts[order])
    np.testing.assert_array_equal(mixed.keys, split.keys[order])
    other = make_split(frame, contract, project_of(task, split={"seed": 7}))
    assert 0.3 < (other.parts != split.parts).mean() < 0.8


@settings(max_examples=20, deadline=None)
@given(more=st.integers(1, 400), seed=st.integers(0, 50))
def test_appended_rows_hardly_move_old_ones(more: int, seed: int) -> None:
    contract, project = simple_contract(), project_of()
    frame = simple_frame(contract, 2000 + more, seed)
    before = make_split(frame.iloc[:2000], contract, project).parts
    after = make_split(frame, contract, project).parts[:2000]
    assert (before != after).mean() < 0.04


def test_keys_ignore_the_order_of_columns_and_tell_every_change() -> None:
    contract = simple_contract()
    frame = simple_frame(contract, rows=50)
    keys = row_keys(frame, contract)
    turned = contract_of(*reversed(contract.columns), classes=contract.classes)
    np.testing.assert_array_equal(keys, row_keys(frame, turned))
    changed = frame.assign(y=frame["y"].replace({"yes": "no", "no": "yes"}))
    assert (row_keys(changed, contract) != keys).all()
    assert len(set(keys)) == 50


def test_keys_know_numbers_by_value_and_missing_from_text() -> None:
    contract = contract_of(column("a"), column("b", "category"), column("y", "category", "target"))
    frame = frame_of(contract, {"a": [0.0, -0.0, None], "b": ["nan", "nan", None], "y": ["1"] * 3})
    first, second, third = row_keys(frame, contract)
    assert first == second != third
    as_integer = contract_of(column("a", "integer"), column("b", "category"), column("y", "category", "target"))
    same = frame_of(as_integer, {"a": [0, 0, None], "b": ["nan", "nan", None], "y": ["1"] * 3})
    np.testing.assert_array_equal(row_keys(same, as_integer), [first, second, third])


def test_keys_never_change_between_versions() -> None:
    contract = contract_of(column("a"), column("b", "text"), column("t", "time"), column("y", "boolean", "target"))
    frame = frame_of(contract, {"a": [1.5], "b": ["é"], "t": [pd.Timestamp("2026-01-01")], "y": [True]})
    assert row_keys(frame, contract).tolist() == [13223562710339504053]


def test_time_cuts_the_past_from_the_future() -> None:
    contract = timed_contract()
    frame = simple_frame(contract, 365, at=days(365)).sample(frac=1, random_state=0, ignore_index=True)
    project = project_of(data={"time": "at"})
    split = make_split(frame, contract, project)
    ends = [frame["at"].iloc[split.rows(part)].agg(["min", "max"]) for part in PARTS]
    assert ends[0]["max"] < ends[1]["min"] <= ends[1]["max"] < ends[2]["min"]
    assert len(split.rows(Part.TEST)) == pytest.approx(365 / 4, abs=1)
    for train, score in split.folds(pd.factorize(frame["y"])[0], project):
        assert frame["at"].iloc[train].max() < frame["at"].iloc[score].min()


def test_rows_of_one_moment_stay_together() -> None:
    contract = timed_contract()
    frame = simple_frame(contract, 400, at=sorted(days(20) * 20))
    split = make_split(frame, contract, project_of(data={"time": "at"}))
    assert not straddles(split, frame["at"])


def test_later_rows_of_a_known_group_and_later_copies_are_not_judged() -> None:
    contract = simple_contract(column("at", "time", "time"), column("who", "text", "group"))
    who = [f"g{number}" for number in range(300)]
    who[290] = who[3]
    frame = simple_frame(contract, 300, at=days(300), who=who)
    copy_features(frame, 5, to=295)
    split = make_split(frame, contract, project_of(data={"time": "at", "group": "who"}))
    assert split.parts[[290, 295]].tolist() == [Part.EXCLUDED, Part.EXCLUDED]
    assert split.summary().excluded == 2
    assert "left out" in split.summary().sentence


def test_a_table_of_few_profiles_can_be_split_by_time() -> None:
    contract = contract_of(
        column("a", "integer"), column("at", "time", "time"), column("y", "category", "target"), classes=("no", "yes")
    )
    values: dict[str, list[Any]] = {
        "a": [number % 3 for number in range(300)],
        "at": days(300),
        "y": ["no", "yes"] * 150,
    }
    split = make_split(frame_of(contract, values), contract, project_of(data={"time": "at"}))
    assert split.summary().excluded == 0
    assert "too many to be copies" in split.summary().sentence


def test_given_parts_are_kept_and_their_copies_leave_training() -> None:
    contract = simple_contract(column("part", "category", "part"))
    frame = simple_frame(contract, 400, part=["train"] * 300 + ["TEST"] * 100)
    copy_features(frame, 350, to=7)
    split = make_split(frame, contract, project_of(split={"column": "part"}))
    np.testing.assert_array_equal(split.rows(Part.TEST), np.arange(300, 400))
    assert split.parts[7] == Part.EXCLUDED
    assert len(split.rows(Part.VALIDATION)) == pytest.approx(60, abs=1)


@pytest.mark.parametrize("strange", ["maybe", None])
def test_an_unknown_part_is_refused(strange: str | None) -> None:
    contract = simple_contract(column("part", "category", "part"))
    frame = simple_frame(contract, 100, part=["train", strange, *["test"] * 98])
    with pytest.raises(DataError, match=r"`part`.*row 2"):
        make_split(frame, contract, project_of(split={"column": "part"}))


def test_rows_without_target_or_time_are_in_no_part() -> None:
    contract = timed_contract()
    frame = simple_frame(contract, 300, at=[None, *days(299)])
    frame.loc[10, "y"] = None
    split = make_split(frame, contract, project_of(data={"time": "at"}))
    assert split.parts[[0, 10]].tolist() == [-1, -1]
    assert "no target" in split.summary().sentence
    assert "no time" in split.summary().sentence


@pytest.mark.parametrize(
    ("sections", "key"),
    [({"method": "group"}, "data.group"), ({"method": "time"}, "data.time")],
)
def test_a_method_without_its_column_is_refused(sections: dict[str, str], key: str) -> None:
    contract = simple_contract()
    with pytest.raises(ProjectError, match=key):
        make_split(simple_frame(contract), contract, project_of(split=dict(sections)))


@pytest.mark.parametrize("groups", [3, 4, 5, 8])
def test_a_few_large_groups_fill_every_part(groups: int) -> None:
    contract = panel_contract()
    for seed in range(10):
        frame = simple_frame(contract, 120, seed, who=[f"g{number % groups}" for number in range(120)])
        split = make_split(frame, contract, project_of(data={"group": "who"}, split={"seed": seed}))
        assert all(len(split.rows(part)) for part in PARTS)


def test_a_few_moments_fill_every_part() -> None:
    contract = timed_contract()
    frame = simple_frame(contract, 200, at=sorted(days(2) * 20 + [pd.Timestamp("2026-03-01")] * 160))
    split = make_split(frame, contract, project_of(data={"time": "at"}))
    assert [len(split.rows(part)) for part in PARTS] == [20, 20, 160]


def test_a_part_without_rows_is_refused() -> None:
    contract = panel_contract()
    frame = simple_frame(contract, 100, who=["one"] * 100)
    with pytest.raises(DataError, match="leaves no validation and no test rows"):
        make_split(frame, contract, project_of(data={"group": "who"}))


def test_a_class_that_only_comes_later_is_refused() -> None:
    contract = timed_contract()
    frame = simple_frame(contract, 200, at=days(200)).assign(y=pd.array(["no"] * 150 + ["yes"] * 50, dtype="string"))
    with pytest.raises(DataError, match="class `yes` of `y` has no row"):
        make_split(frame, contract, project_of(data={"time": "at"}))


def test_a_category_is_no_time() -> None:
    contract = simple_contract(column("at", "category"))
    frame = simple_frame(contract, 200, at=["spring", "summer"] * 100)
    with pytest.raises(DataError, match="no order in time"):
        make_split(frame, contract, project_of(data={"time": "at"}))


def folds_of(frame: pd.DataFrame, contract: Contract, project: Project) -> tuple[Split, list[tuple[np.ndarray, ...]]]:
    split = make_split(frame, contract, project)
    return split, list(split.folds(pd.factorize(frame["y"])[0], project))


def test_folds_are_stratified_and_cover_train_and_validation_once() -> None:
    contract = simple_contract()
    frame = simple_frame(contract, 1000)
    split, folds = folds_of(frame, contract, project_of())
    scored = np.sort(np.concatenate([score for _, score in folds]))
    np.testing.assert_array_equal(scored, split.rows(Part.TRAIN, Part.VALIDATION))
    shares = [(frame["y"].iloc[score] == "yes").mean() for _, score in folds]
    assert len(folds) == 5
    assert max(shares) - min(shares) < 0.01


def test_one_fold_scores_on_the_validation_part() -> None:
    contract = simple_contract()
    split, folds = folds_of(simple_frame(contract), contract, project_of(search={"folds": 1}))
    (train, score) = folds[0]
    np.testing.assert_array_equal(train, split.rows(Part.TRAIN))
    np.testing.assert_array_equal(score, split.rows(Part.VALIDATION))


def test_a_split_is_read_back_as_written(tmp_path: Path) -> None:
    contract = timed_contract()
    frame = simple_frame(contract, 300, at=[None, *days(299)])
    split = make_split(frame, contract, project_of(data={"time": "at"}))
    split.save(tmp_path / "split.parquet")
    again = Split.load(tmp_path / "split.parquet")
    for name in ("parts", "keys", "groups", "order"):
        np.testing.assert_array_equal(getattr(again, name), getattr(split, name))
        assert getattr(again, name).dtype == getattr(split, name).dtype
    assert (again.method, again.notes) == (split.method, split.notes)


def test_what_is_no_split_is_refused(tmp_path: Path) -> None:
    (tmp_path / "split.parquet").write_bytes(b"nothing")
    for name in ("split.parquet", "absent.parquet"):
        with pytest.raises(DataError, match="no split"):
            Split.load(tmp_path / name)


def test_groups_across_given_parts_leave_training_and_so_do_copies_under_another_group() -> None:
    contract = simple_contract(column("part", "category", "part"), column("who", "text", "group"))
    who = [f"g{number}" for number in range(400)]
    who[3] = who[310]
    frame = simple_frame(contract, 400, part=["train"] * 300 + ["test"] * 100, who=who)
    copy_features(frame, 350, to=7)
    split = make_split(frame, contract, project_of(data={"group": "who"}, split={"column": "part"}))
    assert np.flatnonzero(split.parts == Part.EXCLUDED).tolist() == [3, 7]
    assert len(split.notes) == 2


def test_groups_of_few_profiles_are_split_and_the_repetition_is_told() -> None:
    contract = contract_of(
        column("a", "integer"), column("who", "text", "group"), column("y", "category", "target"), classes=("no", "yes")
    )
    values: dict[str, list[Any]] = {
        "a": [number % 3 for number in range(400)],
        "who": [f"g{number // 4}" for number in range(400)],
    }
    frame = frame_of(contract, {**values, "y": ["no", "yes"] * 200})
    split = make_split(frame, contract, project_of(data={"group": "who"}))
    assert split.summary().excluded == 0
    assert "too many to be copies" in split.summary().sentence


def test_an_empty_allotment_is_empty() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert allot(none.astype(np.uint64), none, [0.5], "key").shape == (0,)
    assert allot_in_order(none, [0.5]).shape == (0,)
