"""Groups of rows: how they are cut, the planted weak one found, luck not mistaken for weakness."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from tiltyard.bundle.model import Columns, Predictions
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.errors import DataError
from tiltyard.evaluation.intervals import Judged, estimate
from tiltyard.evaluation.paired import contest
from tiltyard.evaluation.slices import compare_slices, deciding_columns, name_weakest, score_slices, slices_of
from tiltyard.evaluation.units import Units
from tiltyard.project.metrics import Task

CONTRACT = Contract(
    task=Task.BINARY,
    columns=(
        Column(name="plan", kind=Kind.CATEGORY, nullable=True, levels=("basic", "pro", "plus")),
        Column(name="age", kind=Kind.NUMBER, nullable=True),
        Column(name="active", kind=Kind.BOOLEAN),
        Column(name="since", kind=Kind.TIME),
        Column(name="note", kind=Kind.TEXT),
        Column(name="left", kind=Kind.CATEGORY, role=Role.TARGET),
    ),
    classes=("no", "yes"),
)


def table(rows: int = 1200, seed: int = 0) -> dict[str, NDArray[np.generic]]:
    rng = np.random.default_rng(seed)
    age = rng.normal(40, 10, rows).round(1)
    age[:60] = np.nan
    plan = rng.choice(np.array(["basic", "pro", "plus", None], dtype=object), rows, p=[0.5, 0.3, 0.15, 0.05])
    since = np.datetime64("2026-01-01", "us") + rng.integers(0, 300, rows) * np.timedelta64(1, "D")
    note = np.array(["text"] * rows, dtype=object)
    return {"plan": plan, "age": age, "active": rng.integers(0, 2, rows).astype(float), "since": since, "note": note}


def answers(columns: Columns, weak: float = 0.0) -> Judged:
    rng = np.random.default_rng(7)
    rows = len(columns["age"])
    odds = rng.normal(0, 3, rows)
    y = (rng.random(rows) < expit(odds)).astype(np.int64)
    odds = np.where(columns["plan"] == "pro", (1 - weak) * odds + weak * rng.normal(0, 3, rows), odds)
    scores = expit(odds)
    return Judged(y, Predictions(np.column_stack([1 - scores, scores])), 0.5, Units.of(rows))


def test_groups_of_a_column_share_out_its_rows() -> None:
    columns = table()
    for name in ("plan", "age", "active", "since"):
        parts = list(slices_of(columns, CONTRACT, [name]))
        together = np.sort(np.concatenate([part.rows for part in parts]))
        assert np.array_equal(together, np.arange(1200)), name


def test_groups_are_named_as_people_would() -> None:
    levels = {name: [part.level for part in slices_of(table(), CONTRACT, [name])] for name in ("plan", "active")}
    assert levels == {"plan": ["basic", "pro", "plus", "missing"], "active": ["false", "true"]}
    bands = list(slices_of(table(), CONTRACT, ["age"]))
    assert [part.level.split()[0] for part in bands] == ["up", "above", "above", "above", "missing"]
    assert len(bands[-1].rows) == 60
    assert all(250 < len(part.rows) < 320 for part in bands[:-1])


def test_rare_levels_are_joined() -> None:
    columns = {**table(), "plan": np.array([f"p{row % 40}" for row in range(1200)], dtype=object)}
    levels = [part.level for part in slices_of(columns, CONTRACT, ["plan"])]
    assert len(levels) == 16
    assert levels[-1] == "one of 25 rarer levels"


def test_texts_and_constants_make_no_groups() -> None:
    columns = {**table(), "age": np.full(1200, 3.0)}
    assert {part.column for part in slices_of(columns, CONTRACT)} == {"plan", "active", "since"}


def test_a_wrong_column_is_named() -> None:
    with pytest.raises(DataError, match="Did you mean `plan`"):
        list(slices_of(table(), CONTRACT, ["plann"]))


def test_the_gate_looks_at_categories_and_booleans_unless_told() -> None:
    assert deciding_columns(CONTRACT, None) == ("plan", "active")
    assert deciding_columns(CONTRACT, ("age",)) == ("age",)
    assert deciding_columns(CONTRACT, ()) == ()


@pytest.mark.parametrize("metric", ["accuracy", "roc_auc", "log_loss", "f1"])
def test_the_planted_weakness_is_found_and_named(metric: str) -> None:
    columns = table()
    judged = answers(columns, weak=1.0)
    scores = score_slices(metric, judged, slices_of(columns, CONTRACT))
    assert (scores[0].column, scores[0].level) == ("plan", "pro")
    assert scores[0].p_value is not None
    assert scores[0].p_value < 0.001
    overall = estimate(metric, judged)
    assert overall is not None
    sentence = name_weakest(metric, overall, scores)
    assert f"The weakest of {len(scores)} groups is plan = pro" in sentence
    assert "corrected for the number of groups" in sentence


def test_luck_is_not_called_weakness() -> None:
    called = 0
    for seed in range(20):
        columns = table(seed=seed)
        judged = answers(columns)
        scores = score_slices("accuracy", judged, slices_of(columns, CONTRACT))
        overall = estimate("accuracy", judged)
        assert overall is not None
        called += "can be luck" not in name_weakest("accuracy", overall, scores)
    assert called <= 3


def test_small_groups_are_left_out() -> None:
    columns = table()
    scores = score_slices("accuracy", answers(columns), slices_of(columns, CONTRACT), fewest=200)
    assert all(one.rows >= 200 for one in scores)
    assert name_weakest("accuracy", scores[0].score, ()) == ""


def test_contests_by_group_skip_where_nothing_can_be_told() -> None:
    columns = table()
    strong, weak = answers(columns), answers(columns, weak=1.0)
    y = np.where(columns["active"] == 1, 1, strong.y).astype(np.int64)
    fight = contest("roc_auc", y, weak.predictions, strong.predictions)
    found = {
        f"{part.column}={part.level}": part.comparison
        for part in compare_slices(fight, slices_of(columns, CONTRACT, ("plan", "active")), fewest=100)
    }
    assert "active=true" not in found
    assert found["plan=pro"].difference.high < 0
    assert found["plan=basic"].difference.value == 0
