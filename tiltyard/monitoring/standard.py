"""What a champion is held to: its own test, or the best that a champion before it had.

A champion that was trained in the midst of a change may be no worse than on its own test rows and still be far from
what the model was good for before.
"""

from collections.abc import Sequence
from dataclasses import replace

from tiltyard.evaluation.records import Estimate
from tiltyard.monitoring.history import Check
from tiltyard.monitoring.reference import Reference
from tiltyard.project.metrics import METRICS


def standard_of(checks: Sequence[Check], version: int, metric: str) -> Estimate | None:
    """Return the best score that another champion had on its own test; None when there was none.

    Args:
        checks: The checks that are looked back to, the latest at least: each knows the best of those before it.
        version: The champion.
        metric: Its metric.
    """
    alike = [check for check in checks if check.metric == metric]
    known = [check.standard for check in alike] + [check.reference for check in alike if check.version != version]
    return _best([score for score in known if score is not None], metric)


def held_to(reference: Reference, standard: Estimate | None) -> Reference:
    """Return a reference with the score that a version is held to: its own, or a better one.

    Args:
        reference: What the version is held against.
        standard: A score of the same metric; None when there is none.
    """
    own = reference.facts.score
    best = _best([own] if standard is None else [own, standard], reference.facts.metric)
    return replace(reference, facts=reference.facts.model_copy(update={"score": best}))


def _best(scores: Sequence[Estimate], metric: str) -> Estimate | None:
    """Return the best of some scores, the first of equals; None of none."""
    better = max if METRICS[metric].greater_is_better else min
    return better(scores, key=lambda score: score.value, default=None)
