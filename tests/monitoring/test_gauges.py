"""A check as figures for Prometheus: every one that is known, and none that is not."""

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from tests.monitoring.checks import START, broken, check, estimate, finding, score, verdict
from tiltyard.evaluation.figures import Figure, Figures, Sample
from tiltyard.monitoring.gauges import figures_of
from tiltyard.monitoring.history import Check


def read(found: Check, name: str, **labels: str) -> float | None:
    """Return a number; None where there is none."""
    samples = [one for figure in figures_of(found).figures if figure.name == f"check_{name}" for one in figure.samples]
    assert all(one.labels["model"] == "churn" for one in samples)
    values = [one.value for one in samples if labels.items() <= one.labels.items()]
    assert len(values) <= 1
    return values[0] if values else None


def test_all_that_is_known_has_a_figure() -> None:
    found = verdict(finding("feature_age"), finding("feature_pay", level="note"))
    seen = check(drift=found, quality=(broken(),), performance=(score(harm=True),), estimate=estimate(valid=False))
    assert read(seen, "timestamp_seconds", version="3") == seen.made.timestamp()
    assert read(seen, "window_start_timestamp_seconds") == START.timestamp()
    assert read(seen, "window_end_timestamp_seconds") == seen.end.timestamp()
    assert (read(seen, "rows"), read(seen, "drift_level")) == (2000, 2)
    assert [read(seen, "findings", level=level) for level in ("note", "warning", "alarm")] == [1, 0, 1]
    assert (read(seen, "broken_data", kind="null_filled"), read(seen, "broken_data", kind="stuck")) == (1, 0)
    assert (read(seen, "state", state="broken"), read(seen, "state", state="quiet")) == (1, 0)
    assert (read(seen, "score", metric="roc_auc"), read(seen, "score_low"), read(seen, "score_high")) == (
        0.81,
        0.79,
        0.83,
    )
    assert (read(seen, "score_reference"), read(seen, "score_reference_low")) == (0.865, 0.85)
    assert (read(seen, "score_loss"), read(seen, "label_coverage_ratio")) == (1, 0.6)
    assert (read(seen, "estimated_score", metric="roc_auc"), read(seen, "estimate_valid")) == (0.84, 0)
    assert (read(seen, "decision", action="none"), read(seen, "decision", action="retrain")) == (1, 0)
    assert Figures.model_validate_json(figures_of(seen).model_dump_json()) == figures_of(seen)


def test_what_is_not_known_has_none() -> None:
    seen = check(
        version=None,
        drift=verdict(level="too_few_rows"),
        estimate=estimate(valid=False, value=None, low=None, high=None),
    )
    assert read(seen, "rows", version="") == 2000
    for name in ("drift_level", "score", "score_loss", "label_coverage_ratio", "estimated_score"):
        assert read(seen, name) is None
    assert read(seen, "estimate_valid") == 0


def test_the_guide_names_each_of_them() -> None:
    guide = (Path(__file__).parents[2] / "docs" / "guide.md").read_text(encoding="utf-8")
    table = guide.partition("| `tiltyard_check_…` | |\n")[2].partition("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[1:]]
    named = {f"check_{name}" for cell in cells for name in re.findall(r"`([a-z_]+)(?:\{[a-z]+\})?`", cell)}
    seen = check(performance=(score(),), estimate=estimate())
    assert named == {figure.name for figure in figures_of(seen).figures}
    rules = yaml.safe_load(guide.partition("```yaml\ngroups:")[2].partition("```")[0].join(("groups:", "")))
    used = {
        name for rule in rules["groups"][0]["rules"] for name in re.findall(r"tiltyard_(check_[a-z_]+)", rule["expr"])
    }
    assert used
    assert used <= named


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "requests_total"},
        {"name": "check_rows 1\ntiltyard_up"},
        {"help": "two\nlines"},
        {"samples": (Sample.model_construct(labels={'a="1"} 1\nb': ""}, value=1.0),)},
        {"samples": (Sample.model_construct(labels={}, value=float("nan")),)},
    ],
)
def test_what_would_break_the_page_is_refused(wrong: dict[str, object]) -> None:
    right = {"name": "check_rows", "help": "Rows.", "samples": (Sample(labels={}, value=1.0),)}
    text = Figure.model_construct(**right | wrong).model_dump_json()  # type: ignore[arg-type]
    Figure.model_validate_json(Figure(**right).model_dump_json())  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        Figure.model_validate_json(text)
