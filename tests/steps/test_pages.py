"""What a run tells people, in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.steps.conftest import Trained
from tiltyard.data.findings import Finding
from tiltyard.steps.data import CheckSummary
from tiltyard.steps.pages import findings_in_short, progress_in_words, validation
from tiltyard.training.problem import Progress

counts = st.integers(0, 10_000)
budgets = st.none() | st.integers(1, 10_000)


@given(counts, budgets, st.floats(0, 1e6), st.none() | st.floats(0.1, 1e6))
def test_progress_is_a_share_and_a_sentence(trials: int, most: int | None, seconds: float, limit: float | None) -> None:
    share, words = progress_in_words(Progress(trials, most, seconds, limit, "roc_auc"))
    assert 0 <= share <= 1
    assert words.startswith(f"{trials} of {most} trials" if most else f"{trials} trials")


def test_progress_names_the_best() -> None:
    share, words = progress_in_words(Progress(3, 12, 20.4, None, "roc_auc", 0.9123, "linear"))
    assert (share, words) == (0.25, "3 of 12 trials, 20 s; best ROC-AUC 0.9123 (linear)")


@pytest.mark.parametrize(
    ("levels", "said"), [((), "Nothing was found"), (("note", "error", "note"), "1 error, 2 notes")]
)
def test_findings_are_counted(levels: tuple[str, ...], said: str, trained_linear: Trained) -> None:
    findings = tuple(Finding.model_validate({"code": "c", "level": level, "sentence": "a | b"}) for level in levels)
    summary = CheckSummary(findings=findings, report=trained_linear.run.folder / "validation.html")
    assert findings_in_short(summary).startswith(said)
    page = validation(trained_linear.run, summary)
    assert page.startswith("# Table of churn")
    assert page.count("a \\| b") == len(levels)
