"""Why an estimate cannot be believed: labels contradict it, rows are of an unknown kind, or calibration fails."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tiltyard.evaluation import wording
from tiltyard.monitoring.expectation import effective
from tiltyard.monitoring.question import Question

Floats = NDArray[np.float64]

FEWEST_ALIKE = 100.0
"""With fewer effective reference rows like the current ones the estimate rests on too little."""
ALIKE_SHARE = 0.25
"""The same as a share of the reference, for regressions: errors have no upper end, so a model of the loss goes wrong
farther out sooner than calibrated probabilities do (`benchmarks/monitoring/estimate`)."""
MOST_GAP = 0.05
"""Largest calibration error after calibration."""
CONTRADICTED = 0.01


@dataclass(frozen=True)
class Doubts:
    """Why an estimate cannot be believed.

    Attributes:
        why: In words; empty when it can.
        contradiction: p-value of the labels that did come; None when too few came.
    """

    why: str
    contradiction: float | None

    @classmethod
    def of(cls, question: Question, weights: Floats, gap: float, contradiction: float | None) -> "Doubts":
        """Return what speaks against an estimate.

        Args:
            question: What is asked.
            weights: How much likelier each reference row is among the current ones, shape (n,).
            gap: Calibration error that is left after calibration; 0 for a regression.
            contradiction: p-value of the labels that did come; None when too few came.
        """
        reasons = []
        alike, needed = effective(weights), FEWEST_ALIKE
        if question.reference.probabilities is None:
            needed = max(needed, ALIKE_SHARE * len(question.y))
        if contradiction is not None and contradiction < CONTRADICTED:
            reasons.append(
                f"the {len(question.known)} labels that did come contradict it (by luck "
                f"{wording.chance(contradiction)}): what is true of rows alike has changed"
            )
        if alike < needed:
            reasons.append(
                f"the reference has too few rows like these: its {len(question.y)} tell as much of them as "
                f"{alike:,.0f} would, and {needed:,.0f} are needed"
            )
        elif gap > MOST_GAP:
            reasons.append(f"on the reference, probabilities are off by {100 * gap:.0f} points even when calibrated")
        return cls(f"Do not believe it: {'; '.join(reasons)}." if reasons else "", contradiction)
