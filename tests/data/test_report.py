"""The validation report: complete, escaped, self-contained."""

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.tables import column, contract_of, frame_of, project_of, simple_contract, simple_frame
from tiltyard.data.checks import check_table
from tiltyard.data.findings import Finding
from tiltyard.data.profile import profile_column
from tiltyard.data.report import validation_report

HOSTILE = "<script>alert('x')</script>\"&"
VOID = {"meta", "br"}


class Balance(HTMLParser):
    """Checks that every tag is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002  # the parser passes it
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_shows_every_column_and_finding() -> None:
    contract = simple_contract(column("t", "time", nullable=True), column("c"))
    days = pd.date_range("2026-01-01", periods=400, freq="h")
    frame = simple_frame(contract, t=days, c=[1.0] * 400)
    findings = check_table(frame, contract, project_of())
    html = validation_report(frame, contract, findings, title="churn")
    page = Balance()
    page.feed(html)
    assert page.open == []
    assert page.seen.count("svg") == len(contract.columns)
    assert "Validation report: churn" in html
    assert all(finding.cure.split("`")[0] in html for finding in findings)


def test_the_report_loads_nothing_and_runs_nothing() -> None:
    contract = simple_contract()
    html = validation_report(simple_frame(contract), contract, ())
    assert not re.findall(r"<script|<link|<img|<iframe|https?://|url\(|@import|\son\w+=", html)
    assert "passes every check" in html


def test_hostile_names_and_values_are_escaped() -> None:
    target = column("y", "category", "target")
    contract = contract_of(column(HOSTILE, "category"), target, classes=(HOSTILE, "no"))
    frame = frame_of(contract, {HOSTILE: [HOSTILE, "u"] * 30, "y": [HOSTILE, "no"] * 30})
    html = validation_report(frame, contract, check_table(frame, contract, project_of()), title=HOSTILE)
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_values_that_name_somebody_are_not_shown() -> None:
    contract = simple_contract(column("email", "text", "id"), column("who", "category", "group"))
    people = [f"someone{number}@here" for number in range(400)]
    frame = simple_frame(contract, email=people, who=people)
    html = validation_report(frame, contract, ())
    assert "someone" not in html
    assert "not shown" in html


@pytest.mark.parametrize(
    ("level", "blocking", "words"),
    [("error", True, "No honest model"), ("error", False, "1 check is broken"), ("note", False, "can be trained on")],
)
def test_the_report_says_whether_training_may_start(level: str, blocking: bool, words: str) -> None:
    finding = Finding.model_validate({"code": "x", "level": level, "blocking": blocking, "sentence": "S."})
    contract = simple_contract()
    assert words in validation_report(simple_frame(contract), contract, [finding])


@pytest.mark.parametrize("kind", ["number", "integer", "boolean", "category", "text", "time"])
@pytest.mark.parametrize("values", [[], [None, None], [1], [1, None, 1]])
def test_empty_and_constant_columns_have_a_profile(kind: str, values: list[int | None]) -> None:
    contract = contract_of(column("x", kind), column("y", "category", "target"))
    as_text: dict[str, Any] = {"category": str, "text": str, "time": lambda value: pd.Timestamp(2026, 1, value)}
    cast = as_text.get(kind, lambda value: value)
    given_values = [None if value is None else cast(value) for value in values]
    frame = frame_of(contract, {"x": given_values, "y": ["a"] * len(values)})
    profile = profile_column(frame["x"], contract.columns[0])
    assert profile.missing == values.count(None)
    assert sum(bar.count for bar in profile.bars) in {0, len(values) - values.count(None)}
    assert "<html" in validation_report(frame, contract, ())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60))
def test_histograms_count_every_number(values: list[float]) -> None:
    spec = column("x")
    profile = profile_column(pd.Series(values), spec)
    assert sum(bar.count for bar in profile.bars) == len(values)
    assert all(bar.count >= 0 for bar in profile.bars)


def test_far_tails_share_the_outer_bins() -> None:
    profile = profile_column(pd.Series([*np.linspace(0, 1, 998), -1e6, 1e6]), column("x"))
    assert profile.bars[0].label.startswith("-1e+06 … ")
    assert profile.bars[-1].label.endswith(" … 1e+06")
    assert max(bar.count for bar in profile.bars) < 100


def test_the_rarer_levels_share_a_bar() -> None:
    levels = [f"level {number % 12}" for number in range(120)]
    profile = profile_column(pd.Series(levels), column("x", "category"))
    assert (len(profile.bars), profile.bars[-1].label, profile.bars[-1].count) == (9, "4 others", 40)
