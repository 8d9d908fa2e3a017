"""What `init` guesses from a table, and why."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import assume, given, settings

from tests.strategies import contracts, tables
from tiltyard.data.coercion import coerce
from tiltyard.data.contract import Contract, Kind, Level, NumberFormat, Role
from tiltyard.data.contract_file import dump_contract
from tiltyard.data.inference import Hints, Inference, infer, project_name
from tiltyard.data.sources import read_source
from tiltyard.data.usage import in_use
from tiltyard.data.values import Value
from tiltyard.errors import DataError, UsageError
from tiltyard.project.environment import Environment, Workplace
from tiltyard.project.loading import parse_model
from tiltyard.project.metrics import Task
from tiltyard.project.model import CsvSource, Project


def inferred(columns: dict[str, Any], *, task: Task | None = None, hints: Hints | None = None) -> Inference:
    frame = pd.DataFrame({name: pd.Series(values) for name, values in columns.items()})
    return infer(frame, target="y", name="test", where="table", task=task, hints=hints)


def guessed_kind(values: list[Any]) -> Kind:
    other = [1.5, *([2.5] * (len(values) - 1))]
    return inferred({"x": values, "z": other, "y": [0, 1] * (len(values) // 2)}).contract.column("x").kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "2", "NULL", "4"], Kind.INTEGER),
        (["1.5", "2", "", "4"], Kind.NUMBER),
        (["1e3", "2", "3", "4"], Kind.NUMBER),
        (["007", "008", "009", "010"], Kind.CATEGORY),
        (["12345678901234567890"] * 4, Kind.CATEGORY),
        (["yes", "no", "Yes", "NO"], Kind.BOOLEAN),
        (["true", "true", "true", "true"], Kind.BOOLEAN),
        (["y", "y", "y", "y"], Kind.CATEGORY),
        (["2026-01-01", "2026-01-02T10:00", "", "2026-01-03"], Kind.TIME),
        (["31.01.2026", "01.02.2026", "02.02.2026", "02.02.2026"], Kind.TIME),
        (["a", "b", "a", "b"], Kind.CATEGORY),
        ([f"word {n}" for n in range(40)], Kind.TEXT),
        ([1, 2, 3, 5], Kind.INTEGER),
        ([1.0, 2.0, np.nan, 4.0], Kind.NUMBER),
        ([True, False, True, None], Kind.BOOLEAN),
        ([1, "a", 2, "b"], Kind.CATEGORY),
        (list(pd.to_datetime(["2026-01-01", "2026-01-02"], utc=True)), Kind.TIME),
    ],
)
def test_kinds(values: list[Any], kind: Kind) -> None:
    assert guessed_kind(values) is kind


@pytest.mark.parametrize(
    ("target", "task", "classes"),
    [
        ([0, 1, 1, 1], Task.BINARY, (0, 1)),
        ([1, 2, 2, 2], Task.BINARY, (2, 1)),
        ([1, 2, 1, 1], Task.BINARY, (1, 2)),
        ([-1, 1, 1, 1], Task.BINARY, (-1, 1)),
        (["Yes", "No", "Yes", "Yes"], Task.BINARY, ("No", "Yes")),
        (["true", "false", "true", "true"], Task.BINARY, ("false", "true")),
        ([True, False, True, True], Task.BINARY, (False, True)),
        ([0.0, 1.0, 1.0, np.nan], Task.BINARY, (0, 1)),
        (["good", "bad", "bad", "bad"], Task.BINARY, ("good", "bad")),
        ([0, 1, 2, 2], Task.MULTICLASS, (0, 1, 2)),
        ([1, 2, 3, 3], Task.MULTICLASS, (1, 2, 3)),
        (["b", "a", "c", "c"], Task.MULTICLASS, ("a", "b", "c")),
        ([3, 4, 5, 9], Task.REGRESSION, ()),
        ([0, 1, 5, 5], Task.REGRESSION, ()),
        (["1,5", "2,5", "3,25", "1,5"], Task.REGRESSION, ()),
    ],
)
def test_task_and_positive_class(target: list[Any], task: Task, classes: tuple[Level, ...]) -> None:
    result = inferred({"x": [1.5, 2.5, 3.5, 4.5], "y": target})
    assert (result.contract.task, result.contract.classes) == (task, classes)
    assert result.project["task"].get("positive") == (classes[-1] if task is Task.BINARY else None)


def test_what_the_user_names_is_taken() -> None:
    hints = Hints(
        positive="no", drop=("x",), ids=("k",), group="g", missing=("n/k",), source={"kind": "csv", "path": "t"}
    )
    columns = {"x": [1, 2, 3], "k": [5, 5, 6], "g": ["a", "b", "b"], "z": ["1", "n/k", "2"], "y": ["no", "yes", "no"]}
    result = inferred(columns, hints=hints)
    assert result.contract.classes == ("yes", "no")
    roles = [result.contract.column(name).role for name in ("x", "k", "g", "z")]
    assert roles == [Role.DROPPED, Role.ID, Role.GROUP, Role.FEATURE]
    assert result.contract.column("z").kind is Kind.INTEGER
    data = result.project["data"]
    assert (data["drop"], data["ids"], data["group"], data["missing"]) == (["x"], ["k"], "g", ["n/k"])
    assert inferred({"x": [1.5, 2.5, 3.5], "y": [3, 4, 9]}, task=Task.MULTICLASS).contract.classes == (3, 4, 9)


def test_roles_are_guessed_with_reasons() -> None:
    rows = 30
    result = inferred(
        {
            "row": range(1, rows + 1),
            "user_id": [f"u{n % 7}" for n in range(rows)],
            "order_id": [f"o{n}" for n in range(rows)],
            "date_of_birth": ["1990-01-01"] * rows,
            "seen": [f"2026-01-{n % 28 + 1:02}" for n in range(rows)],
            "fold": ["train", "test", "train"] * (rows // 3),
            "empty": [None] * rows,
            "x": [n * 0.5 for n in range(rows)],
            "y": [0, 1, 1] * (rows // 3),
        }
    )
    guesses = {guess.subject: guess.guess for guess in result.guesses}
    assert guesses["data.time"] == "seen"
    assert guesses["data.group"] == "user_id"
    assert guesses["split.column"] == "fold"
    assert result.project["data"]["ids"] == ["row", "order_id"]
    assert result.project["data"]["drop"] == ["empty"]
    assert result.project["split"] == {"column": "fold"}
    assert [column.name for column in result.contract.features] == ["date_of_birth", "x"]
    assert all(guess.why for guess in result.guesses)


@pytest.mark.parametrize(
    ("columns", "missing"),
    [
        ({"x": ["1", "?", "3"]}, ("?",)),
        ({"x": ["a", "?", "a"]}, ("?",)),
        ({"x": ["1.5", "-", "3"]}, ("-",)),
        ({"x": ["a", "-", "a"]}, ()),
        ({"x": ["1", "unknown", "3"]}, ()),
        ({"x": [*map(str, range(30)), "unknown"]}, ("unknown",)),
    ],
)
def test_missing_markers(columns: dict[str, list[str]], missing: tuple[str, ...]) -> None:
    result = inferred({**columns, "y": [0, 1] * 20}) if len(columns["x"]) == 40 else _with_target(columns)
    assert result.contract.missing == missing
    assert result.project["data"].get("missing", []) == list(missing)
    assert result.contract.column("x").nullable is bool(missing)


def _with_target(columns: dict[str, list[str]]) -> Inference:
    return inferred({**columns, "y": [n % 2 for n in range(len(columns["x"]))]})


@pytest.mark.parametrize(
    ("columns", "numbers"),
    [
        ({"a": ["1,5", "2,25"], "b": ["1", "2"]}, NumberFormat(decimal=",")),
        ({"a": ["1,234.5", "2.5"]}, NumberFormat(thousands=",")),
        ({"a": ["1.234,5", "2,5"]}, NumberFormat(decimal=",", thousands=".")),
        ({"a": ["1 234,5", "2,5"]}, NumberFormat(decimal=",", thousands=" ")),
        ({"a": ["1'234.5", "2.5"]}, NumberFormat(thousands="'")),
        ({"a": ["1.234", "2.345"]}, NumberFormat()),
        ({"a": ["1,234", "0,500"]}, NumberFormat(decimal=",")),
        ({"a": ["1,234", "2,345"], "b": ["1,5", "2"]}, NumberFormat(decimal=",")),
        ({"a": ["Braund, Mr.", "Doe, Mrs."]}, NumberFormat()),
    ],
)
def test_number_formats(columns: dict[str, list[str]], numbers: NumberFormat) -> None:
    assert inferred({**columns, "y": [0, 1]}).contract.numbers == numbers


def test_an_ambiguous_number_is_refused_unless_told() -> None:
    columns = {"a": ["1,234", "2,345"], "y": [0, 1]}
    with pytest.raises(DataError, match=r"'1,234' in column `a` may be 1\.234 or 1234.*Set `decimal`"):
        inferred(columns)
    told = inferred(columns, hints=Hints(decimal=","))
    assert told.contract.column("a").maximum == 2.345


def test_columns_of_two_number_formats_are_refused() -> None:
    rows = range(30)
    columns = {"a": [f"{n}.25" for n in rows], "b": [f"{n},5" for n in rows], "c": [f"{n}.75" for n in rows]}
    with pytest.raises(DataError, match=r"column `b` \('0,5'\) are written otherwise"):
        inferred({**columns, "y": [n % 2 for n in rows]})


def test_a_quoted_comma_in_a_comma_file_groups_thousands(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('a,y\n"1,234",0\n"2,345",1\n')
    frame = read_source(CsvSource(path="t.csv"), workplace=Workplace(tmp_path / "tiltyard.yaml", Environment()))
    contract = infer(frame, target="y", name="t", where="t.csv").contract
    assert contract.column("a").maximum == 2345


def test_a_stray_text_among_numbers_is_named_with_its_line(tmp_path: Path) -> None:
    rows = "".join(f"{n},{n % 2}\n" for n in range(50))
    (tmp_path / "t.csv").write_text(f"a,y\n{rows}oops,1\n")
    frame = read_source(CsvSource(path="t.csv"), workplace=Workplace(tmp_path / "tiltyard.yaml", Environment()))
    with pytest.raises(DataError, match=r"column `a` holds 1 value that is not an integer: 'oops' at .*t\.csv:52"):
        infer(frame, target="y", name="t", where="t.csv")


def test_ambiguous_dates_are_told() -> None:
    result = inferred({"x": ["01/02/2026", "03/04/2026"], "z": ["a", "a"], "y": [0, 1]})
    assert any("%m/%d/%Y fits as well" in guess.why for guess in result.guesses)
    clear = inferred({"x": ["01/02/2026", "03/14/2026"], "z": ["a", "a"], "y": [0, 1]})
    assert clear.contract.column("x").time_format == "%m/%d/%Y"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"x": [1, 2], "yy": [0, 1]}, "no column `y`.*Did you mean `yy`"),
        ({"x": [1, 2], "y": [1, 1]}, "one value only"),
        ({"x": [1, 2], "y": [None, None]}, "has no values"),
        ({"x": [], "y": []}, "no rows"),
        ({"y": [0, 1]}, "no column is left"),
        ({"x": [b"1", b"2"], "y": [0, 1]}, "column `x` holds values of type binary|holds a bytes"),
        ({"x": [[1], [2]], "y": [0, 1]}, "column `x` holds"),
        ({"x": range(120), "y": [f"t{n}" for n in range(120)]}, "more than the 100 classes"),
    ],
)
def test_what_cannot_be_learned_is_refused(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        inferred(columns)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("data/Telco Churn.csv.gz", "telco_churn"),
        ("2026.csv", "model_2026"),
        ("***", "model"),
        ("ok-1", "ok-1"),
        ("Ünï.csv", "uni"),
    ],
)
def test_project_names(text: str, name: str) -> None:
    assert project_name(text) == name


@pytest.mark.parametrize(
    ("hints", "key"),
    [(Hints(drop=("y",)), "drop"), (Hints(ids=("y",)), "ids"), (Hints(time="y"), "time"), (Hints(group="y"), "group")],
)
def test_the_target_has_no_other_use(hints: Hints, key: str) -> None:
    with pytest.raises(UsageError, match=f"`y` is the target and cannot also be the column of `{key}`. Name another"):
        inferred({"x": [1.5, 2.5, 0.5, 1.5], "y": [0, 1, 1, 0]}, hints=hints)


def test_a_time_without_order_is_refused() -> None:
    with pytest.raises(DataError, match="`x` is a category, which has no order in time"):
        inferred({"x": ["u", "v", "u", "v"], "z": [0.5] * 4, "y": [0, 1, 1, 0]}, hints=Hints(time="x"))


def test_a_table_without_features_names_what_was_put_aside() -> None:
    columns = {"n": [3, 4, 5, 6, 7], "empty": [None] * 5, "y": [0, 1, 1, 0, 1]}
    with pytest.raises(DataError, match="no column is left to predict from") as caught:
        inferred(columns)
    assert "`n` (data.ids: it counts the rows)" in str(caught.value)
    assert "`empty` (data.drop: every value is missing)" in str(caught.value)


def test_a_target_of_huge_floats_keeps_its_kind() -> None:
    contract = inferred({"x": [0.5, 1.5, 0.5, 1.5], "y": [0.0, 0.0, 1e300, 0.0]}).contract
    assert (contract.target.kind, contract.classes) == (Kind.NUMBER, (0.0, 1e300))


@settings(max_examples=60, deadline=None)
@given(contracts().flatmap(lambda contract: tables(contract, min_rows=4, max_rows=12)))
def test_the_inferred_contract_types_its_own_table(rows: list[dict[str, Value]]) -> None:
    frame = pd.DataFrame(rows).assign(other=[n // 2 for n in range(len(rows))])
    assume(len(set(frame["y"])) > 1)
    result = infer(frame, target="y", name="t", where="t")
    project = parse_model(Project, yaml.safe_load(yaml.safe_dump(result.project)), where="project")
    again = parse_model(Contract, yaml.safe_load(dump_contract(result.contract)), where="contract")
    assert again == result.contract == in_use(result.contract, project)
    typed = coerce(frame, result.contract, where="t")
    assert [column.nullable for column in again.columns] == typed.isna().any().tolist()
