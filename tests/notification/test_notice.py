"""When something is told again."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tiltyard.notification.notice import Notice, due

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@given(passed=st.floats(0, 1e6), cooldown=st.floats(0, 1e6))
def test_the_same_is_told_again_after_the_cool_down(passed: float, cooldown: float) -> None:
    last = NOON - timedelta(seconds=passed)
    assert due(last, NOON, cooldown) == (NOON - last >= timedelta(seconds=cooldown))
    assert due(None, NOON, cooldown)


def test_page_stands_below_the_text() -> None:
    notice = Notice(project="p", event="failure", subject="s", title="t", text="why")
    assert notice.body == "why"
    assert notice.model_copy(update={"page": "http://x"}).body == "why\n\nhttp://x"
