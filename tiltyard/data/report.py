"""The validation report: what was found and how every column looks, as one HTML file that needs nothing else."""

from collections.abc import Iterable
from pathlib import Path

import jinja2
import pandas as pd

from tiltyard.data.contract import Contract, Role
from tiltyard.data.findings import Finding, counted
from tiltyard.data.profile import profile_table

_TEMPLATES = Path(__file__).parent / "templates"
_LEVELS = (("error", "errors"), ("warning", "warnings"), ("note", "notes"))


def validation_report(frame: pd.DataFrame, contract: Contract, findings: Iterable[Finding], *, title: str = "") -> str:
    """Write the validation report of a table.

    Values of columns that identify somebody (ids, groups) are counted but not shown. Everything that comes from the
    table is escaped; the file loads nothing and runs no script.

    Args:
        frame: Typed frame.
        contract: Its contract.
        findings: What the checks found.
        title: Name of the project.

    Returns:
        HTML.
    """
    listed = list(findings)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.globals["counted"] = counted
    return environment.get_template("validation.html").render(
        title=title,
        facts=_facts(frame, contract),
        verdict=_verdict(listed),
        findings=listed,
        levels=[(name, sum(one.level == level for one in listed)) for level, name in _LEVELS],
        profiles=profile_table(frame, contract),
    )


def _facts(frame: pd.DataFrame, contract: Contract) -> list[tuple[str, str]]:
    """Return the summary of the table, names and texts."""
    roles = [(role, [column.name for column in contract.columns if column.role is role]) for role in Role]
    named = [(role.value, ", ".join(names)) for role, names in roles if names and role is not Role.FEATURE]
    classes = [("classes", ", ".join(map(str, contract.classes)))] if contract.classes else []
    return [
        ("rows", f"{len(frame):,}"),
        ("columns", f"{len(contract.columns):,}"),
        ("features", f"{len(contract.features):,}"),
        ("task", contract.task.value),
        *named,
        *classes,
    ]


def _verdict(findings: list[Finding]) -> str:
    """Say in a sentence whether the table can be trained on."""
    blocking = sum(one.blocking for one in findings)
    errors = sum(one.level == "error" for one in findings)
    if blocking:
        return f"No honest model is possible: {counted(blocking, 'check')} must be put right first."
    if errors:
        return f"{counted(errors, 'check is', 'checks are')} broken: a strict run stops here, a lax one goes on."
    if findings:
        return "The table can be trained on; what was noticed stands below."
    return "The table passes every check."
