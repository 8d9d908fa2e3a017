"""Checks before any training: the contract, the target, the columns, repeated rows, leakage, the split.

Strict stops at any broken check (an error); lax only where no honest model is possible (a blocking error).
"""

from collections.abc import Iterable
from typing import Literal

import pandas as pd

from tiltyard.data.contract import Contract
from tiltyard.data.duplicates import check_duplicates
from tiltyard.data.findings import Finding, counted
from tiltyard.data.history import Recent, recent
from tiltyard.data.leakage import check_leakage
from tiltyard.data.schema import check_schema
from tiltyard.data.split import make_split
from tiltyard.data.target import check_target
from tiltyard.data.usefulness import check_usefulness
from tiltyard.errors import DataError
from tiltyard.project.model import Project

__all__ = ["Finding", "check_table", "stop_on"]

_ORDER = {"error": 0, "warning": 1, "note": 2}
_UNREADABLE = {"missing_column", "kind", "infinite", "target_kind", "no_features"}
"""After these the values themselves cannot be looked at."""
_SCARCE = {"too_few_rows", "small_class", "constant_target"}
"""These may be so only because old rows are left out."""


def check_table(frame: pd.DataFrame, contract: Contract, project: Project) -> tuple[Finding, ...]:
    """Check a table before training.

    The contract is for all rows; what else is looked for is looked for in those that `data.history` keeps.

    Args:
        frame: Typed frame.
        contract: Its contract.
        project: Says how the table is split.

    Returns:
        What was found, errors first; empty when all is well.

    Raises:
        ProjectError: The split method needs a column that the project file does not name.
    """
    findings = list(check_schema(frame, contract))
    old = None if _unreadable(findings) else recent(frame, contract, project)
    kept = frame if old is None else frame[old.rows]
    lessons = [*check_target(kept, contract), *check_usefulness(kept, contract)]
    findings += lessons if old is None else [_left_out(old), *(_explained(one, old) for one in lessons)]
    if not _unreadable(findings):
        findings += [*check_leakage(kept, contract), *check_duplicates(kept, contract)]
        if not any(finding.blocking for finding in findings):
            findings += _check_split(frame, contract, project)
    return tuple(sorted(findings, key=lambda finding: (_ORDER[finding.level], not finding.blocking)))


def _unreadable(findings: Iterable[Finding]) -> bool:
    """Tell whether the values themselves cannot be looked at."""
    return any(finding.code in _UNREADABLE for finding in findings)


def _left_out(old: Recent) -> Finding:
    """Say that old rows are left out."""
    count = int((~old.rows).sum())
    return Finding(
        code="old_rows",
        level="note",
        count=count,
        sentence=f"{counted(count, 'row')} of {len(old.rows):,} are not learnt from: {old.reason}, or have no time.",
        cure="Change `data.history` to learn from more or fewer.",
    )


def _explained(finding: Finding, old: Recent) -> Finding:
    """Say, where too little is left, that it may be for want of old rows."""
    return finding.model_copy(update={"cure": f"{finding.cure} {old.cure}"}) if finding.code in _SCARCE else finding


def stop_on(findings: Iterable[Finding], checks: Literal["strict", "lax"]) -> None:
    """Stop the run where a check is broken.

    Args:
        findings: What `check_table` found.
        checks: `strict` stops at every error, `lax` only at those that leave no honest model.

    Raises:
        DataError: A check is broken; lists all of them with their cures.
    """
    broken = [one for one in findings if one.blocking or (one.level == "error" and checks == "strict")]
    if not broken:
        return
    if len(broken) == 1:
        raise DataError(broken[0].sentence, cure=broken[0].cure)
    lines = [f"{number}. {one.sentence} {one.cure}" for number, one in enumerate(broken, start=1)]
    raise DataError(f"{len(broken)} checks are broken:\n" + "\n".join(lines))


def _check_split(frame: pd.DataFrame, contract: Contract, project: Project) -> tuple[Finding, ...]:
    """Report a split that leaves a part or a class without rows."""
    try:
        make_split(frame, contract, project)
    except DataError as error:
        sentence = f"The table cannot be split: {error.what}."
        return (Finding(code="split", level="error", blocking=True, sentence=sentence, cure=error.cure),)
    return ()
