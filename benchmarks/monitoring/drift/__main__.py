"""How often drift is called where there is none, and found where there is: `python -m benchmarks.monitoring.drift`.

Each trial is a champion's life, repeated: a reference, four windows that nothing is wrong with, and two more windows in
which something has changed, or nothing has. Beside our policy stand the same tests without calibration (Benjamini and
Hochberg at 1 %, and the small floors: `plain`), and Evidently's defaults on fewer repetitions. Exits with 1 when a
promise is broken.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.monitoring.drift.peer import Flags, evidently_flags
from benchmarks.monitoring.drift.worlds import CHANGES, NOTHING, Change, World
from tiltyard.monitoring.calibration import FEWEST_WINDOWS, Calibration
from tiltyard.monitoring.comparisons import Comparison
from tiltyard.monitoring.discovery import false_discovery_rates
from tiltyard.monitoring.drift import ENOUGH_ROWS, FLOORS, SURE, DriftCheck, Settings, check_drift
from tiltyard.monitoring.pairs import choose_pairs
from tiltyard.monitoring.sample import Sample

FALSE_ALARMS = 0.01
WOBBLE_ALARMS = 0.02


@dataclass(frozen=True)
class Trial:
    """One setting that is repeated.

    Attributes:
        title: What is shown.
        world: How large tables are.
        change: What is otherwise in the two windows; its wobble is in all.
        most: Share of checks that may say anything above a note, where nothing is to be found.
        powerful: Whether at least as much must be found as by the plain tests.
        unimportant: Whether the column that changes carries next to nothing of the score.
    """

    title: str
    world: World
    change: Change = NOTHING
    most: float = 1.0
    powerful: bool = False
    unimportant: bool = False


@dataclass(frozen=True)
class Rates:
    """What happened over the repetitions, as shares.

    Attributes:
        checks: Checks that `found` is a share of.
        early: Checks of the first four windows with a warning or an alarm.
        found: Checks of the last windows with a warning or an alarm; of the first of them alone, where it has changed.
        alarmed: Lives with an alarm by the last window.
        plain: What the plain tests find in the same checks as `found`.
    """

    checks: int
    early: float
    found: float
    alarmed: float
    plain: float


def _calm() -> list[Trial]:
    return [
        Trial(f"no drift, {columns:,} columns", World(columns, rows), most=FALSE_ALARMS)
        for columns in (20, 100, 1_000)
        for rows in (300, 500, 1_000, 5_000, 50_000)
    ]


TRIALS = (
    *_calm(),
    *(Trial(title, World(rows=rows), change, powerful=True) for rows in (5_000, 500) for title, change in CHANGES),
    Trial("wobble 0.03 sd", World(rows=5_000), Change(wobble=0.03), most=WOBBLE_ALARMS),
    Trial("wobble 0.03 sd", World(rows=50_000), Change(wobble=0.03), most=WOBBLE_ALARMS),
    Trial("uneven wobble 0 to 0.06 sd", World(rows=5_000), Change(wobble=0.03, uneven=True), most=WOBBLE_ALARMS),
    Trial("wobble, and mean +0.25 sd", World(rows=5_000), Change(wobble=0.03, shift=0.25)),
    Trial("wobble, and category mix 5 %", World(rows=5_000), Change(wobble=0.03, mix=0.05)),
    Trial("unimportant mean +0.1 sd", World(rows=50_000), Change(shift=0.1), most=FALSE_ALARMS, unimportant=True),
)


def run(trial: Trial, repetitions: int, seed: int = 0) -> Rates:
    """Live a trial again and again.

    Args:
        trial: The setting.
        repetitions: How often.
        seed: Seed of everything random.
    """
    lives = [_live(trial, rng) for rng in np.random.default_rng(seed).spawn(repetitions)]
    steady = trial.change == Change(wobble=trial.change.wobble, uneven=trial.change.uneven)
    counted = [check for _, late in lives for check in (late if steady or trial.unimportant else late[:1])]
    return Rates(
        checks=len(counted),
        early=float(np.mean([_rings(check) for early, _ in lives for check in early])),
        found=float(np.mean([_rings(check) for check in counted])),
        alarmed=float(np.mean([any(check.verdict.level == "alarm" for check in late) for _, late in lives])),
        plain=float(np.mean([plain(check.comparisons) for check in counted])),
    )


def _live(trial: Trial, rng: np.random.Generator) -> tuple[list[DriftCheck], list[DriftCheck]]:
    """Return the checks of the accepted windows, and those of the two after them."""
    reference = trial.world.reference(rng)
    settings = Settings(pairs=choose_pairs(reference.columns))
    if trial.unimportant:
        settings = settings._replace(importance=dict.fromkeys(reference.columns, 1.0) | {"feature_number0": 0.01})
    calm = Change(wobble=trial.change.wobble, uneven=trial.change.uneven)
    calibration, checks = Calibration(), list[DriftCheck]()
    for place in range(FEWEST_WINDOWS + 2):
        windows = _windows(trial.world, rng, calm if place < FEWEST_WINDOWS else trial.change)
        previous = checks[-1].verdict if checks else None
        check = check_drift(reference, windows, previous=previous, calibration=calibration, settings=settings)
        if place < FEWEST_WINDOWS:
            calibration = check.accept(calibration)
        checks.append(check)
    return checks[:FEWEST_WINDOWS], checks[FEWEST_WINDOWS:]


def _windows(world: World, rng: np.random.Generator, change: Change) -> Sequence[Sample]:
    """Return a window, and one before it where it has too few rows to be judged alone."""
    return [world.window(rng, change) for _ in range(1 if world.rows >= ENOUGH_ROWS else 2)]


def _rings(check: DriftCheck) -> bool:
    return check.verdict.level in {"warning", "alarm"}


def plain(comparisons: Sequence[Comparison]) -> bool:
    """Return whether the tests find anything without calibration, weights and memory."""
    rates = false_discovery_rates(np.array([each.p for each in comparisons]), np.ones(len(comparisons)))
    large = [abs(each.effect) >= FLOORS[each.family].small for each in comparisons]
    return bool(np.any((rates <= SURE) & large))


def run_peer(trial: Trial, repetitions: int, seed: int = 0) -> Flags:
    """Ask Evidently's defaults about the first window after the change.

    Args:
        trial: The setting.
        repetitions: How often.
        seed: Seed of everything random.
    """
    found = []
    for rng in np.random.default_rng(seed).spawn(repetitions):
        reference = trial.world.reference(rng)
        found.append(evidently_flags(reference, trial.world.window(rng, trial.change)))
    return Flags(*(float(np.mean(column)) for column in zip(*found, strict=True)))


def kept(trial: Trial, rates: Rates, repetitions: int) -> bool:
    """Return whether the promises hold, to within two standard errors of the simulation."""
    most = trial.most + 2 * np.sqrt(trial.most * (1 - trial.most) / rates.checks)
    wanted = min(rates.plain, 0.99)
    least = wanted - 2 * np.sqrt(max(wanted * (1 - wanted), 0.01) * 2 / repetitions) if trial.powerful else 0.0
    return bool(least <= rates.found <= most)


def main() -> int:
    """Run all trials and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=400, help="a fifth as many for 100 columns, 1,000: a 20th")
    parser.add_argument("--peer", type=int, default=10, help="repetitions of Evidently at 20 columns; 0 leaves it out")
    parser.add_argument("--only", default="", help="trials whose title has this text")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(
        f"{'trial':30}{'rows':>7}{'times':>6}{'early':>8}{'found':>8}{'alarm':>8}{'wanted':>9}{'plain':>8}"
        f"{'Evidently: a column':>21}{'half of them':>14}{'seconds':>9}"
    )
    broken = 0
    trials = [trial for trial in TRIALS if arguments.only in trial.title]
    for trial in trials:
        start = time.perf_counter()
        repetitions = max(2, arguments.repetitions // {20: 1, 100: 5, 1_000: 20}[trial.world.columns])
        rates = run(trial, repetitions, arguments.seed)
        fine = kept(trial, rates, repetitions)
        broken += not fine
        peer = "" if not arguments.peer or trial.world.columns > 20 else _shown(run_peer(trial, arguments.peer))
        wanted = "as plain" if trial.powerful else f"<= {trial.most:.0%}" if trial.most < 1 else "-"
        print(
            f"{trial.title:30}{trial.world.rows:>7}{repetitions:>6}{rates.early:>8.1%}{rates.found:>8.1%}"
            f"{rates.alarmed:>8.1%}{wanted:>9}{rates.plain:>8.1%}{peer:>35}{time.perf_counter() - start:>9.1f}"
            f"{'' if fine else '  BROKEN'}",
            flush=True,
        )
    print(f"{len(trials) - broken} of {len(trials)} promises kept")
    return 1 if broken else 0


def _shown(flags: Flags) -> str:
    return f"{flags.column:>21.0%}{flags.table:>14.0%}"


if __name__ == "__main__":
    sys.exit(main())
