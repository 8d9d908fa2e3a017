"""A check as figures for Prometheus. What it could not tell has no figure, rather than a zero."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple, get_args

from tiltyard.evaluation.figures import Figure, Figures, Sample
from tiltyard.monitoring.estimate import Estimate
from tiltyard.monitoring.findings import Level
from tiltyard.monitoring.history import Check
from tiltyard.monitoring.performance import Performance
from tiltyard.monitoring.policy import Action
from tiltyard.monitoring.quality import Trouble
from tiltyard.monitoring.summary import State, summarise
from tiltyard.monitoring.watching import telling

_LEVELS = {"none": 0, "warning": 1, "alarm": 2}


class _Number(NamedTuple):
    """A figure of which there is one number.

    Attributes:
        name: After `tiltyard_check_`.
        value: The number; None when it is not known.
        help: What it is.
        metric: Metric of a score; empty for anything else.
    """

    name: str
    value: float | None
    help: str
    metric: str = ""


def figures_of(check: Check) -> Figures:
    """Return the figures of a check.

    Args:
        check: The check, decided about.
    """
    base = {"model": check.model, "version": "" if check.version is None else str(check.version)}
    found = [
        Figure(
            name=f"check_{one.name}",
            help=one.help,
            samples=(Sample(labels=base | ({"metric": one.metric} if one.metric else {}), value=float(one.value)),),
        )
        for one in _numbers(check)
        if one.value is not None
    ]
    return Figures(figures=(*found, *_counts(check, base)))


def _numbers(check: Check) -> Iterator[_Number]:
    yield _Number("timestamp_seconds", _seconds(check.made), "When the last check of the champion was made.")
    yield _Number("window_start_timestamp_seconds", _seconds(check.start), "First moment of the window looked at.")
    yield _Number("window_end_timestamp_seconds", _seconds(check.end), "The moment after the last of that window.")
    yield _Number("rows", check.rows, "Predictions in that window.")
    yield _Number(
        "drift_level",
        _LEVELS.get(check.drift.level),
        "Drift: 0 none, 1 a warning, 2 an alarm; absent when there were too few rows to tell.",
    )
    score = telling(check.performance, check.version)
    if score is not None:
        yield from _of_score(score)
    if check.estimate is not None:
        yield from _of_estimate(check.estimate)


def _of_score(score: Performance) -> Iterator[_Number]:
    """Yield what labels say, of the latest window with most of its labels."""
    said, own = "Score by labels", score.reference
    yield _Number("score", score.value, f"{said} of the latest window that has most of them.", score.metric)
    yield _Number("score_low", score.low, f"{said}: lower end of the 95 % interval.", score.metric)
    yield _Number("score_high", score.high, f"{said}: upper end of the 95 % interval.", score.metric)
    if own is not None:
        yield _Number("score_reference", own.value, "Score that the champion is held to.", score.metric)
        yield _Number("score_reference_low", own.low, "The same: lower end of the 95 % interval.", score.metric)
        yield _Number("score_reference_high", own.high, "The same: upper end of the 95 % interval.", score.metric)
    yield _Number("score_loss", score.harm, "Whether labels prove a loss of score: 1 they do.", score.metric)
    end = "The moment after the last of the window that the score is of."
    yield _Number("score_window_end_timestamp_seconds", _seconds(score.end), end)
    yield _Number("label_coverage_ratio", score.coverage, "Share of that window's predictions that have a label.")


def _of_estimate(estimate: Estimate) -> Iterator[_Number]:
    """Yield what is estimated until labels come."""
    said, metric = "Estimated score of the window looked at", estimate.metric
    yield _Number("estimated_score", estimate.value, f"{said}, without labels.", metric)
    yield _Number("estimated_score_low", estimate.low, f"{said}: lower end of the 95 % interval.", metric)
    yield _Number("estimated_score_high", estimate.high, f"{said}: upper end of the 95 % interval.", metric)
    yield _Number("estimate_valid", estimate.valid, "Whether the estimate can be believed: 1 it can.", metric)


def _counts(check: Check, base: dict[str, str]) -> Iterator[Figure]:
    """Yield figures with a number for each thing that there may be: those that were not seen have a zero."""
    decision = check.decision.action if check.decision else "none"
    for name, label, told, known, seen in (
        ("state", "state", "What the last check came to: 1 it did.", get_args(State), [summarise(check).state]),
        ("findings", "level", "Changes found.", get_args(Level), [found.level for found in check.drift.findings]),
        (
            "broken_data",
            "kind",
            "Ways in which data is broken.",
            get_args(Trouble),
            [one.kind for one in check.quality],
        ),
        ("decision", "action", "What the last check decided: 1 it did.", get_args(Action), [decision]),
    ):
        samples = tuple(Sample(labels=base | {label: one}, value=float(seen.count(one))) for one in known)
        yield Figure(name=f"check_{name}", help=told, samples=samples)


def _seconds(moment: datetime) -> float:
    return moment.timestamp()
