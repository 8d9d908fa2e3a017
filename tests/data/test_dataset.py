"""The table of a run: ingested, fingerprinted, written and read."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import contracts, tables
from tiltyard.data.coercion import coerce
from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.data.dataset import fingerprint, ingest, read_dataset, write_dataset
from tiltyard.data.usage import check_watched, in_use
from tiltyard.data.values import Value
from tiltyard.errors import DataError, ProjectError
from tiltyard.project.gates import GatesSection
from tiltyard.project.metrics import Task
from tiltyard.project.model import Project
from tiltyard.project.monitoring import MonitoringSection

CONTRACT = Contract(
    task=Task.BINARY,
    columns=(
        Column(name="a", kind=Kind.NUMBER, nullable=True),
        Column(name="b", kind=Kind.TEXT, nullable=True),
        Column(name="y", kind=Kind.CATEGORY, role=Role.TARGET, levels=("no", "yes")),
    ),
    classes=("no", "yes"),
)
RAW = pd.DataFrame({"a": ["1", "x", "2"], "b": ["ab", "c", None], "y": ["yes", "no", "no"]})


def project(task: dict[str, object] | None = None, **data: object) -> Project:
    content = {"name": "p", "task": {"kind": "binary"} | (task or {})}
    return Project.model_validate({**content, "data": {"source": "t.csv", "target": "y", **data}})


def test_ingest_types_by_the_contract_in_use() -> None:
    typed = ingest(project(missing=("x",), drop=("b",)), CONTRACT, read=lambda: RAW)
    assert typed["a"].isna().tolist() == [False, True, False]
    assert list(typed.columns) == ["a", "b", "y"]
    with pytest.raises(DataError, match="t: column `a` holds 1 value"):
        ingest(project(), CONTRACT, read=lambda: RAW, where="t")
    with pytest.raises(DataError, match="no rows"):
        ingest(project(), CONTRACT, read=lambda: RAW.iloc[:0])


def test_the_project_decides_roles_missing_and_positive_class() -> None:
    contract = in_use(CONTRACT, project(task={"positive": "no"}, drop=("b",), missing=("x",)))
    assert contract.column("b").role is Role.DROPPED
    assert contract.classes == ("yes", "no")
    assert contract.missing == ("x",)
    source = {"kind": "csv", "path": "t.csv", "decimal": ","}
    assert in_use(CONTRACT, project(source=source)).numbers.decimal == ","


@pytest.mark.parametrize(
    ("data", "task", "message"),
    [
        ({"drop": ("bb",)}, {}, "`data.drop: bb` is not a column.*Did you mean `b`"),
        ({"target": "z"}, {}, "`data.target: z`"),
        ({}, {"positive": "maybe"}, "`task.positive: maybe` is not a class"),
        ({}, {"kind": "multiclass"}, "`task.kind` is multiclass"),
        ({"time": "b"}, {}, "`data.time: b` is a text, which has no order in time. Make its kind `time`"),
        ({"source": {"kind": "csv", "path": "t", "thousands": "."}}, {}, "with `.` both as decimal mark and between"),
    ],
)
def test_a_project_that_does_not_fit_is_refused(data: dict[str, object], task: dict[str, object], message: str) -> None:
    with pytest.raises(ProjectError, match=message):
        in_use(CONTRACT, project(task, **data))


@pytest.mark.parametrize("section", [{"ignore": ("aa",)}, {"importance": {"aa": 2.0}}])
def test_unknown_columns_are_not_watched(section: dict[str, object]) -> None:
    watched = project().model_copy(update={"monitoring": MonitoringSection.model_validate(section)})
    with pytest.raises(ProjectError, match=r"`monitoring.* names `aa`, which is not a column .* Did you mean `a`"):
        in_use(CONTRACT, watched)
    newer = CONTRACT.model_copy(update={"columns": (*CONTRACT.columns, Column(name="aa", kind=Kind.NUMBER))})
    check_watched(watched, newer, CONTRACT)  # the champion does not know it yet


@pytest.mark.parametrize(
    ("name", "why"),
    [("aa", "not a column .* Did you mean `a`"), ("y", "the target"), ("b", "text"), ("c", "not a feature .*`id`")],
)
def test_slices_that_make_no_groups_are_refused(name: str, why: str) -> None:
    contract = CONTRACT.model_copy(update={"columns": (*CONTRACT.columns, Column(name="c", kind=Kind.INTEGER))})
    sliced = project(ids=("c",)).model_copy(update={"gates": GatesSection(slices=("a", name))})
    with pytest.raises(ProjectError, match=f"`gates.slices` names `{name}`, which is {why}"):
        in_use(contract, sliced)


def typed() -> pd.DataFrame:
    return coerce(RAW.assign(a=["1", "2", "3"]), CONTRACT, where="t")


def test_the_fingerprint_sees_every_change() -> None:
    frame = typed()
    changes = [
        frame,
        frame.iloc[::-1].reset_index(drop=True),
        frame[["b", "a", "y"]],
        frame.rename(columns={"a": "c"}),
        frame.assign(a=[1.0, 2.0, 4.0]),
        frame.assign(a=[1.0, 2.0, float("nan")]),
        frame.assign(b=pd.Series(["a", "bc", None], dtype="string[pyarrow]")),
        frame.assign(b=pd.Series(["ab", "c", "x"], dtype="string[pyarrow]")),
        frame.iloc[:2],
    ]
    assert len({fingerprint(change) for change in changes}) == len(changes)


@settings(max_examples=50, deadline=None)
@given(contracts().flatmap(lambda contract: st.tuples(st.just(contract), tables(contract, min_rows=2))), st.data())
def test_equal_fingerprints_mean_equal_tables(
    drawn: tuple[Contract, list[dict[str, Value]]], data: st.DataObject
) -> None:
    contract, rows = drawn
    shuffled = data.draw(st.permutations(rows))
    first = coerce(pd.DataFrame(rows, dtype=object), contract, where="t")
    second = coerce(pd.DataFrame(shuffled, dtype=object), contract, where="t")
    assert (fingerprint(first) == fingerprint(second)) == first.equals(second)


def test_chunks_do_not_change_the_fingerprint() -> None:
    frame = typed()
    joined = pd.concat([frame.iloc[:1], frame.iloc[1:]], ignore_index=True)
    assert fingerprint(joined) == fingerprint(frame)


def test_damaged_and_foreign_datasets_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "typed.parquet"
    with pytest.raises(DataError, match="cannot be read"):
        read_dataset(file, CONTRACT)
    write_dataset(typed(), file)
    other = CONTRACT.model_copy(update={"columns": (Column(name="a", kind=Kind.TIME), *CONTRACT.columns[1:])})
    with pytest.raises(DataError, match="no column `a` of type"):
        read_dataset(file, other)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        read_dataset(file, CONTRACT)
