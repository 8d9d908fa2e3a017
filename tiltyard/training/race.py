"""The race: good defaults on few rows first, the promising on all rows and folds, then search around the best.

The recipe:

1. *Screening.* The defaults of every family on one fold and a few thousand rows, cheapest family first. A family that
   proves expensive or hopeless gets no second default. One whose first fit was cut for lack of time is looked at once
   more on fewer rows. Where time is scarce, a leading strong family is run in full before the others are looked at.
2. *Promotion.* What came within a tolerance of the best is run in full, where its estimated cost fits the budget.
3. *Local search.* Steps around the best parameters of the leading families, smaller after failures.
4. *Polish.* Near the end the best boosting model once more with a third of its learning rate.
"""

import math
from dataclasses import replace

import numpy as np

from tiltyard.training.problem import TrialRecord
from tiltyard.training.proposal import STRONG, Proposal, Sampler, Standing, turned, usual_folds
from tiltyard.training.space import Scalar, neighbour, sample
from tiltyard.training.tree_families import LEAST_RATE

SCREENING_ROWS = 4000
EXPENSIVE = 0.08
"""Share of the time left that the first fit of a family may take, for the family to get a second one."""

RETRY_SHARE, RETRY_ROWS = 0.25, 400
"""Share of the rows, and rows at least, of the second look at a family whose first was cut for lack of time."""

SCARCE = 5.0
"""Full fits of the leader that fit into the time left when it is too scarce to look at other families first."""

POLISH = (3.0, 1.8)
"""What the learning rate is divided by in the end; the second when the first would take too long."""

CAREFUL, DARING = 0.3, 0.85
"""Share of the time left that a step may take; the second where none is to be had for the first."""

PROMOTED = 3
"""Full trials that are run on more folds when there turns out to be time for more."""

FULL_TRIALS = 12
"""Complete trials that the budget should allow; folds are given up for them."""


