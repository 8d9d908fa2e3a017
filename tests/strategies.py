"""Hypothesis strategies that several rooms share: contracts, typed values and rows."""

import math
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.data.values import MISSING_TEXTS, Value
from tiltyard.project.metrics import Task

LEVELS = ("red", "green", "blue", "x-ray", "Ünïcode", "a b", "007", "1,5", "semi;colon", 'qu"ote')

TIMES = st.datetimes(min_value=datetime(1700, 1, 1), max_value=datetime(2200, 1, 1))  # noqa: DTZ001  # typed times are naive


def texts(max_size: int = 20) -> st.SearchStrategy[str]:
    """Return texts that survive CSV and are not a spelling of missing; line breaks and quotes are among them."""
    characters = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="\n\t")
    return st.text(characters, min_size=1, max_size=max_size).filter(lambda text: text.strip() not in MISSING_TEXTS)


def numbers() -> st.SearchStrategy[float]:
    """Return finite doubles, without negative zero."""
    return st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number + 0.0)


def typed_values(column: Column) -> st.SearchStrategy[Value]:
    """Return typed values of a column; None too where it is nullable."""
    by_kind: dict[Kind, st.SearchStrategy[Any]] = {
        Kind.NUMBER: numbers(),
        Kind.INTEGER: st.integers(-(2**63), 2**63 - 1),
        Kind.BOOLEAN: st.booleans(),
        Kind.CATEGORY: st.sampled_from(column.levels or LEVELS),
        Kind.TEXT: texts(),
        Kind.TIME: TIMES,
    }
    values = by_kind[column.kind]
    return st.none() | values if column.nullable else values


@st.composite
def columns(draw: st.DrawFn, name: str, *, nullable: bool | None = None) -> Column:
    """Return feature columns of any kind; categories with two levels or more."""
    kind = draw(st.sampled_from(list(Kind)))
    levels: tuple[str, ...] = ()
    if kind is Kind.CATEGORY:
        levels = tuple(draw(st.lists(st.sampled_from(LEVELS), min_size=2, unique=True)))
    is_nullable = draw(st.booleans()) if nullable is None else nullable
    return Column(name=name, kind=kind, nullable=is_nullable, levels=levels)


@st.composite
def contracts(draw: st.DrawFn, *, max_features: int = 6, nullable: bool | None = None) -> Contract:
    """Return regression or binary contracts with any features; the target comes last and is never missing."""
    count = draw(st.integers(1, max_features))
    features = [draw(columns(f"f{number}", nullable=nullable)) for number in range(count)]
    task = draw(st.sampled_from([Task.REGRESSION, Task.BINARY]))
    kind = Kind.NUMBER if task is Task.REGRESSION else Kind.INTEGER
    target = Column(name="y", kind=kind, role=Role.TARGET)
    return Contract(task=task, columns=(*features, target), classes=() if task is Task.REGRESSION else (0, 1))


@st.composite
def tables(draw: st.DrawFn, contract: Contract, *, min_rows: int = 1, max_rows: int = 8) -> list[dict[str, Value]]:
    """Return rows of typed values that keep a contract."""
    by_column: dict[str, st.SearchStrategy[Value]] = {
        column.name: st.sampled_from(contract.classes)
        if column.role is Role.TARGET and contract.classes
        else typed_values(column)
        for column in contract.columns
    }
    rows = draw(st.lists(st.fixed_dictionaries(by_column), min_size=min_rows, max_size=max_rows))
    return [{name: row[name] for name in by_column} for row in rows]


def same(left: Value, right: Value) -> bool:
    """Whether two typed values are the same, type included; NaN is None's equal nowhere."""
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return type(left) is type(right) and left == right
