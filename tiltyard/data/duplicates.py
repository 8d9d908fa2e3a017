"""Checks of repeated rows: copies, contradictions, and copies that straddle a given split."""

from collections.abc import Iterator

import pandas as pd

from tiltyard.data.allotment import straddling
from tiltyard.data.assignment import JUDGE_FIRST
from tiltyard.data.contract import Contract, Role
from tiltyard.data.findings import Finding, counted, row_names
from tiltyard.data.parts import read_parts
from tiltyard.data.row_keys import Hashes, row_hashes, row_keys
from tiltyard.errors import DataError

MANY = 0.5
"""Above this share of repeated rows the table describes few distinct cases."""


def check_duplicates(frame: pd.DataFrame, contract: Contract) -> tuple[Finding, ...]:
    """Report rows that repeat others in all features.

    Args:
        frame: Typed frame with all features and the target; its index numbers the rows from 0.
        contract: Its contract.
    """
    copies = row_hashes(frame, contract.features)
    table = pd.DataFrame({"copies": copies, "keys": row_keys(frame, contract)}, index=frame.index)
    findings = [*_repeated(table["keys"]), *_contradicting(table), *_repeated_ids(frame, contract)]
    for column in contract.columns:
        if column.role is Role.PART and column.name in frame:
            findings += _given_parts(frame[column.name], copies)
    return tuple(findings)


def _repeated(keys: "pd.Series[int]") -> Iterator[Finding]:
    """Report rows that repeat an earlier row in features and target."""
    repeats = keys.index[keys.duplicated()]
    count = len(repeats)
    if count == 0:
        return
    share = count / len(keys)
    many = " The table describes few distinct cases, and scores hang on few of them." if share > MANY else ""
    rows = row_names(repeats)
    yield Finding(
        code="duplicates",
        level="warning",
        count=count,
        examples=rows,
        sentence=f"{counted(count, 'row repeats', 'rows repeat')} an earlier row in all features and the target "
        f"({share:.1%}), such as {', '.join(rows)}; copies stay on one side of the split.{many}",
        cure="Remove the copies if a case was recorded twice; leave them if different cases look alike.",
    )


def _contradicting(table: pd.DataFrame) -> Iterator[Finding]:
    """Report rows with equal features and different targets."""
    rows = table.index[table.groupby("copies")["keys"].transform("nunique") > 1]
    if len(rows) == 0:
        return
    yield Finding(
        code="contradictions",
        level="note",
        count=len(rows),
        examples=row_names(rows),
        sentence=f"{counted(len(rows), 'row')} ({len(rows) / len(table):.1%}) share all features with a row of another "
        f"target: no model can get all of them right.",
        cure="Look whether a column that tells them apart is missing.",
    )


def _repeated_ids(frame: pd.DataFrame, contract: Contract) -> Iterator[Finding]:
    """Report rows that share their identifier with an earlier row."""
    names = [column.name for column in contract.columns if column.role is Role.ID and column.name in frame]
    if not names:
        return
    known = frame[names].dropna()
    rows = known.index[known.duplicated()]
    if len(rows):
        listed = ", ".join(f"`{name}`" for name in names)
        yield Finding(
            code="repeated_ids",
            level="warning",
            column=names[0],
            count=len(rows),
            examples=row_names(rows),
            sentence=f"{counted(len(rows), 'row has', 'rows have')} the same {listed} as an earlier row, such as "
            f"{', '.join(row_names(rows))}.",
            cure=f"Remove them if a case was recorded twice; if the rows of one {listed} belong together, name it "
            f"under `data.group`.",
        )


def _given_parts(parts: pd.Series, copies: Hashes) -> Iterator[Finding]:
    """Report copies that straddle the given parts, or parts that cannot be read."""
    try:
        given = read_parts(parts)
    except DataError as error:
        yield Finding(
            code="unknown_part",
            level="error",
            blocking=True,
            column=str(parts.name),
            sentence=f"Column `{parts.name}` cannot split the table: {error.what}.",
            cure=error.cure,
        )
        return
    rows = parts.index[straddling(given, copies, JUDGE_FIRST)]
    if len(rows):
        yield Finding(
            code="straddling_duplicates",
            level="warning",
            column=str(parts.name),
            count=len(rows),
            examples=row_names(rows),
            sentence=f"{counted(len(rows), 'row')} in the parts that `{parts.name}` gives have copies in a part that "
            f"judges or chooses; they are left out so that the judging is honest.",
            cure="Nothing needs to be done; split the table without copies across parts to keep them.",
        )
