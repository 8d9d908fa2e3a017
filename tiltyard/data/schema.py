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
        checks.append(pa.Check.greater_than_or_equal_to(column.minimum, name="minimum"))
    if column.kind in _NUMERIC and column.maximum is not None:
        checks.append(pa.Check.less_than_or_equal_to(column.maximum, name="maximum"))
    if column.levels and column.role is not Role.TARGET:
        checks.append(pa.Check.isin(column.levels, name="levels"))
    nullable = column.nullable or column.role is Role.TARGET
    return pa.Column(DTYPES[column.kind], checks=checks, nullable=nullable)


def _findings(cases: pd.DataFrame, contract: Contract) -> tuple[Finding, ...]:
    """Turn pandera's failure cases into findings, in the order of the contract's columns."""
    absent = cases["check"] == "column_in_dataframe"
    named = cases.assign(
        column=cases["column"].where(~absent, cases["failure_case"]),
        check=cases["check"].where(~cases["check"].str.startswith("dtype("), "dtype"),
    )
    findings = {
        (column, check): _finding(contract.column(str(column)), str(check), group)
        for (column, check), group in named.groupby(["column", "check"], sort=True)
    }
    order = {column.name: number for number, column in enumerate(contract.columns)}
    return tuple(findings[key] for key in sorted(findings, key=lambda key: (order[str(key[0])], str(key[1]))))


def _finding(column: Column, check: str, cases: pd.DataFrame) -> Finding:
    """Say one breach in words."""
    cases = cases.sort_values("index")
    values = shown(cases["failure_case"].dropna().unique())
    rows = f"first in row {int(cases['index'].iloc[0]) + 1}" if cases["index"].notna().any() else ""
    count, name = len(cases), column.name
    level: Gravity = "error"
    blocking, examples = False, values
    match check:
        case "column_in_dataframe":
            code, blocking = "missing_column", True
            sentence = f"Column `{name}` is in the contract but not in the table"
            cure = "Add the column, or take it out of the contract."
        case "dtype":
            code, blocking = "kind", True
            sentence = f"Column `{name}` should be of kind {column.kind} but holds {cases['failure_case'].iloc[0]}"
            cure = "Type the table by the contract first."
        case "not_nullable":
            code, examples = "missing_values", row_names(cases["index"])
            sentence = f"Column `{name}` has {counted(count, 'missing value')}, {rows}, and the contract allows none"
            cure = "Fill them in, or set `nullable: true` for the column in the contract."
        case "infinite":
            code, blocking = "infinite", True
            sentence = f"Column `{name}` has {counted(count, 'infinite value')}, {rows}"
            cure = "Replace them by a number or by a missing value."
        case "levels":
            code, level = "new_levels", "error" if column.new_levels == "refuse" else "warning"
            sentence = (
                f"Column `{name}` has {counted(count, 'row')} with levels that the contract does not list: "
                f"{', '.join(values)}"
            )
            cure = "Correct them, or add them to the column's `levels` in the contract."
        case _:
            code, level = "out_of_range", "warning"
            bound = f"below {column.minimum:g}" if check == "minimum" else f"above {column.maximum:g}"
            sentence = f"Column `{name}` has {counted(count, 'value')} {bound}, such as {', '.join(values)} ({rows})"
            cure = f"Correct them, or move the column's `{check}` in the contract."
    return Finding(
        code=code,
        level=level,
        blocking=blocking,
        column=name,
        count=count,
        examples=examples,
        sentence=sentence + ".",
        cure=cure,
    )
