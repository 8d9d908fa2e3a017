"""Checks of the target: enough rows, a value in each, something to tell apart, and enough of every class."""

from collections.abc import Iterator

import pandas as pd

from tiltyard.data.contract import Contract, Kind
from tiltyard.data.findings import Finding, counted, row_names, shown

LEAST_ROWS = 20
"""With fewer rows nothing can be trained and judged."""
FEW_ROWS = 200
"""With fewer rows every interval is wide: a quarter of them judges."""
LEAST_CLASS = 3
"""A class needs a row to train on, one to choose by and one to judge by."""
FEW_CLASS = 10
"""A smaller class is all but invisible to training and judging."""
MISSING_SHARE = 0.05
"""More missing targets than this are a fault of the table, not an accident."""


def check_target(frame: pd.DataFrame, contract: Contract) -> tuple[Finding, ...]:
    """Report what stands in the way of learning the target.

    Rows without a target are not used; up to 5 % of them is a warning, more an error.

    Args:
        frame: Typed frame.
        contract: Its contract.
    """
    if contract.target.name not in frame:
        return ()  # the schema has said so
    target = frame[contract.target.name]
    known = target.dropna()
    findings = [*_missing(target, contract), *_rows(len(known))]
    if contract.task.is_classification:
        findings += _classes(known, contract)
    else:
        findings += _values(known, contract)
    return tuple(findings)


def _missing(target: pd.Series, contract: Contract) -> Iterator[Finding]:
    """Report rows without a target."""
    rows = target.index[target.isna()]
    if len(rows) == 0:
        return
    share = len(rows) / len(target)
    yield Finding(
        code="missing_target",
        level="error" if share > MISSING_SHARE else "warning",
        blocking=share == 1,
        column=contract.target.name,
        count=len(rows),
        examples=row_names(rows),
        sentence=f"The target `{contract.target.name}` is missing in {counted(len(rows), 'row')} ({share:.1%}), "
        f"first in row {rows[0] + 1}; they are not used.",
        cure="Fill the target in, or leave these rows out of the table.",
    )


def _rows(count: int) -> Iterator[Finding]:
    """Report a table too small to learn from."""
    if count >= FEW_ROWS:
        return
    blocking = count < LEAST_ROWS
    least = f"{LEAST_ROWS} are needed to train and to judge" if blocking else "every score will be very uncertain"
    yield Finding(
        code="too_few_rows",
        level="error" if blocking else "warning",
        blocking=blocking,
        count=count,
        sentence=f"The table has {counted(count, 'row')} with a target; {least}.",
        cure=f"Collect more rows; {FEW_ROWS} or more give usable intervals.",
    )


def _classes(known: pd.Series, contract: Contract) -> Iterator[Finding]:
    """Report a single class, classes with too few rows, and classes that the contract does not know."""
    name, counts = contract.target.name, known.value_counts()
    if len(counts) == 1:
        yield _constant(name, counts.index[0], len(known))
        return
    strangers = [value for value in counts.index if contract.classes and value not in contract.classes]
    if strangers:
        yield Finding(
            code="unknown_class",
            level="error",
            blocking=True,
            column=name,
            count=int(counts[strangers].sum()),
            examples=shown(strangers),
            sentence=f"The target `{name}` has {counted(int(counts[strangers].sum()), 'row')} of classes that the "
            f"contract does not list: {', '.join(shown(strangers))}.",
            cure="Correct them, or add the class to `classes` in the contract.",
        )
    for value in contract.classes or tuple(counts.index):
        if counts.get(value, 0) < FEW_CLASS:
            yield _small_class(name, value, int(counts.get(value, 0)))


def _small_class(name: str, value: object, count: int) -> Finding:
    """Report a class with too few rows."""
    blocking = count < LEAST_CLASS
    return Finding(
        code="small_class",
        level="error",
        blocking=blocking,
        column=name,
        count=count,
        examples=shown([value]),
        sentence=f"Class {shown([value])[0]} of `{name}` has {counted(count, 'row')}; "
        f"at least {LEAST_CLASS if blocking else FEW_CLASS} are needed to train on it and to judge it.",
        cure="Collect more rows of it, merge it with another class, or leave it out of the table and of `classes` "
        "in the contract.",
    )


def _values(known: pd.Series, contract: Contract) -> Iterator[Finding]:
    """Report a numeric target that does not vary, or is no number."""
    name = contract.target.name
    if contract.target.kind not in (Kind.NUMBER, Kind.INTEGER):
        yield Finding(
            code="target_kind",
            level="error",
            blocking=True,
            column=name,
            count=len(known),
            examples=shown(known),
            sentence=f"The target `{name}` of a regression is of kind {contract.target.kind}, with values such as "
            f"{', '.join(shown(known))}; a regression needs numbers.",
            cure="Make it numeric in the table and in the contract, or set `task.kind` to a classification.",
        )
    elif len(known) and bool((known == known.iloc[0]).all()):
        yield _constant(name, known.iloc[0], len(known))


def _constant(name: str, value: object, count: int) -> Finding:
    """Report a target with one value."""
    return Finding(
        code="constant_target",
        level="error",
        blocking=True,
        column=name,
        count=count,
        examples=shown([value]),
        sentence=f"The target `{name}` is {shown([value])[0]} in all of {counted(count, 'row')}: "
        f"there is nothing to learn.",
        cure="Give a table in which the target varies.",
    )
