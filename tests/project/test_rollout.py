"""The section `rollout` of the project file: defaults, bounds, and the steps of every strategy."""

import pytest
from pydantic import ValidationError

from tiltyard.project.gates import GatesSection
from tiltyard.project.rollout import STRATEGIES, RolloutSection


def test_a_rollout_is_direct_unless_it_is_asked_for() -> None:
    assert RolloutSection().strategy == "direct"
    assert RolloutSection(strategy="canary").shares == (0.01, 0.1, 0.5, 1.0)


def test_an_answer_that_the_gate_lets_pass_is_not_slow_unless_the_project_says_so() -> None:
    assert RolloutSection().slow_ms == GatesSection().latency_ms == 20.0
    assert RolloutSection(slow_ms=0).slow_ms == 0.0


def test_every_strategy_has_its_steps_and_its_fewest_requests() -> None:
    assert {strategy: RolloutSection(strategy=strategy).shares[-1] for strategy in STRATEGIES} == {
        "direct": 1.0,
        "canary": 1.0,
        "blue_green": 1.0,
        "shadow": 0.0,
    }
    canary = RolloutSection(strategy="canary")
    assert [canary.requests_at(step) for step in range(4)] == [50, 300, 300, 300]
    assert RolloutSection(strategy="shadow").requests_at(0) == 300


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"strategy": "slow"}, "canary"),
        ({"steps": [0.5, 0.1]}, "`steps` must grow, and 0.1 follows 0.5"),
        ({"steps": []}, "at least 1 item"),
        ({"steps": [0.1, 1.5]}, "less than or equal to 1"),
        ({"min_requests": [0]}, "greater than or equal to 1"),
        ({"hours": 0}, "greater than 0"),
        ({"slow_ratio": 0.5}, "greater than or equal to 1"),
        ({"slow_ms": -1}, "greater than or equal to 0"),
        ({"slow_ms": 10_001}, "less than or equal to 10000"),
        ({"slow_ms": float("nan")}, "equal to"),
        ({"alpha": 0.7}, "less than 0.5"),
        ({"share": 0.5}, "Extra inputs"),
    ],
)
def test_a_section_that_cannot_be_meant_is_refused(content: dict[str, object], words: str) -> None:
    tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
    with pytest.raises(ValidationError, match=words):
        RolloutSection.model_validate(tuples)
