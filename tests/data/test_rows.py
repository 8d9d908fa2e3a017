"""Rows of a request become columns."""

import subprocess
import sys
import time
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import contracts, tables
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.data.rows import array_to_rows, rows_to_columns
from tiltyard.data.values import Value
from tiltyard.errors import DataError
from tiltyard.project.metrics import Task

CONTRACT = Contract(
    task=Task.REGRESSION,
    columns=(
        Column(name="age", kind=Kind.INTEGER),
        Column(name="plan", kind=Kind.CATEGORY, levels=("basic", "gold"), nullable=True),
        Column(name="since", kind=Kind.TIME, nullable=True),
        Column(name="y", kind=Kind.NUMBER, role=Role.TARGET),
    ),
)


def test_rows_become_arrays_with_notes() -> None:
    typed = rows_to_columns([{"age": 41, "plan": "new", "zip": 1}, {"age": "7", "since": "2026-01-01"}], CONTRACT)
    np.testing.assert_array_equal(typed.columns["age"], np.array([41.0, 7.0]))
    assert typed.columns["plan"].tolist() == ["new", None]
    np.testing.assert_array_equal(typed.columns["since"], np.array(["NaT", "2026-01-01"], dtype="datetime64[us]"))
    assert typed.unknown_levels == {"plan": [0]}
    assert typed.unexpected == ("zip",)


def test_numbers_outside_the_range_are_noticed() -> None:
    changes = {"age": {"minimum": 19.0, "maximum": 75.0, "nullable": True}, "y": {"minimum": 0.0}}
    columns = tuple(column.model_copy(update=changes.get(column.name, {})) for column in CONTRACT.columns)
    ages = [19, 75, 18, None, 76, -(2**60)]
    typed = rows_to_columns([{"age": age} for age in ages], CONTRACT.model_copy(update={"columns": columns}))
    assert typed.outside == {"age": [2, 4, 5]}
    assert rows_to_columns([{"age": 1000}], CONTRACT).outside == {}


def test_a_key_that_only_looks_like_a_column_is_named_so() -> None:
    name = CONTRACT.columns[0].model_copy(update={"name": "Größe"})
    contract = CONTRACT.model_copy(update={"columns": (name, *CONTRACT.columns[1:])})
    with pytest.raises(DataError, match="`Größe`, which looks the same"):
        rows_to_columns([{unicodedata.normalize("NFD", "Größe"): 1}], contract)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "row 1: there is no `age`"),
        ({"Age": 4}, "there is no `age`. `Age` was sent, and is probably meant to be `age`."),
        ({"agee": 4}, "`agee` was sent, and is probably meant to be `age`."),
        ({"age": None}, "`age` is missing, and may not be"),
        ({"age": float("nan")}, "`age` is missing"),
        ({"age": float("inf")}, "the value of `age` is not an integer. It is not finite"),
        ({"age": [1, 2]}, "the value of `age` is not an integer"),
    ],
)
def test_bad_rows_name_row_and_column(row: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match="row 1") as caught:
        rows_to_columns([{"age": 1}, row], CONTRACT)
    assert message in str(caught.value)


def test_any_number_of_unknown_keys_costs_little() -> None:
    row: dict[str, object] = {f"agee{number}": number for number in range(300_000)}
    row |= {"a" * 1_000_000: 1}
    start = time.perf_counter()
    with pytest.raises(DataError, match="row 0: there is no `age`"):
        rows_to_columns([row], CONTRACT)
    assert time.perf_counter() - start < 3


def test_messages_never_echo_a_value() -> None:
    with pytest.raises(DataError) as caught:
        rows_to_columns([{"age": "secret-4711"}], CONTRACT)
    assert "4711" not in str(caught.value)


def test_new_levels_can_be_refused() -> None:
    strict = CONTRACT.columns[1].model_copy(update={"new_levels": "refuse"})
    contract = CONTRACT.model_copy(update={"columns": (CONTRACT.columns[0], strict, CONTRACT.columns[3])})
    with pytest.raises(DataError, match="row 1: `plan` has a level"):
        rows_to_columns([{"age": 1, "plan": "gold"}, {"age": 1, "plan": "new"}], contract)


def test_cures_are_for_whoever_asks_and_cannot_change_the_contract() -> None:
    strict = CONTRACT.columns[1].model_copy(update={"new_levels": "refuse"})
    contract = CONTRACT.model_copy(update={"columns": (CONTRACT.columns[0], strict, CONTRACT.columns[3])})
    rows: dict[str, dict[str, object]] = {
        "wrong": {"age": "x"},
        "missing": {"age": None},
        "new": {"age": 1, "plan": "new"},
    }
    cures = {}
    for name, row in rows.items():
        with pytest.raises(DataError) as caught:
            rows_to_columns([row], contract)
        cures[name] = caught.value.cure
    assert cures == {
        "wrong": "Numbers are written like 1234.5. Correct it.",
        "missing": "Send its value: no row was without it in training.",
        "new": "Send one that it knows: `GET /v1/models/NAME` has them.",
    }


def test_positional_values_get_their_names() -> None:
    assert array_to_rows([1, "gold", None], CONTRACT) == [{"age": 1, "plan": "gold", "since": None}]
    assert len(array_to_rows([[1, "gold", None], [2, None, None]], CONTRACT)) == 2
    with pytest.raises(DataError, match="row 1: 2 values where the model has 3 features"):
        array_to_rows([[1, "gold", None], [2, None]], CONTRACT)
    with pytest.raises(DataError, match="0 values"):
        array_to_rows([], CONTRACT)


@settings(deadline=None)
@given(contracts().flatmap(lambda contract: st.tuples(st.just(contract), tables(contract))))
def test_rows_that_keep_the_contract_are_answered(drawn: tuple[Contract, list[dict[str, Value]]]) -> None:
    contract, rows = drawn
    typed = rows_to_columns(rows, contract)
    assert list(typed.columns) == [column.name for column in contract.features]
    assert all(len(array) == len(rows) for array in typed.columns.values())
    assert not typed.unknown_levels
    assert not typed.unexpected


def test_a_worker_that_types_rows_imports_nothing_heavy() -> None:
    code = "import sys, tiltyard.data.rows; print([m for m in ('pandas', 'sklearn', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
