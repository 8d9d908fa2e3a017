"""Protection at reading: nothing in the clear gets past it."""

import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import contracts, tables
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.data.dataset import ingest
from tiltyard.data.protect import protect_frame, protect_row
from tiltyard.data.rows import rows_to_columns
from tiltyard.data.usage import in_use
from tiltyard.data.values import Value
from tiltyard.errors import DataError, ProjectError
from tiltyard.project.metrics import Task
from tiltyard.project.model import Coarsen, Project, Protection

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
    contract = CONTRACT.model_copy(update={"missing": ("?",)})
    protected = protect_frame(FRAME, PROTECT, contract, KEY)
    assert list(protected.columns) == ["age", "city", "seen", "y"]
    assert protected["age"].tolist() == [10, 20, 70]
    assert [str(moment)[:10] for moment in protected["seen"]] == ["2026-03-01", "None", "2026-01-01"]
    assert protected["city"].iloc[1] is None
    assert all(re.fullmatch("[0-9a-f]{16}", text) for text in protected["city"].dropna())
    assert "Bern" not in str(protected.to_dict())
    assert FRAME["city"].iloc[0] == "Bern"


def test_hashes_depend_on_key_and_column_and_nothing_else() -> None:
    both = CONTRACT.model_copy(update={"columns": (*CONTRACT.columns, Column(name="town", kind=Kind.CATEGORY))})
    row = {"city": "Bern", "town": "Bern"}
    protect: dict[str, Protection] = {"city": "hash", "town": "hash"}
    first = protect_row(row, protect, both, KEY)
    assert first == protect_row({"city": " Bern ", "town": "Bern"}, protect, both, KEY)
    assert first["city"] != first["town"]
    assert first != protect_row(row, protect, both, "another key")


def test_the_contract_in_use_describes_protected_columns() -> None:
    contract = in_use(CONTRACT, project(PROTECT), KEY)
    assert [column.name for column in contract.columns] == ["age", "city", "seen", "y"]
    assert (contract.column("age").minimum, contract.column("age").maximum) == (10, 70)
    assert contract.missing == ("?",)
    assert "Bern" not in contract.model_dump_json()
    row = protect_row({"age": 41, "city": "Bern", "seen": None, "name": "Ann"}, PROTECT, CONTRACT, KEY)
    typed = rows_to_columns([row], contract)
    assert not typed.unknown_levels
    assert typed.columns["age"].tolist() == [40.0]


@pytest.mark.parametrize(
    ("protect", "key", "message"),
    [
        ({"city": "hash"}, None, "there is no key.*TILTYARD_PROTECT_KEY"),
        ({"town": "hash"}, KEY, "`town`, which is not a column"),
        ({"city": Coarsen(coarsen=10.0)}, KEY, "cannot coarsen `city`"),
        ({"age": Coarsen(coarsen="year")}, KEY, "cannot coarsen `age`"),
        ({"y": "drop"}, KEY, "names the target `y`"),
    ],
)
def test_what_cannot_be_protected_is_refused(protect: dict[str, Protection], key: str | None, message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        ingest(project(protect), CONTRACT, read=lambda: FRAME, key=key)


def test_an_unreadable_protected_value_is_not_shown() -> None:
    frame = FRAME.assign(age=["18", "secret", "77"])
    with pytest.raises(DataError, match="protected column `age`") as caught:
        protect_frame(frame, PROTECT, CONTRACT.model_copy(update={"missing": ("?",)}), KEY)
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
    frame = protect_frame(pd.DataFrame(rows, dtype=object), protect, contract, KEY)
    one_by_one = [protect_row(row, protect, contract, KEY) for row in rows]
    assert frame.to_dict("records") == one_by_one
