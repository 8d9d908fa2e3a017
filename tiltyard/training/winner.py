"""Which trial wins, and the outcome in words."""

from collections.abc import Sequence

from tiltyard.errors import TrainingError
from tiltyard.training.problem import TrialRecord, oriented


def best_of(trials: Sequence[TrialRecord], metric: str) -> TrialRecord:
    """Return the best trial so far.

    Trials that ran all their folds come before those that were cut off, and those before first looks on few rows:
    scores over different folds or rows do not compare. Of equal scores the earlier trial wins.

    Args:
        trials: Finished trials, in any order.
        metric: What they are compared by.

    Raises:
        TrainingError: None has a score; says why the first one failed.
    """
    scored = [one for one in trials if one.score is not None and one.state != "failed"]
    if not scored:
        errors = [f"`{one.family}`: {one.error}" for one in trials if one.error]
        if errors:
            raise TrainingError(f"no trial succeeded; {errors[0]}", cure="Mend the estimator or the data.")
        raise TrainingError("no trial ended within the budget", cure="Raise `search.seconds`.")

    def rank(one: TrialRecord) -> tuple[bool, bool, int, float, int]:
        assert one.score is not None
        return (one.screening, one.state != "complete", -len(one.folds), -oriented(metric, one.score), one.number)

    return min(scored, key=rank)


def summary(best: TrialRecord, trials: Sequence[TrialRecord], metric: str, seconds: float) -> str:
    """Return the outcome of a search in words.

    Args:
        best: The winner.
        trials: Everything tried.
        metric: What trials were compared by.
        seconds: Wall time.
    """
    folds = "on one fold" if len(best.folds) == 1 else f"over {len(best.folds)} folds"
    if best.screening:
        folds = f"in a first look on {best.rows:,} rows of one fold, the only one that ended in time"
    sentence = f"{best.family} won with {metric} {best.score:.4f} {folds}: the best of {len(trials)} trials"
    others = [one for one in trials if one.family != best.family and one.folds == best.folds and one.score is not None]
    if others:
        second = max(others, key=lambda one: oriented(metric, one.score or 0.0))
        sentence += f", before {second.family} with {second.score:.4f}"
    return f"{sentence} ({seconds:.0f} s)."
