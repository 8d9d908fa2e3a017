"""The contract as a project uses it: the project file decides what columns are for, the contract what they are."""

import math
from collections.abc import Collection

from tiltyard.data.contract import ORDERED, Column, Contract, Kind, Level, Role
from tiltyard.data.protection import coarser, guard_of, keyed_hash, required_key
from tiltyard.errors import ProjectError, did_you_mean
from tiltyard.project.coarsening import Coarsen
from tiltyard.project.model import Project, Protection


def in_use(
    contract: Contract, project: Project, key: str | None = None, *, header: Collection[str] | None = None
) -> Contract:
    """Bring a contract in line with its project.

    Roles come from the project (`target`, `time`, `ids`, `group`, `drop`, `split.column`), further missing texts and
    the number format of the source are added, the positive class is put last, and protected columns are described
    as they are after protection, with how raw values get there: dropped ones are gone, hashed ones are categories
    whose levels are hashes.

    Args:
        contract: The contract as reviewed.
        project: The project.
        key: Key of the keyed hashes; needed only where a column is hashed.
        header: Columns of the raw table, once it is read; a column that is only to be dropped by `data.protect` may
            stand there and not in the contract.

    Raises:
        ProjectError: The project names a column or class that the contract does not know, or another task; or a
            protection cannot be applied, or takes away what another key needs.
    """
    _check_names(contract, project)
    check_watched(project, contract)
    _check_protection(contract, project, header)
    if contract.task is not project.task.kind:
        raise ProjectError(
            f"`task.kind` is {project.task.kind} and the contract was made for {contract.task}",
            cure="Make the contract again with `tiltyard init`, or correct `task.kind`.",
        )
    columns = []
    for column in contract.columns:
        protection = project.data.protect.get(column.name)
        if protection != "drop":
            used = column.model_copy(update={"role": _role(column.name, project)})
            columns.append(_protected(used, protection, key))
    _check_uses(columns, project)
    return contract.model_copy(
        update={
            "columns": tuple(columns),
            "classes": _classes(contract, project),
            "missing": tuple(dict.fromkeys((*contract.missing, *project.data.missing))),
            "numbers": _numbers(contract, project),
        }
    )


def _check_names(contract: Contract, project: Project) -> None:
    """Refuse names under `data` and `split` that are no columns of the contract."""
    names = [column.name for column in contract.columns]
    data = project.data
    asked = [("data.target", data.target), ("data.time", data.time), ("data.group", data.group)]
    asked += [("split.column", project.split.column)]
    asked += [("data.ids", name) for name in data.ids] + [("data.drop", name) for name in data.drop]
    for key, name in asked:
        if name is not None and name not in names:
            raise ProjectError(f"`{key}: {name}` is not a column of the contract", cure=did_you_mean(name, names))


def check_watched(project: Project, *contracts: Contract) -> None:
    """Refuse names under `monitoring` that are columns of no contract.

    Args:
        project: The project.
        contracts: The contract as reviewed; beside it a champion's, which may still have a column that is gone there,
            or not have yet one that is new.

    Raises:
        ProjectError: A name is no column.
    """
    names = {column.name for contract in contracts for column in contract.columns} | set(project.data.protect)
    for key, asked in (("ignore", project.monitoring.ignore), ("importance", project.monitoring.importance)):
        for name in asked:
            if name not in names:
                what = f"`monitoring.{key}` names `{name}`, which is not a column of the contract"
                raise ProjectError(what, cure=did_you_mean(name, names))


def _check_protection(contract: Contract, project: Project, header: Collection[str] | None) -> None:
    """Refuse a protection of the target or of no column, and one that was written into the contract."""
    names = [column.name for column in contract.columns]
    data = project.data
    if data.target in data.protect:
        raise ProjectError(f"`data.protect` names the target `{data.target}`", cure="Leave the target in the clear.")
    for name, protection in data.protect.items():
        if name in names or (protection == "drop" and (header is None or name in header)):
            continue
        where = "the contract or of the table" if protection == "drop" else "the contract"
        what = f"`data.protect` names `{name}`, which is not a column of {where}"
        raise ProjectError(what, cure=did_you_mean(name, {*names, *(header or ())}))
    _check_dropped(project)
    by_hand = next((column.name for column in contract.columns if column.protection is not None), None)
    if by_hand is not None:
        what = f"the column `{by_hand}` has a `protection` in the contract"
        raise ProjectError(what, cure="Remove it there, and name the column under `data.protect` of the project file.")


