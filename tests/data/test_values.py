"""One raw value and its typed value."""

# ruff: noqa: DTZ001  # typed times are naive UTC

import re
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import TIMES, texts
from tiltyard.data.contract import Column, Contract, Kind, NumberFormat, Role
from tiltyard.data.values import MISSING_TEXTS, Value, typed_value
from tiltyard.errors import DataError
from tiltyard.project.metrics import Task


def contract_with(numbers: NumberFormat | None = None, missing: tuple[str, ...] = ()) -> Contract:
    target = Column(name="y", kind=Kind.NUMBER, role=Role.TARGET)
    return Contract(task=Task.REGRESSION, columns=(target,), numbers=numbers or NumberFormat(), missing=missing)


def typed(kind: Kind, raw: object, contract: Contract | None = None, time_format: str = "") -> Value:
    column = Column(name="x", kind=kind, time_format=time_format)
    return typed_value(column, raw, contract or contract_with(missing=("?",)))


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (Kind.NUMBER, " 1.50 ", 1.5),
        (Kind.NUMBER, "-.5e1", -5.0),
        (Kind.NUMBER, Decimal("0.1"), 0.1),
        (Kind.NUMBER, np.float32(0.5), 0.5),
        (Kind.NUMBER, 3, 3.0),
        (Kind.INTEGER, "3.0", 3),
        (Kind.INTEGER, "1e3", 1000),
        (Kind.INTEGER, np.int64(7), 7),
        (Kind.INTEGER, "9223372036854775807", 2**63 - 1),
        (Kind.INTEGER, 3.0, 3),
        (Kind.BOOLEAN, "YES", True),
        (Kind.BOOLEAN, "f", False),
        (Kind.BOOLEAN, 1.0, True),
        (Kind.BOOLEAN, np.False_, False),
        (Kind.CATEGORY, True, "True"),
        (Kind.CATEGORY, 3.0, "3"),
        (Kind.CATEGORY, "3.0", "3"),
        (Kind.CATEGORY, " a ", "a"),
        (Kind.CATEGORY, "007", "007"),
        (Kind.CATEGORY, 0.1, "0.1"),
        (Kind.CATEGORY, date(2026, 1, 2), "2026-01-02"),
        (Kind.CATEGORY, UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Kind.TEXT, " a ", " a "),
        (Kind.TIME, "2026-01-31", datetime(2026, 1, 31)),
        (Kind.TIME, "2026-01-31T10:00:00+02:00", datetime(2026, 1, 31, 8)),
        (Kind.TIME, datetime(2026, 1, 31, 10, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 1, 31, 8)),
        (Kind.TIME, date(2026, 1, 31), datetime(2026, 1, 31)),
        (Kind.TIME, np.datetime64("2026-01-31T10:00:00.123456789", "ns"), datetime(2026, 1, 31, 10, 0, 0, 123456)),
        (Kind.TIME, pd.Timestamp("2026-01-31 10:00:00.123456789"), datetime(2026, 1, 31, 10, 0, 0, 123456)),
    ],
)
def test_raw_values_are_typed(kind: Kind, raw: object, value: Value) -> None:
    found = typed(kind, raw)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("raw", [None, float("nan"), np.nan, pd.NA, pd.NaT, np.datetime64("NaT"), " ", "?", "NULL"])
def test_every_form_of_missing_is_none(kind: Kind, raw: object) -> None:
    assert typed(kind, raw) is None


@pytest.mark.parametrize(
    ("kind", "raw", "hint"),
    [
        (Kind.NUMBER, "1,5", r"written like 1234\.5"),
        (Kind.NUMBER, "abc", "written like"),
        (Kind.NUMBER, "1_000", "written like"),
        (Kind.NUMBER, "inf", "written like"),
        (Kind.NUMBER, float("inf"), "not finite"),
        (Kind.NUMBER, "1e999", "not finite"),
        (Kind.NUMBER, 10**400, "out of range"),
        (Kind.NUMBER, True, "a number is expected"),
        (Kind.NUMBER, [1], "a number is expected"),
        (Kind.INTEGER, "3.5", "has decimals"),
        (Kind.INTEGER, 2**63, "64 bits"),
        (Kind.INTEGER, "1e999999999", "not finite"),
        (Kind.INTEGER, "٣", "written like"),
        (Kind.BOOLEAN, 2, "yes/no"),
        (Kind.CATEGORY, b"x", "text, a number"),
        (Kind.CATEGORY, {"a": 1}, "text, a number"),
        (Kind.TEXT, "\ud800", "half of a character"),
        (Kind.TIME, "31.01.2026", "ISO 8601"),
        (Kind.TIME, 1700000000, "ISO 8601"),
        (Kind.TIME, "0001-01-01T00:00:00+14:00", "out of range|ISO 8601"),
    ],
)
def test_wrong_values_are_refused_with_column_value_and_cure(kind: Kind, raw: object, hint: str) -> None:
    with pytest.raises(DataError, match="in column `x` is not ") as caught:
        typed(kind, raw)
    assert re.search(hint, caught.value.cure, re.IGNORECASE)


@pytest.mark.parametrize(
    ("numbers", "text", "value"),
    [
        (NumberFormat(decimal=","), "1,5", 1.5),
        (NumberFormat(decimal=",", thousands="."), "1.234.567,5", 1234567.5),
        (NumberFormat(decimal=".", thousands=","), "-1,234", -1234.0),
        (NumberFormat(decimal=",", thousands=" "), "1\u202f234,5", 1234.5),
        (NumberFormat(decimal=".", thousands="'"), "1'234.5", 1234.5),
        (NumberFormat(decimal=".", thousands=","), "1234.5", 1234.5),
    ],
)
def test_number_formats(numbers: NumberFormat, text: str, value: float) -> None:
    assert typed(Kind.NUMBER, text, contract_with(numbers)) == value


@pytest.mark.parametrize("text", ["1.5", "1,234.5", "12.34,5", "1.2345,5"])
def test_numbers_of_another_format_are_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"is not a number.*like 1\.234,5"):
        typed(Kind.NUMBER, text, contract_with(NumberFormat(decimal=",", thousands=".")))


def test_times_of_a_given_form() -> None:
    assert typed(Kind.TIME, "31.01.2026 10:30", time_format="%d.%m.%Y %H:%M") == datetime(2026, 1, 31, 10, 30)
    with pytest.raises(DataError, match=r"the form `%d\.%m\.%Y`"):
        typed(Kind.TIME, "2026-01-31", time_format="%d.%m.%Y")


@given(st.sampled_from(sorted(MISSING_TEXTS)), st.sampled_from(list(Kind)))
def test_missing_texts_are_missing_with_space_around(text: str, kind: Kind) -> None:
    assert typed(kind, f" {text}\t") is None


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_are_exact_as_text(number: int) -> None:
    assert typed(Kind.INTEGER, str(number)) == typed(Kind.INTEGER, f"{number}.0") == number


@given(TIMES)
def test_times_are_the_same_from_text_and_with_a_zone(moment: datetime) -> None:
    assert typed(Kind.TIME, moment.isoformat()) == moment
    assert typed(Kind.TIME, moment.replace(tzinfo=UTC)) == moment


@given(texts().filter(lambda text: text.strip() != "?"))  # which `typed` takes for a missing value
def test_typing_a_typed_text_changes_nothing(text: str) -> None:
    assert typed(Kind.TEXT, text) == text
    once = typed(Kind.CATEGORY, text)
    assert typed(Kind.CATEGORY, once) == once