class Race(Sampler):
    """The sampler `race`.

    Args:
        seed: Seed of the local search.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def propose(self, standing: Standing) -> Proposal | None:
        """Return the next step of the recipe."""
        return (
            self._polish(standing, early=False)
            or self._secure(standing)
            or (self._retry(standing) if standing.lacks_strong else None)
            or self._screen(standing)
            or self._promote(standing)
            or self._retry(standing)
            or self._step(standing)
            or self._polish(standing, early=True)
        )

    def _screen(self, standing: Standing) -> Proposal | None:
        """Return the next default to look at."""
        arena = standing.arena
        rows = SCREENING_ROWS if arena.facts.rows > 1.5 * SCREENING_ROWS else None
        defaults = {name: family.defaults(arena.facts) for name, family in arena.families.items()}
        for turn in range(max(map(len, defaults.values()))):
            for name, options in defaults.items():
                if turn >= len(options) or standing.known(name, options[turn], screening=True):
                    continue
                if turn == 0 or _deserves_another(standing, name):
                    return Proposal(name, options[turn], (0,), rows, screening=True)
        return None

    def _retry(self, standing: Standing) -> Proposal | None:
        """Return a second look, on fewer rows, at a family whose first was cut for lack of time."""
        arena = standing.arena
        rows = max(RETRY_ROWS, round(RETRY_SHARE * min(arena.facts.rows, SCREENING_ROWS)))
        for name in sorted(arena.families, key=lambda one: STRONG.index(one) if one in STRONG else len(STRONG)):
            looks = [one for one in standing.history if one.family == name]
            running = any(one.family == name for one in standing.running)
            if not running and len(looks) == 1 and looks[0].screening and looks[0].was_cut:
                return Proposal(name, dict(looks[0].parameters), (0,), rows, screening=True)
        return None

    def _secure(self, standing: Standing) -> Proposal | None:
        """Return the leader of the first looks in full, when it is strong and the time for that runs out."""
        screened = standing.ranked(screening=True)
        if standing.left is None or not screened or screened[0].family not in STRONG:
            return None
        best = screened[0]
        cost = standing.seconds(best.family, best.parameters) or math.inf
        full = {one.family for one in standing.history if not one.screening}
        full |= {one.family for one in standing.running if not one.screening}
        if best.family in full or standing.left > SCARCE * cost:
            return None
        if not _affordable(standing, best.family, best.parameters, share=DARING):
            return None
        return self._full(standing, best.family, dict(best.parameters), standing.tolerance)

    def _promote(self, standing: Standing) -> Proposal | None:
        """Return the best trial that deserves all rows and folds and has not had them."""
        screened = standing.ranked(screening=True)
        if not screened:
            return None
        folds = _folds_in_use(standing)
        for one in [*standing.ranked(screening=False)[:PROMOTED], *_best_two(standing, screened)]:
            known = standing.known(one.family, one.parameters, screening=False, folds=folds)
            share = 0.5 if one is screened[0] else 0.15
            if not known and _affordable(standing, one.family, one.parameters, share=share):
                return self._full(standing, one.family, dict(one.parameters), standing.tolerance)
        return None

    def _step(self, standing: Standing) -> Proposal | None:
        """Return parameters near the best of a leading family."""
        return self._step_within(standing, CAREFUL) or self._step_within(standing, DARING)

    def _step_within(self, standing: Standing, share: float) -> Proposal | None:
        """Return such a step whose first fit takes at most a share of the time left."""
        random = np.random.default_rng((self.seed, standing.number))
        reserve = _polish_seconds(standing)
        leaders = _leaders(standing)
        while leaders:
            names = list(leaders)
            weights = np.array([leaders[name] for name in names])
            name = names[int(random.choice(len(names), p=weights / weights.sum()))]
            for _ in range(12):
                parameters = _near_the_best(standing, name, random)
                fresh = not standing.known(name, parameters, screening=False)
                if fresh and _affordable(standing, name, parameters, share=share, reserve=reserve):
                    return self._full(standing, name, parameters, 0.0)
            del leaders[name]
        return None

    def _polish(self, standing: Standing, *, early: bool) -> Proposal | None:
        """Return the best boosting model with a smaller step, once it is time for it.

        Args:
            standing: The search.
            early: Whether there is nothing else to do, so that it need not wait.
        """
        ranked = standing.ranked(screening=False)
        if not ranked or ranked[0].family != "boosting":
            return None
        best = ranked[0]
        for share in POLISH:
            parameters: dict[str, Scalar] = {**best.parameters, "rate": _slower(best, share)}
            if standing.known("boosting", parameters, screening=False):
                return None
            if _is_time(standing, parameters, len(best.folds), early=early):
                proposal = self._full(standing, "boosting", parameters, standing.tolerance)
                return replace(proposal, eager=standing.left is not None)
        return None

    def _full(self, standing: Standing, name: str, parameters: dict[str, Scalar], tolerance: float) -> Proposal:
        folds = _folds_in_use(standing)
        return Proposal(name, parameters, turned(folds, standing.number), tolerance=tolerance)


def _best_two(standing: Standing, screened: list[TrialRecord]) -> list[TrialRecord]:
    """Return the screened trials within the tolerance of the best, at most two of a family."""
    best = standing.value(screened[0])
    near = [one for one in screened if best - standing.value(one) <= standing.tolerance]
    places: dict[str, int] = {}
    chosen = []
    for one in near:
        places[one.family] = places.get(one.family, 0) + 1
        if places[one.family] <= 2:
            chosen.append(one)
    return chosen


def _deserves_another(standing: Standing, name: str) -> bool:
    """Whether a family's first default was good and cheap enough for its second."""
    done = [one for one in standing.history if one.family == name and one.screening and one.score is not None]
    if not done:
        return False
    best = max(standing.value(one) for one in standing.history)
    if best - max(map(standing.value, done)) > standing.tolerance:
        return False
    return standing.left is None or done[0].seconds < EXPENSIVE * standing.left


def _affordable(
    standing: Standing, name: str, parameters: dict[str, Scalar], *, share: float, reserve: float = 0.0
) -> bool:
    """Whether one fit takes at most a share of the time left, and leaves a reserve."""
    if standing.left is None:
        return True
    cost = standing.seconds(name, parameters)
    return cost is not None and cost < share * standing.left and cost + reserve < standing.left


