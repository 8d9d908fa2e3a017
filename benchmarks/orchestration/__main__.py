"""What orchestration costs: the same training as a plain script, as a flow, on the full stack, and by its worker.

    python -m benchmarks.orchestration [--seconds 60] [--rounds 3]

Each training is a process of its own, from its start to its end, with a search of fixed wall time on 5,000 rows, and
makes a project's first champion; before the first round every way has a short training to warm up. On the stack, the
trigger is a call of Prefect's API, as the form in its UI makes it; "first task" is when the first step begins.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tiltyard.project.addresses import Addresses, read_addresses

SCRIPT = Path(__file__).with_name("script.py")
TARGETS = (5.0, 20.0, 15.0)
"""Most seconds and per cent over the script, and most seconds from trigger to first task."""


@dataclass(frozen=True)
class Way:
    """One way to run a training.

    Attributes:
        title: What the table calls it.
        home: Home of its runs.
        words: The command before the project's folder; empty for the worker.
    """

    title: str
    home: Path
    words: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """Variables of its processes: one home for all rounds."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_"))}
        return kept | {"TILTYARD_HOME": str(self.home), "PYTHONPATH": str(Path(__file__).parents[2])}


def main() -> int:
    """Measure and print one table; returns 1 when a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="wall time of the search")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        projects = make_projects(folder, given.rounds, given.seconds)
        ways = make_ways(folder)
        with stack(ways[-1], projects) as addresses:
            measured = [measure(ways, project, addresses) for project in projects]
    return report(measured[1:])


def make_ways(folder: Path) -> tuple[Way, ...]:
    """Return the ways: the script first, the worker last; the two on the stack share its home."""
    command = (sys.executable, "-m", "tiltyard", "train", "--project")
    return (
        Way("plain script", folder / "script", (sys.executable, str(SCRIPT))),
        Way("flow, no servers", folder / "flow", command),
        Way("flow, full stack", folder / "stack", command),
        Way("worker, full stack", folder / "stack"),
    )


def make_projects(folder: Path, rounds: int, seconds: float) -> list[Path]:
    """Write a table, and a project a round for it; two for the stack's ways, and a short one to warm up."""
    table, projects = folder / "table.csv", []
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(5000, 20)), columns=[f"x{number}" for number in range(20)])
    frame["y"] = np.where(frame["x0"] + frame["x1"] ** 2 + rng.normal(size=5000) > 1, "yes", "no")
    frame.to_csv(table, index=False)
    for number in range(rounds + 1):
        for suffix in ("", "w"):
            project = folder / f"bench{number}{suffix}"
            words = ["init", str(table), "--target", "y", "--folder", str(project)]
            subprocess.run([sys.executable, "-m", "tiltyard", *words], check=True, stdout=subprocess.DEVNULL)
            search = {"seconds": seconds} if number else {"trials": 1, "families": ["linear"]}
            file = project / "tiltyard.yaml"
            content = yaml.safe_load(file.read_text()) | {"name": project.name, "search": search}
            file.write_text(yaml.safe_dump(content))
        projects.append(folder / f"bench{number}")
    return projects


@contextmanager
def stack(way: Way, projects: list[Path]) -> Iterator[Addresses]:
    """Have the full stack up; its worker trains the twins of the projects."""
    files = [str(project) + suffix for project in projects for suffix in ("", "w")]
    words = [word for file in files for word in ("--project", file)]
    tiltyard = [sys.executable, "-m", "tiltyard"]
    subprocess.run([*tiltyard, "up", "--detach", *words], env=way.environment, check=True, stdout=subprocess.DEVNULL)
    try:
        addresses = read_addresses(way.home)
        assert addresses is not None
        yield addresses
    finally:
        subprocess.run([*tiltyard, "down", "--project", files[0]], env=way.environment, check=True)


def measure(ways: tuple[Way, ...], project: Path, addresses: Addresses) -> dict[str, float]:
    """Train a project in every way; return the seconds of each, and those from trigger to first task."""
    found = {}
    for way in ways:
        began = time.perf_counter()
        if way.words:
            log = project.parent / "log.txt"
            with log.open("wb") as sink:
                command = [*way.words, str(project)]
                done = subprocess.run(command, env=way.environment, stdout=sink, stderr=sink, check=False)
            assert done.returncode == 0, log.read_text()
        else:
            found["first task"] = by_worker(f"train/{project.name}w", addresses.prefect)
        found[way.title] = time.perf_counter() - began
    print(f"{project.name}: " + ", ".join(f"{title} {seconds:.1f} s" for title, seconds in found.items()), flush=True)
    return found


def by_worker(deployment: str, api: str) -> float:
    """Let the worker train; return the seconds from the trigger to the beginning of the first task."""
    identity = ask(f"{api}/deployments/name/{deployment}")["id"]
    triggered = time.time()
    run = ask(f"{api}/deployments/{identity}/create_flow_run", {"state": {"type": "SCHEDULED"}})["id"]
    while (state := ask(f"{api}/flow_runs/{run}")["state"])["type"] in {"SCHEDULED", "PENDING", "RUNNING"}:
        time.sleep(0.25)
    assert state["type"] == "COMPLETED", state
    tasks = ask(f"{api}/task_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    return min(datetime.fromisoformat(task["start_time"]).timestamp() for task in tasks) - triggered


def ask(url: str, content: object = None) -> Any:
    """Ask Prefect's API; content makes it a POST."""
    body = None if content is None else json.dumps(content).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, {"content-type": "application/json"})) as answer:
        return json.load(answer)


def report(rounds: list[dict[str, float]]) -> int:
    """Print the medians; returns 1 when a target is missed."""
    median = {title: statistics.median(found[title] for found in rounds) for title in rounds[0]}
    first, script = median.pop("first task"), median["plain script"]
    print(f"\n{'way':<20}{'seconds':>9}{'over the script':>17}{'':>7}")
    for title, seconds in median.items():
        print(f"{title:<20}{seconds:>9.1f}{seconds - script:>15.1f} s{(seconds / script - 1) * 100:>5.0f} %")
    print(f"trigger to first task on a process worker: {first:.1f} s")
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    most_seconds, most_share, most_wait = TARGETS
    print(f"median of {len(rounds)}; load {load:.1f} a core; targets: {most_seconds:.0f} s and {most_share:.0f} % over")
    print(f"the script for the flow, {most_wait:.0f} s to the first task")
    over = max(median[title] for title in median if title.startswith("flow")) - script
    return int(over > most_seconds or over / script * 100 > most_share or first > most_wait)


if __name__ == "__main__":
    sys.exit(main())
