"""Checks of what columns are good for: constants, empty columns, and identifiers that stand among the features."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from tiltyard.data.contract import Column, Contract, Kind
from tiltyard.data.findings import Finding, counted, shown

LEAST_ROWS = 50
"""In fewer rows it is no surprise that all values differ."""
UNIQUE_SHARE = 0.95
"""A category with more distinct values than this share of its rows names the row, not a kind of row."""
DENSE = 1.1
"""Distinct integers that span at most this many times their number are a counter."""


def check_usefulness(frame: pd.DataFrame, contract: Contract) -> tuple[Finding, ...]:
    """Report features that cannot help a model.

    Args:
        frame: Typed frame.
        contract: Its contract.
    """
    findings = [_no_features(contract)] if not contract.features else []
    for column in contract.features:
        if column.name in frame:
            findings += _feature(frame[column.name], column)
    return tuple(findings)


def _no_features(contract: Contract) -> Finding:
    """Report a table of which no column reaches the model."""
    return Finding(
        code="no_features",
        level="error",
        blocking=True,
        count=len(contract.columns),
        sentence="No column is left as a feature: all have another role or are dropped.",
        cure="Take columns out of `data.drop` or `data.ids`, or give some the role `feature` in the contract.",
    )


def _feature(values: pd.Series, column: Column) -> Iterator[Finding]:
    """Report a feature without information, or one that only names the row."""
    known = values.dropna()
    distinct = known.nunique()
    name, drop = column.name, f"Add `{column.name}` to `data.drop`."
    if distinct == 0:
        sentence = f"Column `{name}` is missing in all of {counted(len(values), 'row')}."
        yield Finding(
            code="empty_column", level="warning", column=name, count=len(values), sentence=sentence, cure=drop
        )
    elif distinct == 1 and len(known) == len(values):
        yield Finding(
            code="constant_column",
            level="warning",
            column=name,
            count=len(values),
            examples=shown(known.iloc[:1]),
            sentence=f"Column `{name}` is {shown(known)[0]} in all of {counted(len(values), 'row')}: "
            f"no model can use it.",
            cure=drop,
        )
    elif len(known) >= LEAST_ROWS and _names_the_row(known, distinct, column.kind):
        yield Finding(
            code="id_feature",
            level="warning",
            column=name,
            count=distinct,
            examples=shown(known),
            sentence=f"Column `{name}` has {counted(distinct, 'distinct value')} in {counted(len(known), 'row')}: "
            f"it looks like an identifier.",
            cure=f"Add `{name}` to `data.ids` unless its values mean something for rows not yet seen.",
        )


def _names_the_row(known: pd.Series, distinct: int, kind: Kind) -> bool:
    """Tell whether the values of a column look like identifiers."""
    if kind is Kind.INTEGER:
        return distinct == len(known) and float(known.max() - known.min() + 1) <= DENSE * len(known)
    if kind is Kind.CATEGORY:
        return distinct >= UNIQUE_SHARE * len(known)
    if kind is Kind.TEXT:
        words = known.str.contains(r"\s", regex=True).to_numpy(dtype=np.bool_)
        return distinct >= UNIQUE_SHARE * len(known) and bool(words.mean() < 1 - UNIQUE_SHARE)
    return False
