"""From a raw table to a project file and a data contract: what `tiltyard init` guesses, and why."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from tiltyard.data.coercion import coerce
from tiltyard.data.contract import ORDERED, Column, Contract, Kind, Level, NumberFormat, Role
from tiltyard.data.kinds import KindGuess, guess_texts, guess_typed, missing_markers, sample_texts
from tiltyard.data.number_format import number_format
from tiltyard.data.origin import origins_of
from tiltyard.data.roles import (
    Guess,
    TargetGuess,
    as_dictionary,
    guess_group,
    guess_ids,
    guess_part,
    guess_target,
    guess_time,
)
from tiltyard.data.values import MISSING_TEXTS
from tiltyard.errors import DataError, UsageError, did_you_mean
from tiltyard.project.metrics import Task

__all__ = ["Guess", "Hints", "Inference", "infer", "project_name"]


@dataclass(frozen=True)
class Hints:
    """What the user said beyond table and target; nothing of it is guessed again.

    Attributes:
        source: `data.source` as it is to stand in the project file; the `where` of `infer` when empty.
        positive: Positive class.
        time: Time column.
        ids: Columns that identify a row.
        group: Column whose rows belong together.
        drop: Columns to leave out.
        missing: Further texts that mean a missing value.
        decimal: Decimal mark.
        thousands: Thousands separator.
    """

    source: str | Mapping[str, Any] = ""
    positive: Level | None = None
    time: str | None = None
    ids: tuple[str, ...] = ()
    group: str | None = None
    drop: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    decimal: Literal[".", ","] | None = None
    thousands: Literal["", ",", ".", " ", "'"] | None = None


@dataclass(frozen=True)
class _Draft:
    """Kinds of the columns, and how their texts are read, before any value was typed."""

    columns: dict[str, Column]
    numbers: NumberFormat
    missing: tuple[str, ...]
    guesses: list[Guess]


@dataclass(frozen=True)
class Inference:
    """What was inferred from a table.

    Attributes:
        contract: The data contract.
        project: Content of `tiltyard.yaml`, in the order it is to be written.
        guesses: What was guessed, with reasons, in the order people want to read it.
    """

    contract: Contract
    project: dict[str, Any]
    guesses: tuple[Guess, ...] = field(default=())


def infer(
    frame: pd.DataFrame,
    *,
    target: str,
    name: str,
    where: str,
    task: Task | None = None,
    hints: Hints | None = None,
) -> Inference:
    """Infer project file and contract from a raw table.

    Args:
        frame: Raw frame, as `read_source` returns it.
        target: The column to predict.
        name: Name of the project; brought into the form that names must have.
        where: Name of the source, for errors.
        task: The task, when the user named it.
        hints: What else the user said.

    Raises:
        UsageError: The target is to be something else as well.
        DataError: The target is absent or cannot be learned, a column cannot be used, or a value does not fit the
            rest of its column; names line, column and value.
    """
    hints = hints or Hints()
    _check_columns(frame, target, hints, where)
    draft = _draft(frame, target, hints, where)
    typed = _typed(frame, target, draft, where)
    columns = {key: _described(column, typed[key]) for key, column in draft.columns.items()}
    outcome = guess_target(typed[target], columns[target], task=task, positive=hints.positive, where=where)
    columns[target] = _as_target(columns[target], outcome, typed[target])
    _check_time(columns, hints.time, where)
    roles = _roles(columns, typed, target, hints)
    contract = Contract(
        task=outcome.task,
        columns=tuple(_with_role(column, roles) for column in columns.values()),
        classes=outcome.classes,
        missing=draft.missing,
        numbers=draft.numbers,
    )
    if not contract.features:
        raise _nothing_left(roles, where)
    source = hints.source or where
    data = {"source": source if isinstance(source, str) else dict(source), "target": target}
    project = {"name": project_name(name), **_sections(data, outcome, roles, draft.missing)}
    return Inference(contract, project, (*_target_guesses(outcome), *roles, *draft.guesses))


def project_name(text: str) -> str:
    """Return a name in the form that projects must have: lower case, digits, `-`, `_`, a letter first.

    Example:
        >>> project_name("data/Telco Churn.csv.gz")
        'telco_churn'
    """
    stem = unicodedata.normalize("NFKD", Path(text).name.split(".")[0])
    plain = "".join(character for character in stem.lower() if not unicodedata.combining(character))
    slug = re.sub(r"[^a-z0-9_-]+", "_", plain).strip("_-") or "model"
    return (slug if slug[0].isalpha() else f"model_{slug}")[:63]


def _check_columns(frame: pd.DataFrame, target: str, hints: Hints, where: str) -> None:
    """Refuse a table without rows, and names that are no columns."""
    if frame.empty:
        raise DataError("the table has no rows", where=where, cure="Check the source.")
    names = [str(name) for name in frame.columns]
    asked = [target, hints.time, hints.group, *hints.ids, *hints.drop]
    for name in asked:
        if name is not None and name not in names:
            raise DataError(f"there is no column `{name}`", where=where, cure=did_you_mean(name, names))
    uses = {"time": (hints.time,), "group": (hints.group,), "ids": hints.ids, "drop": hints.drop}
    for key, columns in uses.items():
        if target in columns:
            what = f"`{target}` is the target and cannot also be the column of `{key}`"
            raise UsageError(what, cure="Name another column, or another target.")


def _check_time(columns: Mapping[str, Column], time: str | None, where: str) -> None:
    """Refuse a time column whose values have no order."""
    if time is not None and columns[time].kind not in ORDERED:
        what = f"`{time}` is a {columns[time].kind}, which has no order in time"
        raise DataError(what, where=where, cure="Name a column of times or numbers, or write its times in ISO 8601.")


def _nothing_left(roles: Sequence[Guess], where: str) -> DataError:
    """Explain that no feature is left: what every other column was put aside for, and why."""
    aside = "; ".join(f"`{guess.guess}` ({guess.subject}: {guess.why})" for guess in roles if guess.guess != "none")
    what = f"no column is left to predict from. Put aside: {aside}" if aside else "no column is left to predict from"
    return DataError(what, where=where, cure="Give a table with more columns, or more rows to tell what they are.")


def _draft(frame: pd.DataFrame, target: str, hints: Hints, where: str) -> _Draft:
    """Guess kinds, number format and missing markers."""
    texts = sample_texts(frame)
    known = MISSING_TEXTS | set(hints.missing)
    numbers = _numbers(texts, known, hints, frame, where)
    markers = missing_markers(texts, numbers, frozenset(known))
    guesses = [
        Guess("data.missing", marker, f"in column `{column}` it stands where a value should")
        for marker, column in markers.items()
    ]
    if numbers != NumberFormat() and not (hints.decimal or hints.thousands):
        written = f"decimal {numbers.decimal!r}, thousands {numbers.thousands!r}"
        guesses.append(Guess("numbers", written, "the columns of numbers are written so"))
    missing = (*hints.missing, *markers)
    columns: dict[str, Column] = {}
    for name in map(str, frame.columns):
        if name in texts:
            present = {text: count for text, count in texts[name].items() if text not in known | set(markers)}
            kind = guess_texts(present, numbers)
            if name == target and kind.kind is Kind.BOOLEAN:  # its classes are answered as they are written
                kind = KindGuess(Kind.CATEGORY, kind.why)
        else:
            kind = guess_typed(frame[name], name)
        guesses += _kind_guesses(name, kind)
        role = Role.DROPPED if kind.empty else Role.FEATURE
        columns[name] = Column(name=name, kind=kind.kind, role=role, time_format=kind.time_format)
    return _Draft(columns, numbers, missing, guesses)


def _numbers(
    texts: Mapping[str, Counter[str]], known: frozenset[str], hints: Hints, frame: pd.DataFrame, where: str
) -> NumberFormat:
    """Return the number format that the user gave, else the one that the columns show."""
    if hints.decimal is not None or hints.thousands is not None:
        return NumberFormat(decimal=hints.decimal or ".", thousands=hints.thousands or "")
    present = {name: [text for text in counts if text not in known] for name, counts in texts.items()}
    present = {name: _without_marker(values) for name, values in present.items()}
    dialects = [origin.dialect for origin in origins_of(frame) if origin.dialect is not None]
    comma = bool(dialects) and dialects[0].delimiter == ","
    return number_format(present, comma_delimited=comma, where=where)


def _without_marker(values: Sequence[str]) -> list[str]:
    """Leave out the one value without any digit, which may be a marker of missing numbers."""
    return [value for value in values if any(character.isdigit() for character in value)] or list(values)


def _kind_guesses(name: str, kind: KindGuess) -> list[Guess]:
    """Tell of a kind where a person may think otherwise."""
    telling = kind.kind in {Kind.TIME, Kind.TEXT, Kind.BOOLEAN} and kind.why != "the source says so" and not kind.empty
    return [Guess(f"column {name}", str(kind.kind), kind.why)] if telling else []


def _typed(frame: pd.DataFrame, target: str, draft: _Draft, where: str) -> pd.DataFrame:
    """Type the whole table by the guessed kinds; a value that does not fit is named with its line."""
    roles = {name: Role.TARGET if name == target else Role.FEATURE for name in draft.columns}
    columns = tuple(column.model_copy(update={"role": roles[name]}) for name, column in draft.columns.items())
    contract = Contract(task=Task.REGRESSION, columns=columns, missing=draft.missing, numbers=draft.numbers)
    try:
        return coerce(frame, contract, where=where)
    except DataError as error:
        cure = "Correct it; or, if it stands for a missing value, name it under `missing`."
        raise DataError(error.what, where=error.where, cure=cure) from None


def _described(column: Column, values: "pd.Series[Any]") -> Column:
    """Add to a column what its values show: nullability, range or levels."""
    update: dict[str, Any] = {"nullable": bool(values.isna().any())}
    present = values.dropna()
    if column.kind in {Kind.NUMBER, Kind.INTEGER} and len(present):
        update |= {"minimum": float(present.min()), "maximum": float(present.max())}
    if column.kind is Kind.CATEGORY:
        update["levels"] = _levels(present)
    return column.model_copy(update=update)


def _levels(present: "pd.Series[Any]") -> tuple[str, ...]:
    """Return the levels, most frequent first, equally frequent ones in order of the alphabet."""
    counts = Counter({str(level): int(count) for level, count in present.value_counts().items()})
    return tuple(sorted(counts, key=lambda level: (-counts[level], level)))


def _as_target(column: Column, outcome: TargetGuess, values: "pd.Series[Any]") -> Column:
    """Give the target column the kind that its task needs."""
    levels = _levels(values.dropna()) if outcome.kind is Kind.CATEGORY else ()
    if not outcome.task.is_classification:
        return column.model_copy(update={"role": Role.TARGET})
    bounds = {} if outcome.kind in {Kind.NUMBER, Kind.INTEGER} else {"minimum": None, "maximum": None}
    plain = {"kind": outcome.kind, "levels": levels, "time_format": "", **bounds}
    return column.model_copy(update={**plain, "role": Role.TARGET})


def _roles(columns: Mapping[str, Column], typed: pd.DataFrame, target: str, hints: Hints) -> list[Guess]:
    """Return what the columns are for: what the user said, then guesses about the others."""
    told = "you named it"
    roles = [Guess("data.drop", name, told) for name in hints.drop]
    roles += [Guess("data.drop", name, "every value is missing") for name in columns if _is_dropped(columns[name])]
    roles += [Guess("data.ids", name, told) for name in hints.ids]
    roles += [] if hints.time is None else [Guess("data.time", hints.time, told)]
    roles += [] if hints.group is None else [Guess("data.group", hints.group, told)]

    def free() -> list[Column]:
        taken = {target, *(guess.guess for guess in roles)}
        return [column for name, column in columns.items() if name not in taken]

    if hints.time is None:
        roles += guess_time(free(), typed)[1]
    roles += guess_part(free())
    if hints.group is None:
        roles += guess_group(free(), typed)
    return roles if hints.ids else [*roles, *guess_ids(free(), typed)]


def _is_dropped(column: Column) -> bool:
    return column.role is Role.DROPPED


_ROLE_OF = {
    "data.drop": Role.DROPPED,
    "data.ids": Role.ID,
    "data.time": Role.TIME,
    "data.group": Role.GROUP,
    "split.column": Role.PART,
}


def _with_role(column: Column, roles: Sequence[Guess]) -> Column:
    role = next((_ROLE_OF[guess.subject] for guess in roles if guess.guess == column.name), column.role)
    return column.model_copy(update={"role": role})


def _target_guesses(outcome: TargetGuess) -> list[Guess]:
    guesses = [Guess("task.kind", str(outcome.task), outcome.why)]
    if outcome.why_positive:
        guesses.append(Guess("task.positive", str(outcome.classes[-1]), outcome.why_positive))
    return guesses


def _sections(
    data: dict[str, Any], outcome: TargetGuess, roles: Sequence[Guess], missing: tuple[str, ...]
) -> dict[str, Any]:
    """Return the sections of the project file, `data` completed by what the columns are for."""
    found = as_dictionary([guess for guess in roles if guess.guess != "none"])
    task: dict[str, Any] = {"kind": str(outcome.task)}
    if outcome.why_positive:
        task["positive"] = outcome.classes[-1]
    for key in ("time", "group"):
        if found.get(f"data.{key}"):
            data[key] = found[f"data.{key}"][0]
    for key in ("ids", "drop"):
        if found.get(f"data.{key}"):
            data[key] = list(dict.fromkeys(found[f"data.{key}"]))
    if missing:
        data["missing"] = list(missing)
    sections = {"task": task, "data": data}
    if found.get("split.column"):
        sections["split"] = {"column": found["split.column"][0]}
    return sections
