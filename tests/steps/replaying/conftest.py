"""A search without workers: it takes the first default of the first family, so that a replay takes a second."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tiltyard.project.model import SearchSection
from tiltyard.steps.replaying import trainer
from tiltyard.training.families import facts_of, racing_families
from tiltyard.training.problem import Problem, Progress, SearchResult


def first_default(
    problem: Problem, settings: SearchSection, folder: Path, on_progress: Callable[[Progress], None] | None = None
) -> SearchResult:
    """Return the first default of the first family, untried."""
    assert folder.is_dir()
    assert on_progress is None
    family = racing_families(settings, problem)[0]
    return SearchResult(
        family=family.name,
        parameters=family.defaults(facts_of(problem, len(problem.folds[0][0])))[0],
        iterations=None,
        score=0.5,
        metric=problem.metric,
        trials=(),
        seconds=0.0,
        resumed=0,
        sentence="Untried.",
    )


@pytest.fixture
def quick_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train without searching."""
    monkeypatch.setattr(trainer, "search", first_default)
