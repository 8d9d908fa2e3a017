"""FLAML as a contender; runs in an environment of its own: `python flaml_peer.py FOLDER SECONDS SEED`.

Reads `train.pkl`, `test.pkl` (features as pandas) and `task.json`; writes `answers.npy` and `told.json`.
"""

import json
import pickle
import sys
import time
from pathlib import Path

import numpy as np
from flaml import AutoML


def main(folder: Path, seconds: float, seed: int) -> None:
    """Search, refit and answer."""
    task = json.loads((folder / "task.json").read_text())
    train, y = pickle.loads((folder / "train.pkl").read_bytes())
    test = pickle.loads((folder / "test.pkl").read_bytes())
    automl = AutoML()
    log = folder / "flaml.log"
    started = time.monotonic()
    automl.fit(
        train,
        y,
        task="regression" if task["metric"] == "rmse" else "classification",
        metric=task["metric"],
        time_budget=seconds,
        seed=seed,
        n_jobs=task["cores"],
        log_file_name=str(log),
        log_type="all",
        verbose=0,
    )
    whole = time.monotonic() - started
    records = [json.loads(line) for line in log.read_text().splitlines()]
    searched = max((record["wall_clock_time"] for record in records if "wall_clock_time" in record), default=whole)
    answers = automl.predict(test) if task["metric"] == "rmse" else automl.predict_proba(test)
    np.save(folder / "answers.npy", np.asarray(answers, dtype=np.float64))
    (folder / "told.json").write_text(json.dumps({"seconds": searched, "model": str(automl.best_estimator)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
