"""How often a canary is sent back, and how soon, where the truth is known: `python -m benchmarks.rollout`.

Each world is drawn many times and looked at every 100 requests of the candidate, up to 10,000; beside the rollout's own
decision stands the z-test that most canary tools would take, at 5 % each look. Exits with 1 when a promise is broken.
"""

import argparse
import math
import sys
import time
from dataclasses import dataclass
from statistics import median

import numpy as np
from scipy.stats import norm

from benchmarks.rollout.worlds import World
from tiltyard.evaluation.evidence import Evidence
from tiltyard.evaluation.guards import slow_bucket
from tiltyard.evaluation.rollout import judge
from tiltyard.project.rollout import RolloutSection

SETTINGS = RolloutSection(strategy="canary")
STEP = 1
FALSE_RETURN = 0.05
SOON = 300.0
_Z = float(norm.ppf(0.975))


@dataclass(frozen=True)
class Trial:
    """One world, and what is promised of it.

    Attributes:
        title: What is shown.
        world: What is true.
        naive: What the z-test looks at.
        most: Largest share that may be sent back.
        soon: Largest median of the candidate's requests until it is sent back; None when nothing is promised.
    """

    title: str
    world: World
    naive: str = "errors"
    most: float = 1.0
    soon: float | None = None


TRIALS = (
    Trial("identical versions", World(), most=FALSE_RETURN),
    Trial("identical, half of the requests", World(share=0.5), most=FALSE_RETURN),
    Trial("errors 2 % against 1 %", World(errors=0.02)),
    Trial("errors 3 % against 1 %", World(errors=0.03)),
    Trial("errors 5 % against 1 %", World(errors=0.05), soon=SOON),
    Trial("errors 5 %, half of the requests", World(errors=0.05, share=0.5)),
    Trial("errors 20 % against 1 %", World(errors=0.2), soon=SOON),
    Trial("20 % slower: within the margin", World(slower=1.2), "latency", most=FALSE_RETURN),
    Trial("50 % slower", World(slower=1.5), "latency"),
    Trial("twice as slow", World(slower=2.0), "latency", soon=SOON),
    Trial("0.8 ms against 0.2 ms: not felt", World(usual=0.0002, slower=4.0), "latency", most=FALSE_RETURN),
    Trial("15 ms against 0.2 ms: just allowed", World(usual=0.0002, slower=75.0), "latency", most=FALSE_RETURN),
    Trial("30 ms against 0.2 ms", World(usual=0.0002, slower=150.0), "latency", soon=SOON),
    Trial("30 ms, half of the requests", World(usual=0.0002, slower=150.0, share=0.5), "latency", soon=SOON),
    Trial("predictions +0.2: just allowed", World(shift=0.2), "predictions", most=FALSE_RETURN),
    Trial("predictions +0.25", World(shift=0.25), "predictions"),
    Trial("predictions +0.3", World(shift=0.3), "predictions", soon=SOON),
)


@dataclass(frozen=True)
class Rates:
    """What happened over the repetitions.

    Attributes:
        returned: Share that was sent back.
        requests: Median of the candidate's requests until then; infinite when fewer than half were.
        naive: Share that the z-test would have sent back.
        naive_requests: Median of the candidate's requests until then.
    """

    returned: float
    requests: float
    naive: float
    naive_requests: float


def run(trial: Trial, repetitions: int, *, seed: int = 0, every: int = 100, most: int = 10_000) -> Rates:
    """Repeat a trial on fresh requests.

    Args:
        trial: The world and what is promised of it.
        repetitions: How often.
        seed: Seed of everything random.
        every: Requests of the candidate between two looks.
        most: Requests of the candidate at the last look.
    """
    ours, theirs = [], []
    for rng in np.random.default_rng(seed).spawn(repetitions):
        first = naive = math.inf
        for seen in trial.world.looks(rng, STEP, every, most):
            if first == math.inf and judge(SETTINGS, seen).kind == "return":
                first = seen.candidate.requests
            if naive == math.inf and z_test(seen, trial.naive):
                naive = seen.candidate.requests
            if first < math.inf and naive < math.inf:
                break
        ours.append(first)
        theirs.append(naive)
    return Rates(_share(ours), median(ours), _share(theirs), median(theirs))


def z_test(seen: Evidence, what: str) -> bool:
    """Whether a two-sided z-test at 5 % finds a difference at this look, as if it were the only one."""
    if what == "predictions":
        paired = seen.paired
        mean = paired.total / paired.count
        error = math.sqrt(max(paired.squares / paired.count - mean * mean, 1e-12) / paired.count)
        return abs(mean) - SETTINGS.prediction_shift > _Z * error
    ours, theirs = seen.candidate, seen.champion
    if what == "errors":
        return _differ(ours.errors, ours.requests, theirs.errors, theirs.requests)
    bound = slow_bucket(theirs)
    return _differ(ours.slower_than(bound), ours.timed, theirs.slower_than(bound), theirs.timed)


def _differ(events: int, trials: int, other_events: int, other_trials: int) -> bool:
    pooled = (events + other_events) / (trials + other_trials)
    error = math.sqrt(pooled * (1 - pooled) * (1 / trials + 1 / other_trials))
    return error > 0 and abs(events / trials - other_events / other_trials) > _Z * error


def _share(found: list[float]) -> float:
    return sum(first < math.inf for first in found) / len(found)


def kept(trial: Trial, rates: Rates) -> bool:
    """Return whether the promises hold."""
    return rates.returned <= trial.most and (trial.soon is None or rates.requests <= trial.soon)


def main() -> int:
    """Run all trials and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(
        f"{'candidate':36}{'times':>7}{'sent back':>11}{'requests':>10}{'wanted':>12}{'z-test':>9}{'requests':>10}"
        f"{'seconds':>9}"
    )
    broken = 0
    for trial in TRIALS:
        start = time.perf_counter()
        rates = run(trial, arguments.repetitions, seed=arguments.seed)
        fine = kept(trial, rates)
        broken += not fine
        wanted = f"<= {trial.most:.0%}" if trial.most < 1 else f"<= {trial.soon:.0f}" if trial.soon else "-"
        print(
            f"{trial.title:36}{arguments.repetitions:>7}{rates.returned:>11.1%}{rates.requests:>10.0f}{wanted:>12}"
            f"{rates.naive:>9.1%}{rates.naive_requests:>10.0f}{time.perf_counter() - start:>9.1f}"
            f"{'' if fine else '  BROKEN'}",
            flush=True,
        )
    print(f"{len(TRIALS) - broken} of {len(TRIALS)} promises kept")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
