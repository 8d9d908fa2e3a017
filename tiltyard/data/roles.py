"""What columns are for, and what is predicted: guessed from names and typed values, each with its reason."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tiltyard.data.contract import Column, Kind, Level
from tiltyard.errors import DataError, did_you_mean
from tiltyard.project.metrics import Task

PARTS = frozenset({"train", "validation", "calibration", "test"})
MOST_CLASSES = 100
_MOST_CODES = 20
_ID_NAME = re.compile(
    r"(?:^|[_\W])(?:id|ids|uuid|guid|key|index|instant|rownum|row|nr|no)$|^(?:id|uuid)[_\W]", re.IGNORECASE
)
_CAMEL_ID = re.compile(r"[a-z](?:ID|Id)$")
_OWNER = re.compile(
    r"^(?:customer|user|client|patient|account|household|device|subject|person|member)[_\W]?id$", re.IGNORECASE
)
_TIME_NAME = re.compile(
    r"timestamp|datetime|(?:^|_)(?:date|time|ts|created|updated|observed|event)|day$", re.IGNORECASE
)
_BIRTH_NAME = re.compile(r"birth|dob", re.IGNORECASE)
_POSITIVE_WORDS = frozenset(
    {"yes", "y", "true", "t", "positive", "pos", "bad", "fraud", "churned", "default", "malignant"}
)


@dataclass(frozen=True)
class Guess:
    """One guess that `init` reports.

    Attributes:
        subject: What it is about: a column, or a key of the project file.
        guess: What was guessed.
        why: The reason.
    """

    subject: str
    guess: str
    why: str


@dataclass(frozen=True)
class TargetGuess:
    """What is predicted.

    Attributes:
        task: The task.
        kind: Kind of the target column.
        classes: Classes, the positive one last; empty for regression.
        why: Reason for the task.
        why_positive: Reason for the positive class; empty unless binary.
    """

    task: Task
    kind: Kind
    classes: tuple[Level, ...]
    why: str
    why_positive: str = ""


def guess_target(
    values: "pd.Series[Any]", column: Column, *, task: Task | None, positive: Level | None, where: str
) -> TargetGuess:
    """Guess task, classes and positive class.

    Args:
        values: The typed target.
        column: Its column as guessed so far.
        task: The task, when the user named it.
        positive: The positive class, when the user named it.
        where: Name of the source, for errors.

    Raises:
        DataError: The target is missing everywhere, has one value only, or does not fit the named task.
    """
    counts = values.dropna().value_counts()
    name = column.name
    if len(counts) < 2:
        what = f"the target `{name}` has {'one value only' if len(counts) else 'no values'}: there is nothing to learn"
        raise DataError(what, where=where, cure="Choose another target, or a table with more than one outcome.")
    numeric = column.kind in {Kind.NUMBER, Kind.INTEGER}
    whole = column.kind is Kind.INTEGER or (numeric and _are_integers(counts.index.to_numpy(dtype=float)))
    found, why = (task, "you named it") if task else _guess_task(counts, column.kind, whole=whole)
    if found is Task.REGRESSION:
        if not numeric:
            what = f"the target `{name}` is {column.kind} and cannot be a regression's"
            raise DataError(what, where=where, cure="Leave the task to be guessed, or choose another target.")
        return TargetGuess(found, column.kind, (), why)
    kind = Kind.INTEGER if whole else column.kind
    if kind in {Kind.TEXT, Kind.TIME}:
        kind = Kind.CATEGORY
    classes = _classes(counts, kind)
    _check_classes(len(classes), found, name, where)
    if found is not Task.BINARY:
        return TargetGuess(found, kind, classes, why)
    last, why_positive = _guess_positive(classes, counts, positive, where)
    return TargetGuess(found, kind, (*(level for level in classes if level != last), last), why, why_positive)


def _are_integers(numbers: Any) -> bool:
    """Whether floats are whole, and fit into 64 bits."""
    return bool((numbers % 1 == 0).all() and (abs(numbers) < 2.0**63).all())


def _guess_task(counts: Any, kind: Kind, *, whole: bool) -> tuple[Task, str]:
    distinct = len(counts)
    if distinct == 2:
        return Task.BINARY, "the target has two values"
    if kind not in {Kind.NUMBER, Kind.INTEGER}:
        return Task.MULTICLASS, f"the target has {distinct} different texts"
    low, high = float(counts.index.min()), float(counts.index.max())
    if kind is Kind.INTEGER and whole and distinct <= _MOST_CODES and low in {0, 1} and high - low + 1 == distinct:
        return Task.MULTICLASS, f"the target's values are the codes {low:g} to {high:g}"
    return Task.REGRESSION, f"the target has {distinct} different numbers from {low:g} to {high:g}"


def _classes(counts: Any, kind: Kind) -> tuple[Level, ...]:
    """Return the classes in ascending order, as Python values of the column's kind."""
    convert: dict[Kind, Any] = {Kind.INTEGER: int, Kind.NUMBER: float, Kind.BOOLEAN: bool}
    return tuple(sorted(convert.get(kind, str)(value) for value in counts.index))


