"""Protection at reading: nothing in the clear gets past it."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import contracts, tables
from tiltyard.data.coercion import coerce_features, feature_columns
from tiltyard.data.contract import Column, Contract, Kind, NumberFormat, Role
from tiltyard.data.dataset import ingest
from tiltyard.data.protect import protect_frame
from tiltyard.data.protection import keyed_hash
from tiltyard.data.rows import rows_to_columns
from tiltyard.data.usage import in_use
from tiltyard.data.values import Value
from tiltyard.errors import DataError, ProjectError
from tiltyard.project.coarsening import Coarsen
from tiltyard.project.metrics import Task
from tiltyard.project.model import Project, Protection

KEY = "a long random text"
CONTRACT = Contract(
    task=Task.REGRESSION,
    columns=(
        Column(name="age", kind=Kind.INTEGER, minimum=18, maximum=77),
        Column(name="city", kind=Kind.CATEGORY, levels=("Bern", "Genève"), nullable=True),
        Column(name="seen", kind=Kind.TIME, nullable=True, time_format="%d.%m.%Y"),
        Column(name="name", kind=Kind.TEXT),
        Column(name="y", kind=Kind.NUMBER, role=Role.TARGET),
    ),
)
PROTECT: dict[str, Protection] = {
    "age": Coarsen(coarsen=10.0),
    "city": "hash",
    "seen": Coarsen(coarsen="month"),
    "name": "drop",
}
FRAME = pd.DataFrame(
    {
        "age": ["18", "29", "77"],
        "city": ["Bern", "?", "Genève"],
        "seen": ["17.03.2026", "", "01.01.2026"],
        "name": ["Ann", "Bob", "Eve"],
        "y": ["1", "2", "3"],
    }
)


def project(protect: dict[str, Protection]) -> Project:
    content = {"name": "p", "task": {"kind": "regression"}, "data": {"source": "t.csv", "target": "y"}}
    made = Project.model_validate(content)
    return made.model_copy(update={"data": made.data.model_copy(update={"protect": protect, "missing": ("?",)})})


def test_columns_are_dropped_hashed_and_coarsened() -> None:
    typed = ingest(project(PROTECT), CONTRACT, read=lambda: FRAME, key=KEY)
    assert list(typed.columns) == ["age", "city", "seen", "y"]
    assert typed["age"].tolist() == [10, 20, 70]
    assert [str(moment)[:10] for moment in typed["seen"]] == ["2026-03-01", "NaT", "2026-01-01"]
    assert pd.isna(typed["city"].iloc[1])
    assert all(re.fullmatch("[0-9a-f]{16}", text) for text in typed["city"].dropna())
    assert "Bern" not in str(typed.to_dict())
    assert FRAME["city"].iloc[0] == "Bern"


def test_hashes_depend_on_key_and_column_and_nothing_else() -> None:
    both = CONTRACT.model_copy(update={"columns": (*CONTRACT.columns, Column(name="town", kind=Kind.CATEGORY))})
    frame = pd.DataFrame({"city": ["Bern", " Bern "], "town": ["Bern", "Bern"]})
    used = {
        key: in_use(both, project({"city": "hash", "town": "hash"}), key) for key in (KEY, "another long random text")
    }
    first, other = (protect_frame(frame, contract, key) for key, contract in used.items())
    assert first["city"][0] == first["city"][1]
    assert first["city"][0] != first["town"][0]
    assert first["city"][0] != other["city"][0]


@pytest.mark.parametrize("raw", [["3.50"], [3.5], ["1,003.5"]])
def test_hashes_do_not_depend_on_how_a_number_is_written(raw: list[object]) -> None:
    contract = CONTRACT.model_copy(update={"numbers": NumberFormat(thousands=",")})
    changed = {"city": CONTRACT.column("city").model_copy(update={"kind": Kind.NUMBER, "levels": ()})}
    columns = tuple(changed.get(column.name, column) for column in contract.columns)
    used = in_use(contract.model_copy(update={"columns": columns}), project({"city": "hash"}), KEY)
    number = 1003.5 if raw == ["1,003.5"] else 3.5
    assert protect_frame(pd.DataFrame({"city": raw}), used, KEY)["city"][0] == keyed_hash("city", str(number), KEY)


def test_the_contract_in_use_describes_protected_columns() -> None:
    contract = in_use(CONTRACT, project(PROTECT), KEY)
    assert [column.name for column in contract.columns] == ["age", "city", "seen", "y"]
    assert (contract.column("age").minimum, contract.column("age").maximum) == (10, 70)
    assert contract.missing == ("?",)
    assert "Bern" not in contract.model_dump_json()
    assert KEY not in contract.model_dump_json()
    assert Contract.model_validate_json(contract.model_dump_json()) == contract


def test_a_request_is_protected_at_the_door_as_a_table_is() -> None:
    contract = in_use(CONTRACT, project(PROTECT), KEY)
    table = feature_columns(ingest(project(PROTECT), CONTRACT, read=lambda: FRAME, key=KEY), contract)
    rows = [{str(name): value for name, value in row.items()} for row in FRAME.to_dict("records")]
    typed = rows_to_columns(rows, contract, KEY)
    batch = coerce_features(protect_frame(FRAME, contract, KEY), contract, where="t")
    for name, values in table.items():
        np.testing.assert_array_equal(typed.columns[name], values)
        np.testing.assert_array_equal(feature_columns(batch, contract)[name], values)
    assert not typed.unknown_levels
    assert typed.unexpected == ("name",)


@pytest.mark.parametrize(("key", "sentence"), [(None, "there is no key"), ("other", "not the one that `city`")])
def test_a_request_without_the_right_key_is_refused(key: str | None, sentence: str) -> None:
    contract = in_use(CONTRACT, project(PROTECT), KEY)
    with pytest.raises(ProjectError, match=sentence):
        rows_to_columns([{"age": 41, "city": "Bern"}], contract, key)


def test_a_bad_value_in_a_request_is_explained_as_what_was_asked_for() -> None:
    contract = in_use(CONTRACT, project(PROTECT), KEY)
    with pytest.raises(DataError, match=r"`seen` is not a time\. Times are written in the form") as caught:
        rows_to_columns([{"age": 41, "seen": "4711"}], contract, KEY)
    assert "4711" not in str(caught.value)


def test_a_protection_written_into_the_contract_is_refused() -> None:
    with pytest.raises(ProjectError, match="`age` has a `protection` in the contract"):
        in_use(in_use(CONTRACT, project(PROTECT), KEY), project({}), KEY)


@pytest.mark.parametrize(
    ("protect", "key", "message"),
    [
        ({"city": "hash"}, None, "there is no key.*TILTYARD_PROTECT_KEY"),
        ({"town": "hash"}, KEY, "`town`, which is not a column"),
        ({"city": Coarsen(coarsen=10.0)}, KEY, "cannot coarsen `city`"),
        ({"age": Coarsen(coarsen="year")}, KEY, "cannot coarsen `age`"),
        ({"city": "hash"}, "15 characters..", "has 15 characters, .*random text of 16 characters or more"),
        ({"y": "drop"}, KEY, "names the target `y`"),
        ({"nam": "drop"}, KEY, "`nam`, which is not a column of the contract or of the table. Did you mean `name`"),
        ({"age": Coarsen(coarsen=1.0e-320)}, KEY, "bands as narrow as .*Give a width in the units"),
    ],
)
def test_what_cannot_be_protected_is_refused(protect: dict[str, Protection], key: str | None, message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        ingest(project(protect), CONTRACT, read=lambda: FRAME, key=key)


@pytest.mark.parametrize("key", ["time", "group"])
def test_a_column_that_is_needed_cannot_be_dropped_by_protection(key: str) -> None:
    made = project({"seen": "drop"})
    made = made.model_copy(update={"data": made.data.model_copy(update={key: "seen"})})
    with pytest.raises(ProjectError, match=rf"drops `seen`, which `data.{key}` needs\. Take it out"):
        in_use(CONTRACT, made, KEY)


def test_a_time_that_is_hashed_has_no_order() -> None:
    made = project({"seen": "hash"})
    made = made.model_copy(update={"data": made.data.model_copy(update={"time": "seen"})})
    with pytest.raises(ProjectError, match=r"`data\.time: seen` is a category after its protection"):
        in_use(CONTRACT, made, KEY)


def test_a_column_outside_the_contract_may_be_dropped_if_the_table_has_it() -> None:
    frame = FRAME.assign(phone=["1", "2", "3"])
    assert "phone" not in ingest(project({"phone": "drop"}), CONTRACT, read=lambda: frame)
    with pytest.raises(ProjectError, match="Did you mean `phone`"):
        ingest(project({"phon": "drop"}), CONTRACT, read=lambda: frame)


def test_an_unreadable_protected_value_is_not_shown() -> None:
    frame = FRAME.assign(age=["18", "secret", "77"])
    with pytest.raises(DataError, match="protected column `age`") as caught:
        protect_frame(frame, in_use(CONTRACT, project(PROTECT), KEY), KEY)
    assert "secret" not in str(caught.value)
    assert "row 1" in caught.value.where


@settings(max_examples=60, deadline=None)
@given(contracts().flatmap(lambda contract: st.tuples(st.just(contract), tables(contract))))
def test_rows_and_tables_are_protected_alike(drawn: tuple[Contract, list[dict[str, Value]]]) -> None:
    contract, rows = drawn
    choices: dict[Kind, Protection] = {
        Kind.NUMBER: Coarsen(coarsen=2.5),
        Kind.INTEGER: Coarsen(coarsen=7.0),
        Kind.TIME: Coarsen(coarsen="day"),
    }
    protect = {column.name: choices.get(column.kind, "hash") for column in contract.features}
    content = {"name": "p", "task": {"kind": contract.task.value}, "data": {"source": "t.csv", "target": "y"}}
    made = Project.model_validate_json(json.dumps(content))
    made = made.model_copy(update={"data": made.data.model_copy(update={"protect": protect})})
    used = in_use(contract, made, KEY)
    try:
        typed = coerce_features(protect_frame(pd.DataFrame(rows, dtype=object), used, KEY), used, where="t")
    except DataError:  # a band that begins below the smallest integer or number
        with pytest.raises(DataError):
            rows_to_columns(rows, used, KEY)
        return
    one_by_one = rows_to_columns(rows, used, KEY).columns
    for name, values in feature_columns(typed, used).items():
        np.testing.assert_array_equal(one_by_one[name], values)
