"""What a champion is held to."""

import pytest

from tests.monitoring.checks import check
from tiltyard.evaluation.records import Estimate
from tiltyard.monitoring.history import Check
from tiltyard.monitoring.standard import standard_of


def scored(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.01, high=value + 0.01)


def of(version: int, own: float, handed_on: float | None = None, metric: str = "roc_auc") -> Check:
    standard = None if handed_on is None else scored(handed_on)
    facts = {"version": version, "reference": scored(own), "standard": standard, "metric": metric}
    return check().model_copy(update=facts)


@pytest.mark.parametrize(
    ("checks", "metric", "wanted"),
    [
        ([], "roc_auc", None),
        ([of(3, 0.9)], "roc_auc", None),  # its own is no standard
        ([of(2, 0.8), of(1, 0.9)], "roc_auc", 0.9),
        ([of(2, 0.8, handed_on=0.95)], "roc_auc", 0.95),
        ([of(3, 0.7, handed_on=0.85)], "roc_auc", 0.85),
        ([of(2, 0.2, metric="rmse"), of(1, 0.3, metric="rmse")], "rmse", 0.2),
        ([of(2, 0.9, metric="accuracy")], "roc_auc", None),  # another scale
    ],
)
def test_it_is_the_best_that_another_version_had(checks: list[Check], metric: str, wanted: float | None) -> None:
    found = standard_of(checks, 3, metric)
    assert (found.value if found else None) == wanted
