"""What earlier checks know of a champion: windows that were good, those that may prove so, those to pool with."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tiltyard.evaluation.records import Estimate
from tiltyard.monitoring.history import Check
from tiltyard.monitoring.quality import USUAL_WINDOWS
from tiltyard.monitoring.sample import Sample
from tiltyard.predictions.reading import Window


@dataclass(frozen=True, eq=False)
class Past:
    """What earlier checks know.

    Attributes:
        checks: Of the same version, oldest first; windows that ended before this one's end.
        pooled: Windows that a small one may be judged together with, oldest first, none sharing rows with another.
        usual: Samples of windows that were accepted as good.
        doubtful: Sound windows that were not accepted so far, oldest first, whose labels may show that they are good.
        standard: The best score that an earlier champion had on its own test, see `tiltyard.monitoring.standard`.
    """

    checks: tuple[Check, ...] = ()
    pooled: tuple[tuple[Window, Sample], ...] = ()
    usual: tuple[Sample, ...] = ()
    doubtful: tuple[tuple[Window, Sample], ...] = ()
    standard: Estimate | None = None


def recall(
    checks: Sequence[Check],
    window: Window,
    sample_of: Callable[[Check], Sample | None],
    *,
    small: bool,
    labelled: bool,
    standard: Estimate | None = None,
) -> Past:
    """Return what earlier checks know, with the samples that are wanted of them.

    Args:
        checks: Of the same version, oldest first; windows that ended before this one's end.
        window: The window that is looked at.
        sample_of: Returns what a check has looked at; None where it is kept no longer.
        small: Whether the window has too few rows to be judged alone.
        labelled: Whether there are labels that may show a window to be good.
        standard: As of `Past`.
    """
    sound = [check for check in checks if check.sampled and not check.quality]
    vindicated = {(span.start, span.end) for check in checks for span in check.vindicated}
    good = [check.accepted or (check.start, check.end) in vindicated for check in sound]

    def samples(chosen: Iterable[Check]) -> tuple[tuple[Window, Sample], ...]:
        found = ((check.window, sample_of(check)) for check in chosen)
        return tuple((span, sample) for span, sample in found if sample is not None)

    usual = [check for check, fine in zip(sound, good, strict=True) if fine][-USUAL_WINDOWS:]
    doubtful = [check for check, fine in zip(sound, good, strict=True) if not fine] if labelled else []
    return Past(
        checks=tuple(checks),
        pooled=samples(_apart(sound, window)) if small else (),
        usual=tuple(sample for _, sample in samples(usual)),
        doubtful=samples(doubtful),
        standard=standard,
    )


def _apart(checks: Sequence[Check], window: Window) -> list[Check]:
    """Return checks whose windows share no time with a window nor with each other, oldest first."""
    kept: list[Check] = []
    start = window.start
    for check in reversed(checks):
        if check.end <= start:
            kept.append(check)
            start = check.start
    return kept[::-1]
