"""Quality for the wall time: Tiltyard, FLAML and plain Optuna on the same tables in one run.

    python -m benchmarks.tuning --data FOLDER --seconds 15 30 60 --seeds 0 1 2 [--tables adult …]

Every contender searches for the wall time on the same three quarters of a table, is refit outside the budget, and is
scored on the held-out quarter. Prints scores, mean ranks and how the budget was kept; writes the same as JSON. Run it
on a quiet machine: all use every core.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from benchmarks.tuning.contenders import CONTENDERS, Told, flaml_python
from benchmarks.tuning.tables import TABLES, load
from tiltyard.project.metrics import METRICS

RESULTS = Path("benchmarks/results/tuning.json")

Key = tuple[str, float, int]


def main() -> None:
    """Run every contender on every table, budget and seed."""
    arguments = _arguments()
    if "flaml" in arguments.contenders:
        flaml_python()
    told: dict[Key, dict[str, Told]] = {}
    for seconds in arguments.seconds:
        for name in arguments.tables:
            for seed in arguments.seeds:
                duel = load(name, arguments.data, seed)
                found = {who: CONTENDERS[who](duel, seconds, seed) for who in arguments.contenders}
                told[name, seconds, seed] = found
                print(_line((name, seconds, seed), found), flush=True)
    _report(told, arguments.contenders)
    _write(told)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of the tables")
    parser.add_argument("--seconds", type=float, nargs="+", default=[15.0, 30.0, 60.0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    standard = ["adult", "telco_churn", "digits", "california_housing"]
    parser.add_argument("--tables", nargs="+", default=standard, choices=sorted(TABLES))
    parser.add_argument("--contenders", nargs="+", default=list(CONTENDERS), choices=list(CONTENDERS))
    return parser.parse_args()


def _line(key: Key, found: dict[str, Told]) -> str:
    name, seconds, seed = key
    parts = [f"{who} {told.score:.5g} in {told.seconds:.1f} s ({told.model})" for who, told in found.items()]
    return f"{name}, {seconds:g} s, seed {seed}: " + "; ".join(parts)


def _ranks(name: str, found: dict[str, Told]) -> dict[str, float]:
    """Return ranks, 1 for the best, shared by equal scores."""
    sign = -1.0 if METRICS[TABLES[name].metric].greater_is_better else 1.0
    places = rankdata([sign * told.score for told in found.values()])
    return dict(zip(found, map(float, places), strict=True))


def _report(told: dict[Key, dict[str, Told]], contenders: list[str]) -> None:
    """Print mean scores per table and budget, then mean ranks and the worst use of the budget."""
    print(f"\n{'table':<20}{'seconds':>8}" + "".join(f"{who:>12}" for who in contenders))
    for name, seconds in dict.fromkeys((name, seconds) for name, seconds, _ in told):
        runs = [found for key, found in told.items() if key[:2] == (name, seconds)]
        means = [statistics.fmean(run[who].score for run in runs) for who in contenders]
        print(f"{name:<20}{seconds:>8g}" + "".join(f"{mean:>12.5g}" for mean in means))
    for seconds in dict.fromkeys(seconds for _, seconds, _ in told):
        ranks = [_ranks(key[0], found) for key, found in told.items() if key[1] == seconds]
        means = [statistics.fmean(rank[who] for rank in ranks) for who in contenders]
        print(f"{'mean rank':<20}{seconds:>8g}" + "".join(f"{mean:>12.2f}" for mean in means))
    for seconds in dict.fromkeys(seconds for _, seconds, _ in told):
        shares = [
            [found[who].seconds / seconds for key, found in told.items() if key[1] == seconds] for who in contenders
        ]
        print(f"{'worst wall / budget':<20}{seconds:>8g}" + "".join(f"{np.max(share):>12.2f}" for share in shares))


def _write(told: dict[Key, dict[str, Told]]) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {"table": name, "budget": seconds, "seed": seed, "contender": who, **vars(one)}
        for (name, seconds, seed), found in told.items()
        for who, one in found.items()
    ]
    RESULTS.write_text(json.dumps({"finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "runs": rows}, indent=1))


if __name__ == "__main__":
    main()
