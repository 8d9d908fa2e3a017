"""Whole tables are typed, or refused with places and values."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tiltyard.data.coercion import coerce, coerce_features, feature_columns, target_array
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.data.sources import read_source
from tiltyard.errors import DataError
from tiltyard.project.environment import Environment, Workplace
from tiltyard.project.metrics import Task
from tiltyard.project.model import CsvSource

CONTRACT = Contract(
    task=Task.BINARY,
    columns=(
        Column(name="age", kind=Kind.INTEGER),
        Column(name="plan", kind=Kind.CATEGORY, levels=("basic", "gold"), nullable=True),
        Column(name="note", kind=Kind.TEXT, role=Role.DROPPED, nullable=True),
        Column(name="churned", kind=Kind.CATEGORY, role=Role.TARGET, levels=("no", "yes")),
    ),
    classes=("no", "yes"),
)


def raw(**columns: list[Any]) -> pd.DataFrame:
    start: dict[str, list[Any]] = {"age": ["41", "7"], "plan": ["gold", ""], "churned": ["yes", "no"]}
    return pd.DataFrame(start | columns)


def test_columns_come_in_the_order_of_the_contract() -> None:
    typed = coerce(raw(zip=["1", "2"])[["zip", "churned", "plan", "age"]], CONTRACT, where="t")
    assert list(typed.columns) == ["age", "plan", "note", "churned"]
    assert typed["note"].isna().all()
    assert typed.dtypes.astype(str).to_dict() == {
        "age": "Int64",
        "plan": "string",
        "note": "string",
        "churned": "string",
    }


def test_an_absent_column_is_named_with_its_near_miss() -> None:
    with pytest.raises(DataError, match=r"the column `age` of the contract is not in the table\. Did you mean `ages`"):
        coerce(raw().rename(columns={"age": "ages"}), CONTRACT, where="t")


def test_three_places_and_the_count_are_told(tmp_path: Path) -> None:
    bad = "".join(f"x{n},gold,no\n" for n in range(5))
    (tmp_path / "t.csv").write_text(f"age,plan,churned\n1,gold,yes\n{bad}")
    frame = read_source(CsvSource(path="t.csv"), workplace=Workplace(tmp_path / "tiltyard.yaml", Environment()))
    with pytest.raises(DataError) as caught:
        coerce(frame, CONTRACT, where="t.csv")
    assert "column `age` holds 5 values that are not an integer" in caught.value.what
    assert f"'x0' at {tmp_path}/t.csv:3, 'x1' at {tmp_path}/t.csv:4" in caught.value.what
    assert caught.value.what.endswith("and 2 more")
    assert "`kind` (integer)" in caught.value.cure


def test_a_table_without_lines_names_rows() -> None:
    with pytest.raises(DataError, match=r"`3\.5` at t, row 1"):
        coerce(raw(age=[1, 3.5]), CONTRACT, where="t")


def test_features_need_no_target_but_keep_the_contract() -> None:
    typed = coerce_features(raw().drop(columns="churned"), CONTRACT, where="t")
    assert list(typed.columns) == ["age", "plan"]
    with pytest.raises(DataError, match="column `age` is missing in 1 rows, first at t, row 1"):
        coerce_features(raw(age=["1", None]), CONTRACT, where="t")
    strict = CONTRACT.columns[1].model_copy(update={"new_levels": "refuse"})
    contract = CONTRACT.model_copy(update={"columns": (strict, CONTRACT.columns[3])})
    with pytest.raises(DataError, match="column `plan` has the new level 'new' at t, row 1"):
        coerce_features(raw(plan=[None, "new"]), contract, where="t")


def test_features_become_arrays() -> None:
    columns = feature_columns(coerce(raw(), CONTRACT, where="t"), CONTRACT)
    assert {name: array.dtype.kind for name, array in columns.items()} == {"age": "f", "plan": "O"}
    assert columns["plan"].tolist() == ["gold", None]


def test_targets_become_codes_or_numbers() -> None:
    typed = coerce(raw(churned=["yes", None]), CONTRACT, where="t")
    np.testing.assert_array_equal(target_array(typed, CONTRACT), np.array([1, -1]))
    with pytest.raises(DataError, match="the class `maybe`"):
        target_array(coerce(raw(churned=["yes", "maybe"]), CONTRACT, where="t"), CONTRACT)
    number = Column(name="churned", kind=Kind.INTEGER, role=Role.TARGET)
    regression = Contract(task=Task.REGRESSION, columns=(CONTRACT.columns[0], number))
    values = target_array(coerce(raw(churned=["3", None]), regression, where="t"), regression)
    np.testing.assert_array_equal(values, np.array([3.0, np.nan]))


@pytest.mark.parametrize("classes", [(0, 1), (1, 2), (0, 1, 2)])
def test_integer_classes_are_their_codes(classes: tuple[int, ...]) -> None:
    task = Task.BINARY if len(classes) == 2 else Task.MULTICLASS
    contract = Contract(task=task, columns=(Column(name="y", kind=Kind.INTEGER, role=Role.TARGET),), classes=classes)
    typed = coerce(pd.DataFrame({"y": [str(label) for label in classes]}), contract, where="t")
    assert target_array(typed, contract).tolist() == list(range(len(classes)))


def test_pandas_categories_are_typed_by_their_values() -> None:
    frame = raw(plan=["gold", None]).astype({"plan": "category", "age": "category"})
    typed = coerce(frame, CONTRACT, where="t")
    assert typed["plan"].tolist() == ["gold", pd.NA]
    assert typed["age"].tolist() == [41, 7]
