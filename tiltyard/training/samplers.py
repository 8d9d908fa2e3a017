"""The samplers beside the race: Optuna's TPE, random search, and a grid. All try the families' defaults first."""

import itertools
from functools import cached_property
from typing import Literal, cast

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import TrialState

from tiltyard.training.journal import frozen_trial, prefixed
from tiltyard.training.problem import TrialRecord
from tiltyard.training.proposal import Arena, Proposal, Sampler, Standing, turned, usual_folds
from tiltyard.training.race import Race
from tiltyard.training.space import Choice, Dimension, Real, Scalar, grid_values

GRID_POINTS = 3
"""Values of a number in a grid."""

DRAWS = 8
"""Draws until one fits into the time left."""


class OptunaSampler(Sampler):
    """A sampler of Optuna's over all families at once: the family is a dimension, its parameters hang below it.

    Args:
        kind: `tpe` or `random`.
        seed: Seed of the draws; each trial has its own, so that a resumed search draws the same.
    """

    def __init__(self, kind: Literal["tpe", "random"], seed: int) -> None:
        self.kind = kind
        self.seed = seed

    def propose(self, standing: Standing) -> Proposal | None:
        """Return a default not yet tried, or what Optuna suggests."""
        arena = standing.arena
        folds = usual_folds(arena.facts.rows, arena.folds)
        for name, family in arena.families.items():
            first = family.defaults(arena.facts)[0]
            if not standing.known(name, first, screening=False):
                return Proposal(name, first, turned(folds, standing.number))
        for draw in range(DRAWS):
            name, parameters = self._suggest(standing, draw)
            cost = standing.seconds(name, parameters)
            affordable = standing.left is None or (cost is not None and cost < standing.left)
            if affordable and not standing.known(name, parameters, screening=False):
                return Proposal(name, parameters, turned(folds, standing.number))
        return None

    def _suggest(self, standing: Standing, draw: int) -> tuple[str, dict[str, Scalar]]:
        """Ask Optuna, given everything known."""
        arena = standing.arena
        study = optuna.create_study(sampler=self._sampler((self.seed * 100_003 + standing.number) * DRAWS + draw))
        names = list(arena.families)
        for one in standing.history:
            space = arena.families[one.family].space(arena.facts)
            study.add_trial(frozen_trial(one, space, names, loss=-standing.value(one)))
        for running in standing.running:
            space = arena.families[running.family].space(arena.facts)
            record = TrialRecord(number=0, family=running.family, parameters=running.parameters, state="failed")
            study.add_trial(frozen_trial(record, space, names, state=TrialState.RUNNING))
        trial = study.ask()
        name = str(trial.suggest_categorical("family", names))
        space = arena.families[name].space(arena.facts)
        return name, {key: _suggested(trial, prefixed(name, key), dimension) for key, dimension in space.items()}

    def _sampler(self, seed: int) -> BaseSampler:
        seed %= 2**31
        return RandomSampler(seed) if self.kind == "random" else TPESampler(seed=seed, multivariate=False)


def _suggested(trial: optuna.Trial, name: str, dimension: Dimension) -> Scalar:
    if isinstance(dimension, Choice):
        return cast(Scalar, trial.suggest_categorical(name, dimension.options))
    if isinstance(dimension, Real):
        return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
    return trial.suggest_int(name, dimension.low, dimension.high, log=dimension.log)


class Grid(Sampler):
    """Every combination of a few values per parameter, the families taking turns.

    Args:
        arena: The search.
    """

    def __init__(self, arena: Arena) -> None:
        self.arena = arena

    @cached_property
    def points(self) -> tuple[tuple[str, dict[str, Scalar]], ...]:
        """All points of the grid in order: the families' defaults, then the combinations in turn."""
        facts = self.arena.facts
        columns: list[list[tuple[str, dict[str, Scalar]]]] = []
        for name, family in self.arena.families.items():
            space = family.space(facts)
            values = [grid_values(dimension, GRID_POINTS) for dimension in space.values()]
            combinations = [dict(zip(space, combination, strict=True)) for combination in itertools.product(*values)]
            first = family.defaults(facts)[0]
            columns.append([(name, first), *((name, point) for point in combinations if point != first)])
        rounds = itertools.zip_longest(*columns)
        return tuple(point for turn in rounds for point in turn if point is not None)

    def propose(self, standing: Standing) -> Proposal | None:
        """Return the point of this number."""
        if standing.number >= len(self.points):
            return None
        name, parameters = self.points[standing.number]
        folds = usual_folds(self.arena.facts.rows, self.arena.folds)
        return Proposal(name, parameters, turned(folds, standing.number))


def make_sampler(kind: Literal["race", "tpe", "random", "grid"], arena: Arena, seed: int) -> Sampler:
    """Return the sampler of that name."""
    if kind == "race":
        return Race(seed)
    return Grid(arena) if kind == "grid" else OptunaSampler(kind, seed)
