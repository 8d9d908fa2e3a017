"""The registry of model families."""

from tiltyard.project.model import SearchSection
from tiltyard.training.custom import load_own
from tiltyard.training.dense_families import Dummy, Linear, Neighbours, Network, Svm
from tiltyard.training.family import Facts, Family
from tiltyard.training.problem import Problem
from tiltyard.training.tree_families import Boosting, ExtraTrees, Forest, Tree

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (Dummy(), Linear(), Tree(), Boosting(), Neighbours(), Forest(), ExtraTrees(), Network(), Svm())
}
"""Families by name, those that are cheap to fit first."""


def facts_of(problem: Problem, rows: int, *, threads: int = 1) -> Facts:
    """Return what families may know of a problem.

    Args:
        problem: The problem.
        rows: Rows to fit on.
        threads: Threads one fit may use.
    """
    return Facts(
        task=problem.task,
        classes=problem.classes,
        rows=rows,
        levels=problem.levels,
        spread=1.0 if problem.classes else float(problem.y.astype(float).var()) or 1.0,
        class_weight=problem.class_weight,
        seed=problem.seed,
        threads=threads,
    )


def family_named(name: str, problem: Problem) -> Family:
    """Return a family by its name, or an own estimator by `module:Class`.

    Raises:
        TrainingError: The own estimator cannot be imported or is none.
    """
    return load_own(name, problem.code_folder) if ":" in name else FAMILIES[name]


def racing_families(settings: SearchSection, problem: Problem) -> tuple[Family, ...]:
    """Return the families that race, cheapest first.

    Those named in the project file, or else all that suit the data; own estimators always.

    Raises:
        TrainingError: An own estimator cannot be used.
    """
    facts = facts_of(problem, len(problem.folds[0][0]))
    own = tuple(load_own(name, problem.code_folder) for name in settings.estimators)
    for family in own:
        family.probe(facts)
    if settings.families:
        return tuple(family for name, family in FAMILIES.items() if name in settings.families) + own
    return tuple(family for family in FAMILIES.values() if family.suits(facts)) + own