def _check_dropped(project: Project) -> None:
    """Refuse to drop, by protection, a column that another key needs."""
    data = project.data
    needed = [("data.time", data.time), ("data.group", data.group), ("split.column", project.split.column)]
    needed += [("gates.slices", name) for name in project.gates.slices or ()]
    for key, name in needed:
        if name is not None and data.protect.get(name) == "drop":
            cure = f"Take it out of `{key}`, or protect it by `hash`."
            raise ProjectError(f"`data.protect` drops `{name}`, which `{key}` needs", cure=cure)


def _check_uses(columns: Collection[Column], project: Project) -> None:
    """Refuse a use that a column, as it is after protection, cannot serve."""
    features = {column.name for column in columns if column.role is Role.FEATURE and column.kind is not Kind.TEXT}
    known = {column.name: column for column in columns}
    for name in project.gates.slices or ():
        if name not in features:
            why = _no_slice(known.get(name))
            raise ProjectError(f"`gates.slices` names `{name}`, which is {why}", cure=did_you_mean(name, features))
    for column in columns:
        if column.role is Role.TIME and column.kind not in ORDERED:
            what = f"`data.time: {column.name}` is {_kind_in_use(column)}, which has no order in time"
            raise ProjectError(what, cure="Make its kind `time` in the contract (with `time_format`), or take another.")
        if column.role is Role.TIME and project.data.history is not None and column.kind is not Kind.TIME:
            what = f"`data.time: {column.name}` is {_kind_in_use(column)}, which has no age for `data.history`"
            raise ProjectError(what, cure="Make its kind `time` in the contract, or leave `data.history` out.")
        if column.role is Role.PART and column.protection is not None:
            what = f"`data.protect` names `{column.name}`, whose values `split.column` reads"
            raise ProjectError(what, cure="Leave it in the clear; it never reaches a model.")


def _no_slice(column: Column | None) -> str:
    """Say why a column makes no groups."""
    if column is None:
        return "not a column of the contract"
    if column.role is Role.FEATURE:
        return "text, which makes no groups"
    return "the target" if column.role is Role.TARGET else f"not a feature (its role is `{column.role}`)"


def _kind_in_use(column: Column) -> str:
    """Name a column's kind, and where protection made it."""
    return f"a {column.kind}" if column.protection is None else f"a {column.kind} after its protection"


def _role(name: str, project: Project) -> Role:
    """Return what the project uses a column for."""
    data = project.data
    if name == data.target:
        return Role.TARGET
    if name in data.drop:
        return Role.DROPPED
    if name == data.time:
        return Role.TIME
    if name == data.group:
        return Role.GROUP
    if name == project.split.column:
        return Role.PART
    return Role.ID if name in data.ids else Role.FEATURE


def _classes(contract: Contract, project: Project) -> tuple[Level, ...]:
    """Return the classes with the positive one last."""
    positive = project.task.positive
    if positive is None:
        return contract.classes
    known = {str(level): level for level in contract.classes}
    if str(positive) not in known:
        cure = did_you_mean(str(positive), known)
        raise ProjectError(f"`task.positive: {positive}` is not a class of the target", cure=cure)
    last = known[str(positive)]
    return (*(level for level in contract.classes if level != last), last)


def _numbers(contract: Contract, project: Project) -> object:
    """Return the number format, the source's own settings first."""
    source = project.data.source
    given = {"decimal": getattr(source, "decimal", None), "thousands": getattr(source, "thousands", None)}
    numbers = contract.numbers.model_copy(update={key: value for key, value in given.items() if value is not None})
    if numbers.decimal == numbers.thousands:
        what = f"numbers are written with `{numbers.decimal}` both as decimal mark and between thousands"
        cure = "Give `decimal` and `thousands` of the source, or correct `numbers` in the contract."
        raise ProjectError(what, cure=cure)
    return numbers


def _protected(column: Column, protection: Protection | None, key: str | None) -> Column:
    """Describe a column as it is after protection, and how it gets there."""
    if protection is None:
        return column
    guarded = {"protection": guard_of(column, protection, key)}
    if not isinstance(protection, Coarsen):
        levels = tuple(keyed_hash(column.name, level, required_key(key)) for level in column.levels)
        plain = {"kind": Kind.CATEGORY, "minimum": None, "maximum": None, "time_format": "", "levels": levels}
        return column.model_copy(update=plain | guarded)
    if isinstance(protection.coarsen, str):
        return column.model_copy(update={"time_format": ""} | guarded)
    width = protection.coarsen
    try:
        edges = {
            side: None if edge is None else coarser(edge, width)
            for side, edge in (("minimum", column.minimum), ("maximum", column.maximum))
        }
    except OverflowError:
        what = f"`data.protect` cannot coarsen `{column.name}` to bands as narrow as {width:g}"
        raise ProjectError(what, cure="Give a width in the units of its values, such as 10.") from None
    kind = Kind.NUMBER if math.floor(width) != width else column.kind
    return column.model_copy(update={**edges, **guarded, "kind": kind})
