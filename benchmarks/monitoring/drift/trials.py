"""What is tried, how often it is called drift, and whether that keeps the promise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.monitoring.drift.worlds import CHANGES, NOTHING, Change, World
from tiltyard.monitoring.calibration import FEWEST_WINDOWS, Calibration
from tiltyard.monitoring.comparisons import Comparison
from tiltyard.monitoring.discovery import false_discovery_rates
from tiltyard.monitoring.drift import ENOUGH_ROWS, FLOORS, SURE, DriftCheck, Settings, check_drift
from tiltyard.monitoring.findings import DriftVerdict
from tiltyard.monitoring.pairs import choose_pairs
from tiltyard.monitoring.sample import Sample

FALSE_ALARMS = 0.01
WOBBLE_ALARMS = 0.02
NOTED = 0.99

_UNIMPORTANT = "feature_number0"
_WOBBLE = Change(wobble=0.03)
_UNEVEN = Change(wobble=0.03, uneven=True)


@dataclass(frozen=True)
class Trial:
    """One setting that is repeated.

    Attributes:
        title: What is shown.
        world: How large tables are.
        change: What is otherwise in the two windows; its wobble is in all.
        most: Share of checks that may say anything above a note, where nothing is to be found.
        least: Share of changes to be found in the first window.
        unimportant: Whether the column that changes carries next to nothing of the score.
    """

    title: str
    world: World
    change: Change = NOTHING
    most: float = 1.0
    least: float = 0.0
    unimportant: bool = False

    @property
    def calm(self) -> Change:
        """What good windows are like."""
        return Change(wobble=self.change.wobble, uneven=self.change.uneven)

    @property
    def steady(self) -> bool:
        """Whether nothing changes at all."""
        return self.change == self.calm


@dataclass(frozen=True)
class Rates:
    """What happened over the repetitions, as shares.

    Attributes:
        checks: Checks that `found` is a share of.
        early: Checks of the first four windows with a warning or an alarm.
        found: Checks of the last windows with a warning or an alarm; of the first of them alone, where it has changed.
        alarmed: Lives with an alarm by the last window.
        plain: What the plain tests find in the same checks as `found`.
        noted: Checks with a line about the first column, of those that `found` is a share of.
    """

    checks: int
    early: float
    found: float
    alarmed: float
    plain: float
    noted: float


class _Life(NamedTuple):
    """A reference, checks of the windows that were accepted, and what they taught."""

    reference: Sample
    settings: Settings
    early: list[DriftCheck]
    calibration: Calibration


FOUND = {5_000: (0.97, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0), 500: (0.0, 0.92, 1.0, 0.25, 1.0, 1.0, 1.0)}
"""By rows of a window, what must be found of each of `CHANGES` in the first window that has it."""

TRIALS = (
    *(
        Trial(f"no drift, {columns:,} columns", World(columns, rows), most=FALSE_ALARMS)
        for columns in (20, 100, 1_000)
        for rows in (300, 500, 1_000, 5_000, 50_000)
    ),
    *(
        Trial(title, World(rows=rows), change, least=least)
        for rows, bar in FOUND.items()
        for (title, change), least in zip(CHANGES, bar, strict=True)
    ),
    Trial("unimportant mean +0.1 sd", World(rows=50_000), Change(shift=0.1), most=FALSE_ALARMS, unimportant=True),
    Trial("wobble 0.03 sd", World(rows=5_000), _WOBBLE, most=WOBBLE_ALARMS),
    Trial("wobble 0.03 sd", World(rows=50_000), _WOBBLE, most=WOBBLE_ALARMS),
    Trial("wobble, and mean +0.25 sd", World(rows=5_000), Change(wobble=0.03, shift=0.25)),
    Trial("wobble, and category mix 5 %", World(rows=5_000), Change(wobble=0.03, mix=0.05)),
    Trial("uneven wobble 0 to 0.06 sd", World(rows=5_000), _UNEVEN, most=WOBBLE_ALARMS),
)


def alike(trials: Sequence[Trial]) -> list[list[Trial]]:
    """Return the trials, those of the same good windows together.

    Args:
        trials: Any.
    """
    groups: dict[tuple[World, Change], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.world, trial.calm), []).append(trial)
    return list(groups.values())


def run(trials: Sequence[Trial], repetitions: int, seed: int = 0) -> list[Rates]:
    """Live the same good windows again and again, and after them what each trial has.

    Args:
        trials: Settings with the same good windows.
        repetitions: How often.
        seed: Seed of everything random.
    """
    early, late = list[DriftVerdict](), [list[tuple[DriftCheck, DriftCheck]]() for _ in trials]
    for rng in np.random.default_rng(seed).spawn(repetitions):
        life = _begin(trials[0], rng)
        early += [check.verdict for check in life.early]
        for trial, ends in zip(trials, late, strict=True):
            ends.append(_end(life, trial, rng))
    rings = float(np.mean([_rings(verdict) for verdict in early]))
    return [_rates(trial, rings, ends) for trial, ends in zip(trials, late, strict=True)]


def _begin(trial: Trial, rng: np.random.Generator) -> _Life:
    reference = trial.world.reference(rng)
    settings = Settings(pairs=choose_pairs(reference.columns))
    calibration, checks = Calibration(), list[DriftCheck]()
    for _ in range(FEWEST_WINDOWS):
        previous = checks[-1].verdict if checks else None
        windows = _windows(trial.world, rng, trial.calm)
        check = check_drift(reference, windows, previous=previous, calibration=calibration, settings=settings)
        calibration = check.accept(calibration)
        checks.append(check)
    return _Life(reference, settings, checks, calibration)


def _end(life: _Life, trial: Trial, rng: np.random.Generator) -> tuple[DriftCheck, DriftCheck]:
    settings = life.settings
    if trial.unimportant:
        importance = dict.fromkeys(life.reference.columns, 1.0) | {_UNIMPORTANT: 0.01}
        settings = settings._replace(importance=importance)

    def check(previous: DriftCheck) -> DriftCheck:
        return check_drift(
            life.reference,
            _windows(trial.world, rng, trial.change),
            previous=previous.verdict,
            calibration=life.calibration,
            settings=settings,
        )

    first = check(life.early[-1])
    return first, check(first)


def _rates(trial: Trial, early: float, ends: Sequence[tuple[DriftCheck, DriftCheck]]) -> Rates:
    counted = [check for end in ends for check in (end if trial.steady or trial.unimportant else end[:1])]
    return Rates(
        checks=len(counted),
        early=early,
        found=float(np.mean([_rings(check.verdict) for check in counted])),
        alarmed=float(np.mean([any(check.verdict.level == "alarm" for check in end) for end in ends])),
        plain=float(np.mean([plain(check.comparisons) for check in counted])),
        noted=float(np.mean([_notes(check.verdict) for check in counted])),
    )


def _windows(world: World, rng: np.random.Generator, change: Change) -> Sequence[Sample]:
    """Return a window, and one before it where it has too few rows to be judged alone."""
    return [world.window(rng, change) for _ in range(1 if world.rows >= ENOUGH_ROWS else 2)]


def _rings(verdict: DriftVerdict) -> bool:
    return verdict.level in {"warning", "alarm"}


def _notes(verdict: DriftVerdict) -> bool:
    return any(finding.column == _UNIMPORTANT and finding.level == "note" for finding in verdict.findings)


def plain(comparisons: Sequence[Comparison]) -> bool:
    """Return whether the tests find anything without calibration, weights and memory."""
    rates = false_discovery_rates(np.array([each.p for each in comparisons]), np.ones(len(comparisons)))
    large = [abs(each.effect) >= FLOORS[each.family].small for each in comparisons]
    return bool(np.any((rates <= SURE) & large))


def kept(trial: Trial, rates: Rates, repetitions: int) -> bool:
    """Return whether the promise holds, to within two standard errors of the simulation.

    Args:
        trial: What was tried.
        rates: What happened.
        repetitions: How often it was tried.
    """
    calm = rates.early <= trial.most + _slack(trial.most, FEWEST_WINDOWS * repetitions) or trial.calm != NOTHING
    quiet = rates.found <= trial.most + _slack(trial.most, rates.checks)
    powerful = rates.found >= trial.least - _slack(trial.least, rates.checks)
    noted = not trial.unimportant or rates.noted >= NOTED - _slack(NOTED, rates.checks)
    return calm and quiet and powerful and noted


def _slack(share: float, times: int) -> float:
    between = min(max(share, 0.01), 0.99)
    return 2.0 * float(np.sqrt(between * (1.0 - between) / times))
