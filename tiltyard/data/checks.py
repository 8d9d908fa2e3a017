"""Checks before any training: the contract, the target, the columns, repeated rows, leakage, the split.

Strict stops at any broken check (an error); lax only where no honest model is possible (a blocking error).
"""

from collections.abc import Iterable
from typing import Literal

import pandas as pd

from tiltyard.data.contract import Contract
from tiltyard.data.duplicates import check_duplicates
from tiltyard.data.findings import Finding
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


def check_table(frame: pd.DataFrame, contract: Contract, project: Project) -> tuple[Finding, ...]:
    """Check a table before training.

    Args:
        frame: Typed frame.
        contract: Its contract.
        project: Says how the table is split.

    Returns:
        What was found, errors first; empty when all is well.

    Raises:
        ProjectError: The split method needs a column that the project file does not name.
    """
    findings = [*check_schema(frame, contract), *check_target(frame, contract), *check_usefulness(frame, contract)]
    if not any(finding.code in _UNREADABLE for finding in findings):
        findings += [*check_leakage(frame, contract), *check_duplicates(frame, contract)]
        if not any(finding.blocking for finding in findings):
            findings += _check_split(frame, contract, project)
    return tuple(sorted(findings, key=lambda finding: (_ORDER[finding.level], not finding.blocking)))


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
