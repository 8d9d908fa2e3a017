"""The data contract: what every column is, for training table, request and documentation alike.

This module holds the record and is free of pandas and YAML, so that a serving worker can load it. How a raw value
becomes a typed one is in `tiltyard.data.values` (one value) and `tiltyard.data.coercion` (a whole table); both agree.
"""

from collections import Counter
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tiltyard.errors import DataError, did_you_mean
from tiltyard.project.coarsening import Coarsen
from tiltyard.project.digests import digest
from tiltyard.project.metrics import Task
from tiltyard.project.section import Section

Level = str | int | float | bool
Bound = Annotated[float, Field(allow_inf_nan=False)]


class Kind(StrEnum):
    """What the values of a column are.

    A typed value is `None` when missing, else: number → float, integer → int (64 bits), boolean → bool,
    category and text → str, time → naive `datetime` in UTC with microseconds.
    """

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    TEXT = "text"
    TIME = "time"


ORDERED = frozenset({Kind.TIME, Kind.INTEGER, Kind.NUMBER})
"""Kinds whose values come in an order, as times must."""


class Role(StrEnum):
    """What a column is for."""

    FEATURE = "feature"
    TARGET = "target"
    TIME = "time"
    ID = "id"
    GROUP = "group"
    PART = "part"
    DROPPED = "dropped"


class Guard(Section):
    """How a raw value is protected before anything else sees it; a column describes its values after that.

    Attributes:
        method: A keyed hash, or the coarser group a value falls into.
        kind: What a raw value is.
        time_format: Form of a raw time, as in `Column`.
        key_check: Tells a wrong key of the hashes from the right one.
    """

    method: Literal["hash"] | Coarsen
    kind: Kind
    time_format: str = ""
    key_check: str = ""


class Column(Section):
    """One column's promise.

    Attributes:
        name: As in the table and in a request.
        kind: What its values are.
        role: What it is for; only features reach the model.
        nullable: Whether a value may be missing.
        minimum: Least number seen (numbers, integers), as a bound that checks report.
        maximum: Largest number seen.
        levels: Levels of a category, most frequent first.
        new_levels: What an unseen level means: `other` is answered and reported, `refuse` is an error.
        time_format: `strptime` format of a time written as text, ISO 8601 when empty.
        protection: How its raw values are protected; set from the project's `data.protect`, never by hand.
    """

    name: str
    kind: Kind
    role: Role = Role.FEATURE
    nullable: bool = False
    minimum: Bound | None = None
    maximum: Bound | None = None
    levels: tuple[str, ...] = ()
    new_levels: Literal["other", "refuse"] = "other"
    time_format: str = ""
    protection: Guard | None = None

    @model_validator(mode="after")
    def _promises_fit_the_kind(self) -> Self:
        if self.levels and self.kind is not Kind.CATEGORY:
            raise ValueError(f"column `{self.name}` is a {self.kind}; only a category has `levels`")
        twice = next((level for level, count in Counter(self.levels).items() if count > 1), None)
        if twice is not None:
            raise ValueError(f"column `{self.name}`: the level `{twice}` stands twice")
        bounded = self.minimum is not None or self.maximum is not None
        if bounded and self.kind not in {Kind.NUMBER, Kind.INTEGER}:
            what = f"column `{self.name}` is a {self.kind}"
            raise ValueError(f"{what}; only numbers and integers have `minimum` and `maximum`")
        if self.role is Role.TIME and self.kind not in ORDERED:
            raise ValueError(f"column `{self.name}` is a {self.kind}, which has no order; the role `time` needs a time")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"column `{self.name}`: `minimum` {self.minimum} is above `maximum` {self.maximum}")
        return self


class NumberFormat(Section):
    """How numbers are written where they arrive as text."""

    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'"] = ""

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError(f"`decimal` and `thousands` are both `{self.decimal}`; a number could not be read")
        return self


class Contract(Section):
    """The promise of a whole table.

    Attributes:
        task: What is predicted.
        columns: Every column of the table, in its order, the target included.
        classes: Classes of the target as typed values, the positive class last; empty for regression.
        missing: Texts that mean a missing value, beside the standard ones.
        numbers: How numbers are written as text.
    """

    task: Task
    columns: tuple[Column, ...]
    classes: tuple[Level, ...] = ()
    missing: tuple[str, ...] = ()
    numbers: NumberFormat = NumberFormat()

    @model_validator(mode="after")
    def _has_one_target(self) -> Self:
        names = [column.name for column in self.columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"column `{twice[0]}` stands twice")
        if sum(column.role is Role.TARGET for column in self.columns) != 1:
            raise ValueError("exactly one column must have the role `target`")
        return self

    @property
    def target(self) -> Column:
        """The column to predict."""
        return next(column for column in self.columns if column.role is Role.TARGET)

    @property
    def features(self) -> tuple[Column, ...]:
        """The columns that reach the model, in order."""
        return tuple(column for column in self.columns if column.role is Role.FEATURE)

    def column(self, name: str) -> Column:
        """Return a column by name.

        Raises:
            DataError: There is no such column; suggests the near miss.
        """
        for column in self.columns:
            if column.name == name:
                return column
        names = [column.name for column in self.columns]
        raise DataError(f"`{name}` is not a column of the contract", cure=did_you_mean(name, names))

    @property
    def digest(self) -> str:
        """16 hex digits that change with the content."""
        return digest(self)
