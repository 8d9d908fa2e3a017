"""Evolution of the contract: what changed between two versions, and whether what relied on the old still holds.

Widening passes: everything the old contract allowed, the new one allows too, and requests of the old form are still
answered. Narrowing and changed kinds break a promise and are refused.
"""

from collections.abc import Iterable, Iterator, Sequence

from tiltyard.data.contract import Column, Contract, Role
from tiltyard.data.findings import shown
from tiltyard.errors import DataError
from tiltyard.project.coarsening import Coarsen
from tiltyard.project.section import Section


class Change(Section):
    """One difference between two contracts.

    Attributes:
        column: Column it concerns; empty when it concerns the whole contract.
        breaking: Whether something that the old contract allowed is no longer allowed.
        sentence: The difference in one line, `~ age: nullable False → True (wider)`.
    """

    column: str
    breaking: bool
    sentence: str


def compare_contracts(old: Contract, new: Contract) -> tuple[Change, ...]:
    """Compare two versions of a contract.

    Args:
        old: The contract in force.
        new: The contract that is to replace it.

    Returns:
        Every difference, in the order of the old columns, new columns last; empty when there is none.

    Example:
        >>> import json
        >>> def with_age(nullable: bool) -> Contract:
        ...     age = {"name": "age", "kind": "integer", "nullable": nullable}
        ...     bought = {"name": "bought", "kind": "boolean", "role": "target"}
        ...     return Contract.model_validate_json(json.dumps({"task": "binary", "columns": [age, bought]}))
        >>> [change.sentence for change in compare_contracts(with_age(False), with_age(True))]
        ['~ age: may be missing (wider)']
    """
    before = {column.name: column for column in old.columns}
    after = {column.name: column for column in new.columns}
    changes = [*_whole(old, new)]
    for name, column in before.items():
        changes += _compare(column, after[name]) if name in after else [_removed(column)]
    changes += [_added(column) for name, column in after.items() if name not in before]
    return tuple(changes)


def refuse_breaking(changes: Iterable[Change]) -> None:
    """Refuse a change of contract that breaks a promise.

    Raises:
        DataError: A change is breaking; shows the whole diff.
    """
    listed = list(changes)
    broken = sum(change.breaking for change in listed)
    if broken:
        diff = "\n".join(f"  {change.sentence}" for change in listed)
        raise DataError(
            f"the contract would break {broken} of its promises:\n{diff}",
            cure="\nKeep what it promised (widening is fine), or start a new project under another name.",
        )


def _change(name: str, words: str, verdict: str, mark: str = "~") -> Change:
    """Return one change; all verdicts but `wider` and `harmless` break a promise."""
    breaking = verdict not in {"wider", "harmless"}
    return Change(column=name, breaking=breaking, sentence=f"{mark} {name}: {words} ({verdict})")


def _whole(old: Contract, new: Contract) -> Iterator[Change]:
    """Compare what concerns the whole contract."""
    if old.task is not new.task:
        yield _change("task", f"{old.task} → {new.task}", "changed")
    if old.classes != new.classes:
        lost = [value for value in old.classes if value not in new.classes]
        gained = [value for value in new.classes if value not in old.classes]
        if lost or gained:
            yield _change("classes", _sets(lost, gained), "changed" if lost or not old.classes else "added classes")
        else:
            yield _change("classes", f"order {list(old.classes)} → {list(new.classes)}", "changed")
    lost = [text for text in old.missing if text not in new.missing]
    gained = [text for text in new.missing if text not in old.missing]
    if lost or gained:
        yield _change("missing", _sets(lost, gained), "changed")
    if old.numbers != new.numbers:
        words = f"decimal `{old.numbers.decimal}`, thousands `{old.numbers.thousands}` → "
        words += f"decimal `{new.numbers.decimal}`, thousands `{new.numbers.thousands}`"
        yield _change("numbers", words, "changed")


def _removed(column: Column) -> Change:
    """Say that a column is gone."""
    verdict = "removed" if column.role in (Role.FEATURE, Role.TARGET) else "harmless"
    return _change(column.name, f"{column.kind} {column.role} is gone", verdict, "-")


def _added(column: Column) -> Change:
    """Say that a column is new."""
    wanted = column.role is Role.FEATURE and not column.nullable
    words = f"{column.kind} {column.role} is new, " + ("may be missing" if column.nullable else "must be there")
    return _change(column.name, words, "new demand" if wanted or column.role is Role.TARGET else "harmless", "+")


def _compare(old: Column, new: Column) -> Iterator[Change]:
    """Compare two versions of one column."""
    name = old.name
    if old.kind is not new.kind:
        yield _change(name, f"kind {old.kind} → {new.kind}", "changed kind")
        return
    if old.role is not new.role:
        matters = {Role.FEATURE, Role.TARGET} & {old.role, new.role}
        yield _change(name, f"role {old.role} → {new.role}", "changed role" if matters else "harmless")
    if old.nullable is not new.nullable:
        yield _change(
            name,
            "may be missing" if new.nullable else "may no longer be missing",
            "wider" if new.nullable else "narrower",
        )
    if old.protection != new.protection:
        words = f"protection {_guard(old)} → {_guard(new)}"
        yield _change(name, words, "changed protection")
    yield from _ranges(old, new)
    yield from _levels(old, new)
    if old.time_format != new.time_format:
        yield _change(name, f"time format `{old.time_format}` → `{new.time_format}`", "changed")


def _guard(column: Column) -> str:
    """Name how a column is protected; hashes by another key are another protection."""
    guard = column.protection
    if guard is None:
        return "none"
    return (
        f"coarsen {guard.method.coarsen}" if isinstance(guard.method, Coarsen) else f"hash (key {guard.key_check[:4]})"
    )


def _ranges(old: Column, new: Column) -> Iterator[Change]:
    """Compare the bounds of two versions of a column; a bound that is left out allows everything."""
    sides = (("minimum", old.minimum, new.minimum, 1), ("maximum", old.maximum, new.maximum, -1))
    for side, before, after, sign in sides:
        if before == after:
            continue
        tighter = after is not None and (before is None or sign * after > sign * before)
        words = f"{side} {_bound(before)} → {_bound(after)}"
        yield _change(old.name, words, "narrower" if tighter else "wider")


def _bound(value: float | None) -> str:
    """Write a bound."""
    return "none" if value is None else f"{value:g}"


def _levels(old: Column, new: Column) -> Iterator[Change]:
    """Compare the levels of two versions of a column; their order is of no matter."""
    lost = [level for level in old.levels if level not in new.levels]
    gained = [level for level in new.levels if level not in old.levels]
    if lost or gained:
        yield _change(old.name, f"levels {_sets(lost, gained)}", "narrower" if lost else "wider")
    if old.new_levels != new.new_levels:
        verdict = "narrower" if new.new_levels == "refuse" else "wider"
        yield _change(old.name, f"new levels {old.new_levels} → {new.new_levels}", verdict)


def _sets(lost: Sequence[object], gained: Sequence[object]) -> str:
    """Write what went and what came."""
    parts = []
    if lost:
        parts.append(f"without {', '.join(shown(lost, 5))}" + (" and more" if len(lost) > 5 else ""))
    if gained:
        parts.append(f"with {', '.join(shown(gained, 5))}" + (" and more" if len(gained) > 5 else ""))
    return ", ".join(parts)
