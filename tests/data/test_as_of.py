"""What was known at a moment: exactly the rows of that time or earlier, whatever else the table holds."""

from datetime import UTC, date, datetime, timedelta, timezone

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tiltyard.data.as_of import AsOf, known_by, last_moment
from tiltyard.data.contract import Column, Contract, Guard, Kind, Role
from tiltyard.errors import DataError
from tiltyard.project.metrics import Task

SEEN = Column(name="seen", kind=Kind.TIME, role=Role.TIME, nullable=True)
LEFT = Column(name="left", kind=Kind.BOOLEAN, role=Role.TARGET)
CONTRACT = Contract(task=Task.BINARY, columns=(SEEN, LEFT), classes=(False, True))

moments = st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1))  # noqa: DTZ001  # times are naive, in UTC


@given(st.lists(st.none() | moments, max_size=30), moments)
def test_rows_up_to_the_moment_and_no_other(times: list[datetime | None], moment: datetime) -> None:
    frame = pd.DataFrame({"seen": [time and time.isoformat() for time in times]}, dtype=object)
    expected = [row for row, time in enumerate(times) if time is not None and time <= moment]
    if expected:
        assert list(known_by(frame, SEEN, CONTRACT, moment, where="t").index) == expected
    else:
        with pytest.raises(DataError, match="no row was known"):
            known_by(frame, SEEN, CONTRACT, moment, where="t")


def test_time_that_is_protected_is_not_shown() -> None:
    guarded = SEEN.model_copy(update={"protection": Guard(method="hash", kind=Kind.TIME)})
    contract = CONTRACT.model_copy(update={"columns": (guarded, LEFT)})
    with pytest.raises(DataError, match="column `seen` holds values") as failure:
        known_by(pd.DataFrame({"seen": ["secret"]}), SEEN, contract, datetime(2026, 1, 1), where="t")  # noqa: DTZ001
    assert "secret" not in str(failure.value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-01-31", date(2026, 1, 31)),
        ("2026-01-31T00:00:00", datetime(2026, 1, 31)),  # noqa: DTZ001
        ("2026-01-31T10:00:00Z", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        (" ", None),
    ],
)
def test_day_and_moment_are_told_apart(text: str, meant: date | datetime | None) -> None:
    read = TypeAdapter(AsOf).validate_python(text)
    assert (type(read), read) == (type(meant), meant)


def test_last_moment_is_in_utc() -> None:
    summer = timezone(timedelta(hours=2))
    assert last_moment(datetime(2026, 7, 1, 1, tzinfo=summer)) == datetime(2026, 6, 30, 23)  # noqa: DTZ001
