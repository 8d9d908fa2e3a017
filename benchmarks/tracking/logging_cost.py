"""What logging and registering a training run costs beyond fitting, in seconds of wall time.

    python benchmarks/tracking/logging_cost.py [--trials 60] [--server]

A run as `tiltyard train` leaves it (parameters, metrics, dataset, plots, card, a child run per trial), and a version
with bundle, signature, input example and evidence. The target is 3 s for everything together; opening a database that
does not exist yet is done once per project and shown apart.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.project.metrics import Task
from tiltyard.registry.client import Registry
from tiltyard.registry.models import download_bundle, set_alias
from tiltyard.registry.records import CHAMPION, ChildRun
from tiltyard.registry.registration import Submission, register_version
from tiltyard.registry.requirements import git_tags
from tiltyard.registry.signature import DatasetFacts
from tiltyard.registry.tracking import RunContent, log_run

TARGET_SECONDS = 3.0
ROOT = Path(__file__).parents[2]
FEATURES = [f"x{number}" for number in range(20)]
MODELS = {
    "logistic regression": LogisticRegression(),
    "boosting, 100 rounds": HistGradientBoostingClassifier(),
    "forest, 300 trees": RandomForestClassifier(300, min_samples_leaf=5, n_jobs=1),
}

R = TypeVar("R")


def main() -> int:
    """Measure every model and print one table; returns 1 when the target is missed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trials", type=int, default=60)
    arguments.add_argument("--server", action="store_true", help="through an MLflow server instead of SQLite")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name, opened(Path(name), server=given.server) as registry:
        print(f"{'model':<22}{'run':>8}{'version':>9}{'alias':>8}{'all':>8}{'cpu':>8}{'download':>10}   seconds")
        worst = max(measure(registry, Path(name), model, given.trials) for model in MODELS)
    print(
        f"worst {worst:.2f} s, target {TARGET_SECONDS:.0f} s; {given.trials} trials, load {machine_load():.1f} a core"
    )
    return int(worst > TARGET_SECONDS)


def measure(registry: Registry, folder: Path, name: str, trials: int) -> float:
    """Log one model, print a line and return the seconds of logging, registering and moving an alias."""
    frame, contract = table()
    model = MODELS[name].fit(frame[FEATURES], frame["y"])
    work = folder / name
    project = "".join(letter for letter in name if letter.isalpha())
    content = run_content(work, contract, trials)
    processor = time.process_time()
    run_seconds, tracked = timed(lambda: log_run(registry, project, "key", content, name="training"))
    submission = Submission(
        project, "key", model, contract, frame, work / "bundle", tags={"tiltyard.verdict": "promote"}
    )
    version_seconds, ref = timed(lambda: register_version(registry, tracked, submission))
    alias_seconds, _ = timed(lambda: set_alias(registry, ref, CHAMPION))
    processor = time.process_time() - processor
    download_seconds, _ = timed(lambda: download_bundle(registry, ref, work / "copy"))
    total = run_seconds + version_seconds + alias_seconds
    print(
        f"{name:<22}{run_seconds:>8.2f}{version_seconds:>9.2f}{alias_seconds:>8.2f}{total:>8.2f}"
        f"{processor:>8.2f}{download_seconds:>10.2f}"
    )
    return total


def table() -> tuple[pd.DataFrame, Contract]:
    """Return 5,000 rows of 20 numbers and a binary target, with their contract."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(5000, len(FEATURES))), columns=FEATURES)
    frame["y"] = (frame["x0"] + rng.normal(size=5000) > 0).astype("int64")
    columns = [Column(name=name, kind=Kind.NUMBER) for name in FEATURES]
    target = Column(name="y", kind=Kind.INTEGER, role=Role.TARGET)
    return frame, Contract(task=Task.BINARY, columns=(*columns, target), classes=(0, 1))


def run_content(work: Path, contract: Contract, trials: int) -> RunContent:
    """Return what a training run leaves: six plots, a card of 300 KB, a bundle of 2 MB."""
    (work / "plots").mkdir(parents=True)
    for number in range(6):
        (work / "plots" / f"{number}.png").write_bytes(os.urandom(40_000))
    (work / "card.html").write_text("x" * 300_000)
    (work / "bundle").mkdir()
    (work / "bundle" / "model.onnx").write_bytes(os.urandom(2_000_000))
    parameters: dict[str, str | int | float | bool | None] = {f"p{number}": number * 0.1 for number in range(8)}
    children = [
        ChildRun(name=f"{number:04d}", parameters=parameters, metrics={"roc_auc": 0.9, "seconds": 1.0}, seconds=1.0)
        for number in range(trials)
    ]
    return RunContent(
        params={f"config.{number}": number for number in range(30)},
        metrics={f"metric_{number}": 0.5 for number in range(20)},
        tags=git_tags(ROOT),
        dataset=DatasetFacts(name="table", uri="table.csv", fingerprint="f" * 16, rows=5000, columns=21),
        contract=contract,
        artifacts={"plots": work / "plots", "card.html": work / "card.html"},
        children=children,
        description="A benchmark.",
    )


@contextmanager
def opened(folder: Path, *, server: bool) -> Iterator[Registry]:
    """Open MLflow on SQLite, or behind the project's own server."""
    database = f"sqlite:///{folder / 'mlflow.db'}"
    if not server:
        seconds, registry = timed(lambda: Registry(database, artifact_root=(folder / "artifacts").as_uri()))
        print(f"a new database: {seconds:.2f} s, once per project")
        yield registry
        return
    settings = {"MLFLOW_PORT": "5099", "MLFLOW_BACKEND_STORE_URI": database, "PYTHON": sys.executable}
    environment = os.environ | settings | {"MLFLOW_ARTIFACTS_DESTINATION": str(folder / "artifacts")}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [str(ROOT / "mlflow" / "start")], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until_healthy("http://127.0.0.1:5099/health")
        yield Registry("http://127.0.0.1:5099")
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def wait_until_healthy(url: str) -> None:
    """Wait up to three minutes for a server."""
    for _ in range(360):
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise SystemExit(f"{url} did not answer")


def timed(work: Callable[[], R]) -> tuple[float, R]:
    """Return the seconds that something takes, and what it returns."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def machine_load() -> float:
    """Return the runnable processes per core; above 1 the wall times are upper bounds."""
    return os.getloadavg()[0] / (os.cpu_count() or 1)


if __name__ == "__main__":
    sys.exit(main())
