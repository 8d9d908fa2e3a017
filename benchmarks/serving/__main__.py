"""One table: Tiltyard and its peers, the same model, the same rows, the same load.

    python -m benchmarks.serving [--seconds 3] [--rounds 3] [--peers Tiltyard MLServer …] [--json FILE]

The model is that of most teams: 8 numeric columns (3 with missing values) and 6 categories, imputed, scaled, one-hot
encoded, into a logistic regression. Each server runs alone, its whole process tree on one CPU and the load on another;
Tiltyard with everything on: typing, prediction ids, the log on disk before the answer, metrics, its sidecar. Every peer
has an environment of its own, made once under `$XDG_CACHE_HOME/tiltyard-benchmarks` from the versions in `peers/`.
CPU is user and system time of the process tree over the requests answered. Run it on a quiet machine.
"""

import argparse
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.serving.contenders import CONTENDERS
from benchmarks.serving.report import ratios, table
from benchmarks.serving.running import measure

RESULTS = Path("benchmarks/results/serving.json")


def main() -> None:
    """Measure, print the table and the ratios, and save both."""
    given = _arguments()
    load = os.getloadavg()[0]
    found = []
    for contender in CONTENDERS:
        if contender.name in given.peers:
            print(f"{contender.name} …", file=sys.stderr, flush=True)
            found.append(measure(contender, seconds=given.seconds, rounds=given.rounds))
    print(table(found), ratios(found), f"load average before: {load:.2f}", sep="\n\n")
    told = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "load": load,
        "seconds": given.seconds,
        "rounds": given.rounds,
        "servers": [measured.as_json() for measured in found],
    }
    given.json.write_text(json.dumps(told, indent=1) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    names = [contender.name for contender in CONTENDERS]
    parser.add_argument("--peers", nargs="+", default=names, choices=names, metavar="NAME", help="; ".join(names))
    parser.add_argument("--json", type=Path, default=RESULTS, help="where the figures go")
    return parser.parse_args()


if __name__ == "__main__":
    main()