def _check_classes(count: int, task: Task, name: str, where: str) -> None:
    if task is Task.BINARY and count != 2:
        what = f"the target `{name}` has {count} values and cannot be a binary task's"
        raise DataError(what, where=where, cure="Leave the task to be guessed, or choose another target.")
    if count > MOST_CLASSES:
        what = f"the target `{name}` has {count} different values, more than the {MOST_CLASSES} classes allowed"
        raise DataError(what, where=where, cure="Group its values, or choose another target.")


def _guess_positive(classes: Sequence[Level], counts: Any, positive: Level | None, where: str) -> tuple[Level, str]:
    known = {str(level): level for level in classes}
    if positive is not None:
        if str(positive) not in known:
            raise DataError(
                f"`{positive}` is not a class of the target", where=where, cure=did_you_mean(str(positive), known)
            )
        return known[str(positive)], "you named it"
    if {str(level) for level in classes} in ({"0", "1"}, {"-1", "1"}):
        return known["1"], "it is the 1 of two codes"
    named = [level for level in classes if str(level).lower() in _POSITIVE_WORDS]
    if len(named) == 1:
        return named[0], "its name says so"
    rows = {level: int(counts.loc[level]) for level in classes}
    rarer = min(classes, key=lambda level: rows[level]) if len(set(rows.values())) > 1 else classes[-1]
    return rarer, f"it is the rarer one ({rows[rarer]} of {sum(rows.values())} rows)"


def guess_time(columns: Sequence[Column], frame: pd.DataFrame) -> tuple[str | None, list[Guess]]:
    """Guess which column says when a row became known: the only time, else the one named or sorted so."""
    times = [column.name for column in columns if column.kind is Kind.TIME and not _BIRTH_NAME.search(column.name)]
    if len(times) == 1:
        return times[0], [Guess("data.time", times[0], "it is the table's only column of times")]
    candidates = [name for name in times if frame[name].dropna().is_monotonic_increasing]
    candidates = candidates or [name for name in times if _TIME_NAME.search(name)]
    if len(candidates) == 1:
        return candidates[0], [Guess("data.time", candidates[0], f"of the times {', '.join(times)} it fits best")]
    if times:
        return None, [Guess("data.time", "none", f"{', '.join(times)} all may be it; set it if rows arrive over time")]
    return None, []


def guess_ids(columns: Sequence[Column], frame: pd.DataFrame) -> list[Guess]:
    """Guess which columns identify a row: all values differ, and the name or a plain count 1, 2, 3 … says so."""
    guesses = []
    for column in columns:
        if column.kind not in {Kind.INTEGER, Kind.TEXT, Kind.CATEGORY} or column.nullable:
            continue
        values = frame[column.name]
        if len(values) < 3 or not values.is_unique:
            continue
        if _ID_NAME.search(column.name) or _CAMEL_ID.search(column.name):
            guesses.append(Guess("data.ids", column.name, "every value occurs once, and its name says so"))
        elif column.kind is Kind.INTEGER and (values.diff().dropna() == 1).all():
            guesses.append(Guess("data.ids", column.name, "it counts the rows"))
    return guesses


def guess_group(columns: Sequence[Column], frame: pd.DataFrame) -> list[Guess]:
    """Guess whose rows belong together: a customer's, patient's or device's identifier that occurs repeatedly."""
    for column in columns:
        if column.kind in {Kind.INTEGER, Kind.TEXT, Kind.CATEGORY} and _OWNER.search(column.name):
            count = frame[column.name].nunique()
            if 1 < count < len(frame):
                why = f"its {count} values identify somebody with several rows"
                return [Guess("data.group", column.name, why)]
    return []


def guess_part(columns: Sequence[Column]) -> list[Guess]:
    """Guess which column gives the split: its values are parts, `train` and `test` among them."""
    for column in columns:
        levels = set(column.levels)
        if levels <= PARTS and {"train", "test"} <= levels:
            return [Guess("split.column", column.name, f"its values are {', '.join(sorted(levels))}")]
    return []


def as_dictionary(guesses: Sequence[Guess]) -> Mapping[str, list[str]]:
    """Return what was guessed by subject."""
    found: dict[str, list[str]] = {}
    for guess in guesses:
        found.setdefault(guess.subject, []).append(guess.guess)
    return found
