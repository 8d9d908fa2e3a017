"""Sentences of errors: suggestions, and marks at their end."""

import unicodedata

import pytest

from tiltyard.errors import ProjectError, did_you_mean, near_miss
from tiltyard.project.metrics import METRICS, suggest_metric


def test_a_question_gets_no_full_stop() -> None:
    assert str(ProjectError("no key; did you mean `task`?")) == "no key; did you mean `task`?"
    assert str(ProjectError("no key", cure="Add it.")) == "no key. Add it."
    assert str(ProjectError("which?", cure="Say it.")) == "which? Say it."


def test_names_that_look_alike_are_told_apart() -> None:
    composed, apart = (unicodedata.normalize(form, "Größe") for form in ("NFC", "NFD"))
    assert near_miss(composed, [apart, "Grosse"]) == apart
    assert "looks the same and is written with other Unicode characters" in did_you_mean(composed, [apart])
    assert did_you_mean("Grösse", [composed]) == f"Did you mean `{composed}`?"


def test_nothing_to_choose_from_is_said() -> None:
    assert did_you_mean("a", []) == "There is none to choose from."


@pytest.mark.parametrize(("name", "meant"), [("auc", "roc_auc"), ("AUROC", "roc_auc"), ("acc", "accuracy")])
def test_other_names_of_metrics_are_known(name: str, meant: str) -> None:
    assert suggest_metric(name, METRICS) == f"Did you mean `{meant}`?"
    assert "roc_auc" not in suggest_metric(name, ["rmse", "mae"])
