"""Leakage: columns that give the target away, alone or as an exact formula, and so cannot be known beforehand.

Every feature is scored alone, out of fold, by the mean of the target in its levels or quantile bins: ROC-AUC of each
class against the rest, or R². Numbers are also tried as an exact sum or product for a numeric target.
Large tables are sampled, with a fixed seed.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tiltyard.data.contract import Column, Contract, Kind
from tiltyard.data.findings import Finding, shown
from tiltyard.data.formulas import find_formula
from tiltyard.data.single import class_separation, explained_share, level_codes, monotone_share

AUC = 0.995
"""A feature that alone separates every class as well as this gives the target away."""
R2 = 0.995
"""A feature that alone explains this share of a numeric target gives it away."""
LEAST_ROWS = 40
"""Fewer rows can be separated by chance."""
SAMPLE = 10_000
"""Rows looked at: of each class half as many at most, for a numeric target all of them."""
MOST_PAIRS = 5
"""A column with more values than this is not shown value by value."""
SEED = 20261120


def check_leakage(frame: pd.DataFrame, contract: Contract) -> tuple[Finding, ...]:
    """Report features that alone, or summed or multiplied, give the target away.

    Args:
        frame: Typed frame with all features and the target.
        contract: Its contract.
    """
    target = frame[contract.target.name]
    rows = _sample(target, contract)
    if len(rows) < LEAST_ROWS or target.iloc[rows].nunique() < 2:
        return ()  # other checks have stopped here
    sample = frame.iloc[rows]
    findings = [*_copies(sample, contract)]
    found = {finding.column for finding in findings}
    features = [column for column in contract.features if column.name not in found]
    findings += _alone(sample, contract, features)
    if not contract.task.is_classification:
        found = {finding.column for finding in findings}
        findings += _formula(sample, contract, [column for column in features if column.name not in found])
    return tuple(findings)


def _sample(target: pd.Series, contract: Contract) -> NDArray[np.int64]:
    """Choose the rows to look at: those with a target, classes capped so that rare ones are kept whole."""
    order = np.random.default_rng(SEED).permutation(len(target))
    order = order[target.notna().to_numpy()[order]]
    if not contract.task.is_classification:
        return np.sort(order[:SAMPLE])
    nth = target.iloc[order].groupby(target.iloc[order]).cumcount().to_numpy()
    return np.sort(order[nth < SAMPLE // 2])


def _copies(sample: pd.DataFrame, contract: Contract) -> Iterator[Finding]:
    """Report features that are the target itself, value by value."""
    target = sample[contract.target.name].astype("string")
    for column in contract.features:
        if column.kind is contract.target.kind and bool(
            (sample[column.name].astype("string") == target).fillna(value=False).all()
        ):
            yield Finding(
                code="target_copy",
                level="error",
                blocking=True,
                column=column.name,
                count=len(sample),
                examples=shown(sample[column.name].unique()),
                sentence=f"Column `{column.name}` is the target `{target.name}` itself, value by value.",
                cure=f"Add `{column.name}` to `data.drop`.",
            )


def _alone(sample: pd.DataFrame, contract: Contract, features: list[Column]) -> Iterator[Finding]:
    """Report features that alone give the target away."""
    target = sample[contract.target.name]
    fold = np.random.default_rng(SEED).permutation(len(sample)) % 4
    classes = pd.factorize(target)[0].astype(np.int64)
    for column in features:
        values = sample[column.name]
        codes = level_codes(values, column.kind)
        if contract.task.is_classification:
            score = class_separation(codes, classes, fold, enough=AUC)
            words, leaks = f"it separates the classes with a ROC-AUC of {score:.3f}", score >= AUC
        else:
            y = target.to_numpy(dtype=np.float64)
            score = max(explained_share(codes, y, fold), monotone_share(values, column.kind, y))
            words, leaks = f"it explains {score:.2%} of its variance", score >= R2
        if leaks:
            yield _leak(column, target, words + _pairs(values, target), len(sample))


def _leak(column: Column, target: pd.Series, words: str, count: int) -> Finding:
    """Say that a column leaks."""
    return Finding(
        code="leakage",
        level="error",
        column=column.name,
        count=count,
        examples=(),
        sentence=f"Column `{column.name}` alone gives the target `{target.name}` away: {words}.",
        cure=f"Add `{column.name}` to `data.drop` if it is not known when a prediction is wanted; if it is, "
        f"set `data.checks: lax`.",
    )


def _pairs(values: pd.Series, target: pd.Series) -> str:
    """Show which value goes with which class, where each goes with one."""
    if values.nunique() > MOST_PAIRS:
        return ""
    partners = target.groupby(values, observed=True).unique()
    if (partners.map(len) > 1).any():
        return ""
    pairs = [f"{shown([value])[0]} is always {shown(partner)[0]}" for value, partner in partners.items()]
    return f" ({', '.join(pairs)})"


def _formula(sample: pd.DataFrame, contract: Contract, features: list[Column]) -> Iterator[Finding]:
    """Report numeric features of which a sum or product is the target."""
    numeric = [column.name for column in features if column.kind in (Kind.NUMBER, Kind.INTEGER, Kind.BOOLEAN)]
    X = sample[numeric].to_numpy(dtype=np.float64, na_value=np.nan)
    y = sample[contract.target.name].to_numpy(dtype=np.float64)
    formula = find_formula(X, y)
    if formula is None:
        return
    names = [numeric[i] for i in formula.columns]
    listed = ", ".join(f"`{name}`" for name in names)
    yield Finding(
        code="leakage",
        level="error",
        column=names[0],
        count=len(names),
        examples=tuple(f"`{name}`" for name in names),
        sentence=f"The columns {listed} together give the target `{contract.target.name}` away: a {formula.kind} of "
        f"them explains {formula.share:.3%} of its variance.",
        cure=f"Add {listed} to `data.drop` if they are not known when a prediction is wanted; if they are, "
        f"set `data.checks: lax`.",
    )
