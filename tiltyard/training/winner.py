"""Which trial wins, and the outcome in words."""

from collections.abc import Sequence
from statistics import fmean

from tiltyard.errors import TrainingError
from tiltyard.training.problem import TrialRecord, oriented


def best_of(trials: Sequence[TrialRecord], metric: str) -> TrialRecord:
    """Return the best trial so far.

    Trials that ran all their folds come before those that were cut off, and those before first looks on few rows:
    scores over different folds or rows do not compare. Of equal scores the earlier trial wins. But where the time was
    too short for a full trial of some family, its cut-off trial or first look wins by a better score on the same folds.

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

    winner = min(scored, key=rank)
    rivals = [one for one in scored if one.family == winner.family]
    ahead = [one for one in _without_full_trial(scored) if _lead(one, rivals, metric) > 0]
    return max(ahead, key=lambda one: _lead(one, rivals, metric), default=winner)


def _without_full_trial(scored: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Return what there is of the families that had no time for a full trial."""
    full = {one.family for one in scored if one.state == "complete" and not one.screening}
    pruned = {one.family for one in scored if one.state == "pruned"}
    return [one for one in scored if one.family not in full | pruned]


def _lead(one: TrialRecord, rivals: Sequence[TrialRecord], metric: str) -> float:
    """Return how far a trial is at least ahead of its rivals, over the folds it shares with each; 0 without any."""
    ours = dict(zip(one.folds, one.fold_scores, strict=True))
    leads = []
    for rival in rivals:
        theirs = dict(zip(rival.folds, rival.fold_scores, strict=True))
        shared = [oriented(metric, ours[fold]) - oriented(metric, theirs[fold]) for fold in ours if fold in theirs]
        leads += [fmean(shared)] if shared else []
    return min(leads, default=0.0)


def summary(
    best: TrialRecord, trials: Sequence[TrialRecord], metric: str, seconds: float, late: Sequence[str] = ()
) -> str:
    """Return the outcome of a search in words.

    Args:
        best: The winner.
        trials: Everything tried.
        metric: What trials were compared by.
        seconds: Wall time.
        late: Families that could not be scored in the time.
    """
    folds = "on one fold" if len(best.folds) == 1 else f"over {len(best.folds)} folds"
    if best.screening:
        folds = f"in a first look on {best.rows:,} rows of one fold, there being no time for more"
    sentence = f"{best.family} won with {metric} {best.score:.4f} {folds}: the best of {len(trials)} trials"
    others = [one for one in trials if one.family != best.family and one.folds == best.folds and one.score is not None]
    if others:
        second = max(others, key=lambda one: oriented(metric, one.score or 0.0))
        sentence += f", before {second.family} with {second.score:.4f}"
    sentence = f"{sentence} ({seconds:.0f} s)."
    if late:
        names = " and ".join(filter(None, [", ".join(late[:-1]), late[-1]]))
        sentence += f" {names} could not be tried in the time: give more seconds."
    return sentence