def _slower(best: TrialRecord, share: float) -> float:
    """Return a share of a boosting model's learning rate."""
    return max(float(best.parameters["rate"]) / share, LEAST_RATE)


def _polish_seconds(standing: Standing) -> float:
    """Return the wall time to keep for the polishing run; 0 when there is none to come, or no time for it."""
    ranked = standing.ranked(screening=False)
    if standing.left is None or not ranked or ranked[0].family != "boosting":
        return 0.0
    parameters: dict[str, Scalar] = {**ranked[0].parameters, "rate": _slower(ranked[0], POLISH[0])}
    if standing.known("boosting", parameters, screening=False):
        return 0.0
    wall = _polish_wall(standing, parameters, len(ranked[0].folds))
    return wall if wall < standing.left else 0.0


def _polish_wall(standing: Standing, parameters: dict[str, Scalar], folds: int) -> float:
    """Return the wall time of a boosting model on all folds at once, with some margin."""
    cost = standing.seconds("boosting", parameters) or math.inf
    return 1.15 * cost * math.ceil(folds / standing.arena.workers)


def _is_time(standing: Standing, parameters: dict[str, Scalar], folds: int, *, early: bool) -> bool:
    """Whether the polishing run fits into what is left, and no further step would fit before it."""
    arena = standing.arena
    if standing.left is None:
        return arena.trials is not None and standing.number >= arena.trials - 2
    wall = _polish_wall(standing, parameters, folds)
    step = standing.seconds("boosting", standing.ranked(screening=False)[0].parameters) or 0.0
    return wall < standing.left and (early or standing.left < wall + 1.2 * step)


def _folds_in_use(standing: Standing) -> int:
    """Return how many folds full trials have: as many as the budget allows, and never fewer than before."""
    arena = standing.arena
    if standing.left is None:
        return usual_folds(arena.facts.rows, arena.folds)
    before = [len(one.folds) for one in standing.ranked(screening=False)]
    before += [len(one.folds) for one in standing.running if not one.screening]
    if standing.lacks_strong:
        return max(1, *before)
    best = (standing.ranked(screening=False) or standing.ranked(screening=True))[0]
    cost = standing.seconds(best.family, best.parameters) or math.inf
    allowed = int(standing.left * arena.workers / (FULL_TRIALS * cost))
    return max(1, *before, min(arena.folds, allowed))


def _leaders(standing: Standing) -> dict[str, float]:
    """Return the families worth a step, weighted by how close their best is to the best of all.

    A family that has had many trials for the size of its space counts less: little is left to be found in it.
    """
    best: dict[str, float] = {}
    for one in standing.ranked(screening=False):
        best.setdefault(one.family, standing.value(one))
    if not best:
        return {}
    top, tolerance = max(best.values()), max(standing.tolerance, 1e-12)
    weights: dict[str, float] = {}
    for name, value in best.items():
        dimensions = len(standing.arena.families[name].space(standing.arena.facts))
        tried = sum(one.family == name and not one.screening for one in standing.history)
        if dimensions and top - value <= tolerance:
            tired = 0.2 if tried > 8 * dimensions else 1.0
            weights[name] = tired * math.exp(-5.0 * (top - value) / tolerance)
    return weights


def _near_the_best(standing: Standing, name: str, random: np.random.Generator) -> dict[str, Scalar]:
    """Draw parameters near one of a family's three best, now and then anywhere."""
    space = standing.arena.families[name].space(standing.arena.facts)
    if random.random() < 0.1:
        return sample(space, random)
    ranked = [one for one in standing.ranked(screening=False) if one.family == name][:3]
    odds = np.array([0.6, 0.25, 0.15])[: len(ranked)]
    centre = ranked[int(random.choice(len(ranked), p=odds / odds.sum()))]
    return neighbour(space, centre.parameters, _step_size(standing, ranked[0]), random)


def _step_size(standing: Standing, best: TrialRecord) -> float:
    """Return a step that shrinks with every failure since the family's best trial."""
    failures = sum(
        one.family == best.family and one.number > best.number and not one.screening for one in standing.history
    )
    return float(max(0.05, 0.25 * 0.9**failures))
