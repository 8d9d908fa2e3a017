"""The contract as a pandera schema, and its breaches as findings: kinds, missing values, ranges, levels."""

import numpy as np
import pandas as pd
import pandera.pandas as pa

from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.data.findings import Finding, Gravity, counted, row_names, shown

DTYPES = {
    Kind.NUMBER: np.dtype("float64"),
    Kind.INTEGER: pd.Int64Dtype(),
    Kind.BOOLEAN: pd.BooleanDtype(),
    Kind.CATEGORY: pd.StringDtype("pyarrow"),
    Kind.TEXT: pd.StringDtype("pyarrow"),
    Kind.TIME: np.dtype("datetime64[us]"),
}
"""The dtype of every kind in a typed frame."""

_WORDS: dict[str, tuple[str, Gravity, bool, str, str]] = {
    "column_in_dataframe": (
        "missing_column",
        "error",
        True,
        "Column `{name}` is in the contract but not in the table.",
        "Add the column, or take it out of the contract.",
    ),
    "dtype": (
        "kind",
        "error",
        True,
        "Column `{name}` should be of kind {kind} but holds {values}.",
        "Type the table by the contract first.",
    ),
    "not_nullable": (
        "missing_values",
        "error",
        False,
        "Column `{name}` has {count} missing, first in {first}, and the contract allows none.",
        "Fill them in, or set `nullable: true` for the column in the contract.",
    ),
    "infinite": (
        "infinite",
        "error",
        True,
        "Column `{name}` has {count} infinite, first in {first}.",
        "Replace them by a number or by a missing value.",
    ),
    "isin": (
        "new_levels",
        "warning",
        False,
        "Column `{name}` has {count} of levels that the contract does not list, such as {values}, first in {first}.",
        "Correct them, or add them to the column's `levels` in the contract.",
    ),
    "greater_than_or_equal_to": (
        "out_of_range",
        "warning",
        False,
        "Column `{name}` has {count} below {minimum:g}, such as {values}, first in {first}.",
        "Correct them, or lower the column's `minimum` in the contract.",
    ),
    "less_than_or_equal_to": (
        "out_of_range",
        "warning",
        False,
        "Column `{name}` has {count} above {maximum:g}, such as {values}, first in {first}.",
        "Correct them, or raise the column's `maximum` in the contract.",
    ),
}
"""For every check of pandera or our own: code, level, whether it blocks, sentence and cure."""

_NUMERIC = (Kind.NUMBER, Kind.INTEGER)


def pandera_schema(contract: Contract) -> pa.DataFrameSchema:
    """Build the schema that a typed frame of this contract must pass.

    Dropped columns may be absent and are not looked at; a missing target is a matter of its own check.
    """
    watched = [column for column in contract.columns if column.role is not Role.DROPPED]
    return pa.DataFrameSchema({column.name: _schema_column(column) for column in watched})


def check_schema(frame: pd.DataFrame, contract: Contract) -> tuple[Finding, ...]:
    """Report where a table breaks its contract, one finding per column and promise.

    Args:
        frame: Typed frame.
        contract: Its contract.
    """
    try:
        pandera_schema(contract).validate(frame, lazy=True)
    except pa.errors.SchemaErrors as broken:
        return _findings(broken.failure_cases, contract)
    return ()


def _schema_column(column: Column) -> pa.Column:
    """Build the schema of one column."""
    checks = []
    if column.kind is Kind.NUMBER:
        checks.append(pa.Check(lambda values: ~np.isinf(values), name="infinite"))
    if column.kind in _NUMERIC and column.minimum is not None:
        checks.append(pa.Check.greater_than_or_equal_to(column.minimum))
    if column.kind in _NUMERIC and column.maximum is not None:
        checks.append(pa.Check.less_than_or_equal_to(column.maximum))
    if column.levels and column.role is not Role.TARGET:
        checks.append(pa.Check.isin(column.levels))
    nullable = column.nullable or column.role is Role.TARGET
    return pa.Column(DTYPES[column.kind], checks=checks, nullable=nullable)


def _findings(cases: pd.DataFrame, contract: Contract) -> tuple[Finding, ...]:
    """Turn pandera's failure cases into findings, in the order of the contract's columns."""
    absent = cases["check"] == "column_in_dataframe"
    named = cases.assign(
        column=cases["column"].where(~absent, cases["failure_case"]),
        check=cases["check"].str.partition("(")[0],  # `isin(('x',))` is the check `isin`
    )
    mistyped = named.loc[named["check"] == "dtype", "column"]  # its other checks compare apples with pears
    named = named[(named["check"] == "dtype") | ~named["column"].isin(mistyped)]
    findings = {
        (column, check): _finding(contract.column(str(column)), str(check), group)
        for (column, check), group in named.groupby(["column", "check"], sort=True)
    }
    order = {column.name: number for number, column in enumerate(contract.columns)}
    return tuple(findings[key] for key in sorted(findings, key=lambda key: (order[str(key[0])], str(key[1]))))


def _finding(column: Column, check: str, cases: pd.DataFrame) -> Finding:
    """Say one breach in words."""
    code, level, blocking, sentence, cure = _WORDS[check]
    cases = cases.sort_values("index")
    rows = cases["index"].dropna().astype(int)
    values = shown(cases["failure_case"].dropna().unique())
    words = {
        "name": column.name,
        "kind": column.kind,
        "minimum": column.minimum or 0.0,
        "maximum": column.maximum or 0.0,
        "values": ", ".join(values),
        "count": counted(len(cases), "value"),
        "first": ", ".join(row_names(rows, limit=1)),
    }
    return Finding(
        code=code,
        level="error" if code == "new_levels" and column.new_levels == "refuse" else level,
        blocking=blocking,
        column=column.name,
        count=len(cases),
        examples=values or row_names(rows),
        sentence=sentence.format(**words),
        cure=cure.format(**words),
    )
