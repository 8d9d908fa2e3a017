"""Evolution of the contract: widening passes, narrowing is refused with the diff."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.tables import column, contract_of
from tiltyard.data.contract import Column, Contract, Guard, Kind, NumberFormat
from tiltyard.data.evolution import compare_contracts, refuse_breaking
from tiltyard.errors import DataError
from tiltyard.project.coarsening import Coarsen
from tiltyard.project.metrics import Task

AGE: dict[str, Any] = {"kind": "integer", "minimum": 0.0, "maximum": 99.0}
PLAN: dict[str, Any] = {"kind": "category", "levels": ("basic", "plus")}
TARGET = column("y", "boolean", "target")
OLD = contract_of(column("age", **AGE), column("plan", **PLAN), TARGET, classes=(False, True))


def with_columns(*columns: Column) -> Contract:
    return contract_of(*columns, TARGET, classes=(False, True))


WIDER: list[tuple[Contract, str]] = [
    (with_columns(column("age", **AGE, nullable=True), column("plan", **PLAN)), "~ age: may be missing (wider)"),
    (with_columns(column("age", **{**AGE, "maximum": 120.0}), column("plan", **PLAN)), "maximum 99 → 120 (wider)"),
    (with_columns(column("age", "integer", minimum=0.0), column("plan", **PLAN)), "maximum 99 → none (wider)"),
    (
        with_columns(column("age", **AGE), column("plan", "category", levels=("gold", "basic", "plus"))),
        "~ plan: levels with `gold` (wider)",
    ),
    (
        with_columns(column("age", **AGE), column("plan", **PLAN), column("x", nullable=True)),
        "+ x: number feature is new, may be missing (harmless)",
    ),
    (
        with_columns(column("age", **AGE), column("plan", **PLAN), column("x", "text", "dropped")),
        "+ x: text dropped is new, must be there (harmless)",
    ),
]

HASHED = Guard(method="hash", kind=Kind.CATEGORY, key_check="0123456789abcdef")
WIDE = Guard(method=Coarsen(coarsen=10.0), kind=Kind.INTEGER)

BREAKING: list[tuple[Contract, str]] = [
    (
        with_columns(column("age", **AGE), column("plan", **PLAN, protection=HASHED)),
        "~ plan: protection none → hash (key 0123) (changed protection)",
    ),
    (
        with_columns(column("age", **AGE, protection=WIDE), column("plan", **PLAN)),
        "~ age: protection none → coarsen 10.0 (changed protection)",
    ),
    (with_columns(column("age", **{**AGE, "minimum": 18.0}), column("plan", **PLAN)), "minimum 0 → 18 (narrower)"),
    (with_columns(column("age"), column("plan", **PLAN)), "~ age: kind integer → number (changed kind)"),
    (with_columns(column("plan", **PLAN)), "- age: integer feature is gone (removed)"),
    (
        with_columns(column("age", **AGE), column("plan", "category", levels=("plus",))),
        "~ plan: levels without `basic` (narrower)",
    ),
    (
        with_columns(column("age", **AGE), column("plan", **PLAN, new_levels="refuse")),
        "new levels other → refuse (narrower)",
    ),
    (
        with_columns(column("age", **AGE), column("plan", **PLAN), column("x")),
        "+ x: number feature is new, must be there (new demand)",
    ),
    (
        with_columns(column("age", role="dropped", **AGE), column("plan", **PLAN)),
        "role feature → dropped (changed role)",
    ),
    (OLD.model_copy(update={"task": Task.MULTICLASS}), "~ task: binary → multiclass (changed)"),
    (OLD.model_copy(update={"classes": (True, False)}), "~ classes: order"),
    (OLD.model_copy(update={"classes": (False,)}), "~ classes: without `True` (changed)"),
    (OLD.model_copy(update={"missing": ("?",)}), "~ missing: with `?` (changed)"),
    (OLD.model_copy(update={"numbers": NumberFormat(decimal=",")}), "decimal `,`"),
]


def test_the_same_contract_is_no_change() -> None:
    assert compare_contracts(OLD, OLD) == ()


@pytest.mark.parametrize(("new", "line"), WIDER)
def test_widening_passes(new: Contract, line: str) -> None:
    changes = compare_contracts(OLD, new)
    refuse_breaking(changes)
    assert len(changes) == 1
    assert line in changes[0].sentence


@pytest.mark.parametrize(("new", "line"), BREAKING)
def test_narrowing_is_refused_with_the_diff(new: Contract, line: str) -> None:
    changes = compare_contracts(OLD, new)
    with pytest.raises(DataError, match="would break 1 of its promises") as refusal:
        refuse_breaking(changes)
    assert line in str(refusal.value)


def test_levels_and_columns_may_change_their_order() -> None:
    plan = column("plan", "category", levels=("plus", "basic"))
    assert compare_contracts(OLD, with_columns(plan, column("age", **AGE))) == ()


def test_a_missing_value_no_longer_allowed_is_narrower() -> None:
    old = with_columns(column("age", nullable=True))
    assert compare_contracts(old, with_columns(column("age")))[0].breaking
    assert compare_contracts(old, with_columns(column("age", nullable=True, time_format="%Y")))[0].breaking


promises: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "nullable": st.booleans(),
        "minimum": st.one_of(st.none(), st.floats(-9, -1)),
        "maximum": st.one_of(st.none(), st.floats(1, 9)),
    }
)


@given(before=promises, after=promises)
def test_what_is_wider_one_way_is_narrower_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    old, new = with_columns(column("x", **before)), with_columns(column("x", **after))
    there, back = compare_contracts(old, new), compare_contracts(new, old)
    assert [change.breaking for change in there] == [not change.breaking for change in back]
    assert bool(there) == (before != after)
