"""Real histories through the loop: `DATA=FOLDER python -m benchmarks.replay [--only electricity …]`.

Promises, each printed with its figures; exits with 1 when one is broken:

- *electricity* and *bike*: the mean score of Tiltyard's policy is better than never training again and not worse than
  monthly retraining, and it trains less often than weekly retraining would.
- *bank*, in the order of its calls: the shift of its answers is named.
- *adult*, shuffled over 40 made-up days: the policy trains in none of the 30 that are replayed.

Without `DATA`, the folder of the real tables, nothing is run.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from tiltyard.data.coercion import coerce
from tiltyard.data.inference import Hints, infer
from tiltyard.data.usage import in_use
from tiltyard.project.loading import parse_model
from tiltyard.project.model import Project
from tiltyard.steps.replaying.outcome import Replay
from tiltyard.steps.replaying.replay import Plan, as_first_seen, replay


@dataclass(frozen=True)
class History:
    """One table, how it is replayed, and what is promised of it.

    Attributes:
        name: Its name.
        read: Reads it as raw text from the folder of the real tables.
        target: The column to predict.
        hints: What a person knows of the columns.
        plan: How it is replayed.
        promises: Returns each promise with whether it was kept.
        project: Keys of the project file, beside those that are guessed.
    """

    name: str
    read: Callable[[Path], pd.DataFrame]
    target: str
    hints: Hints
    plan: Plan
    promises: Callable[[Replay], Iterator[tuple[str, bool]]]
    project: dict[str, Any] = field(default_factory=dict)


def _csv(file: Path, separator: str = ",") -> pd.DataFrame:
    return pd.read_csv(file, sep=separator, dtype=str, keep_default_na=False)


def _spread(frame: pd.DataFrame, start: str, end: str) -> pd.DataFrame:
    """Give rows times of equal distance."""
    times = pd.Series(pd.date_range(start, end, periods=len(frame)))
    return frame.assign(moment=times.dt.strftime("%Y-%m-%dT%H:%M:%S").to_numpy())


def _bank(data: Path) -> pd.DataFrame:
    return _spread(_csv(data / "bank_additional_full.csv.gz", ";"), "2008-05-01", "2010-11-30")


def _adult(data: Path) -> pd.DataFrame:
    parts = [_csv(data / name) for name in ("adult_train.csv.gz", "adult_test.csv.gz")]
    mixed = pd.concat(parts, ignore_index=True).sample(frac=1.0, random_state=1).reset_index(drop=True)
    return _spread(mixed, "2026-01-01", "2026-02-10")


def _pays(found: Replay) -> Iterator[tuple[str, bool]]:
    over_never, over_monthly = found.gain("policy"), found.gain("policy", over="monthly")
    weeks = int((found.end - found.start) / timedelta(days=7))
    yield "better than never", over_never is not None and over_never > 0
    yield "not worse than monthly", over_monthly is not None and over_monthly >= 0
    yield f"fewer than {weeks} retrainings", len(found.track("policy").retrainings) < weeks


def _names_the_shift(found: Replay) -> Iterator[tuple[str, bool]]:
    answers = ("prediction", "probability_")
    named = [one for one in found.track("policy").decisions if any(name.startswith(answers) for name in one.columns)]
    said = [one for one in found.track("policy").decisions if one.evidence]
    yield f"answers named as drifted in {len(named)} windows", bool(named)
    yield f"evidence of harm in {len(said)} windows", bool(said)


def _leaves_alone(found: Replay) -> Iterator[tuple[str, bool]]:
    policy = found.track("policy")
    yield f"0 retrainings in {len(policy.windows)} days", not policy.retrainings


MOVING = {"split": {"test": 0.1, "validation": 0.1}}
"""For data that moves: the newest rows judge and are not learnt from, so they must not be the newest quarter."""

HISTORIES = (
    History(
        "electricity",
        lambda data: _csv(data / "electricity.csv.gz"),
        "class",
        Hints(time="timestamp", drop=("date",), positive="UP"),
        Plan(history="90d"),
        _pays,
        {
            "gates": {"metric": "accuracy"},
            **MOVING,
        },  # accuracy: as the literature scores it (Gama 2004; Žliobaitė 2013)
    ),
    History(
        "bike",
        lambda data: _csv(data / "bike_sharing_hourly.csv.gz"),
        "cnt",
        Hints(time="dteday", drop=("casual", "registered", "instant")),
        Plan(),
        _pays,
        MOVING,
    ),
    History(
        "bank",
        _bank,
        "y",
        Hints(time="moment", drop=("duration",), positive="yes"),
        Plan(window="14d", labels_after="14d"),
        _names_the_shift,
    ),
    History(
        "adult",
        _adult,
        "income",
        Hints(time="moment", missing=("?",), positive=">50K"),
        Plan(first=0.25, window="1d", labels_after="2d"),
        _leaves_alone,
    ),
)


def run(history: History, data: Path, plan: Plan) -> Replay:
    """Replay one history."""
    raw = history.read(data)
    guessed = infer(raw, target=history.target, name=history.name, where=history.name, hints=history.hints)
    project = parse_model(Project, _merged(guessed.project, history.project), where=history.name)
    contract = in_use(guessed.contract, project)
    frame = coerce(raw, contract, where=history.name)
    begin = frame.sort_values(str(history.hints.time), kind="stable").head(int(plan.first * len(frame)))
    return replay(frame, project, as_first_seen(contract, begin), plan, where=history.name)


def _merged(keys: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Return the keys of a project file with some others, section by section."""
    return keys | {name: {**keys.get(name, {}), **own} for name, own in more.items()}


def main() -> int:
    """Replay the histories and print a line for each strategy and promise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--trials", type=int, help="trials of one search")
    parser.add_argument("--history", help="train on the rows of this last stretch of time alone")
    parser.add_argument("--out", type=Path, help="folder for the replays as JSON")
    options = parser.parse_args()
    if "DATA" not in os.environ:
        print("DATA does not name the folder of the real tables: nothing is run.")
        return 0
    broken = 0
    for history in HISTORIES:
        if options.only and history.name not in options.only:
            continue
        plan = history.plan._replace(trials=options.trials, history=options.history or history.plan.history)
        begin = time.perf_counter()
        found = run(history, Path(os.environ["DATA"]), plan)
        for track in found.tracks:
            counts = {"retrainings": len(track.retrainings), "promotions": track.promotions, "alerts": track.alerts}
            print(json.dumps({"history": history.name, "strategy": track.strategy, found.metric: track.mean, **counts}))
        for promise, kept in history.promises(found):
            print(f"{history.name}: {promise}: {'kept' if kept else 'BROKEN'}", flush=True)
            broken += not kept
        print(f"{history.name}: {time.perf_counter() - begin:.0f} s", flush=True)
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            (options.out / f"{history.name}.json").write_text(found.model_dump_json(indent=1), encoding="utf-8")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
