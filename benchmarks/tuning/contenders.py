"""The contenders: each searches for a number of seconds, is refit outside the budget, and answers for the test rows."""

import json
import os
import pickle
import subprocess
import tempfile
import time
import venv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score

from benchmarks.tuning.tables import Duel
from tiltyard.bundle.model import Predictions
from tiltyard.evaluation.metrics import score
from tiltyard.project.model import SearchSection
from tiltyard.training.family import predict
from tiltyard.training.fit import fit_found
from tiltyard.training.problem import Problem
from tiltyard.training.tuner import search

FLAML = "flaml[automl]==2.7.0"
FLAML_HOME = Path(".tiltyard/bench/flaml")
SCORERS = {"roc_auc": "roc_auc", "accuracy": "accuracy", "rmse": "neg_root_mean_squared_error"}


@dataclass(frozen=True)
class Told:
    """What a contender reached.

    Attributes:
        score: Metric on the held-out quarter.
        seconds: Wall time of its search.
        model: What it chose.
    """

    score: float
    seconds: float
    model: str


def run_tiltyard(duel: Duel, seconds: float, seed: int) -> Told:
    """Search with the race, on five folds of the training rows."""
    kind = StratifiedKFold if duel.classes else KFold
    folds = kind(5, shuffle=True, random_state=seed).split(duel.train, duel.y[duel.train] if duel.classes else None)
    problem = Problem(
        task=duel.table.task,
        matrix=duel.matrix,
        y=duel.y,
        features=duel.features,
        classes=duel.classes,
        folds=tuple((duel.train[train], duel.train[valid]) for train, valid in folds),
        metric=duel.table.metric,
        seed=seed,
    )
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        result = search(problem, SearchSection(seconds=seconds, seed=seed), Path(folder))
        searched = time.monotonic() - started
    model = fit_found(problem, result, duel.train)
    answers = predict(model, duel.matrix[duel.test], duel.classes)
    return Told(score(duel.table.metric, duel.y[duel.test], answers), searched, result.family)


def run_optuna(duel: Duel, seconds: float, seed: int) -> Told:
    """Search with plain Optuna: TPE over HistGradientBoosting, five-fold cross-validation, all cores in each fit."""
    X, y = duel.matrix[duel.train], duel.y[duel.train]
    kind = HistGradientBoostingClassifier if duel.classes else HistGradientBoostingRegressor

    def objective(trial: optuna.Trial) -> float:
        return float(np.mean(cross_val_score(kind(**suggest(trial)), X, y, cv=5, scoring=SCORERS[duel.table.metric])))

    def suggest(trial: optuna.Trial) -> dict[str, float]:
        return {
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "max_iter": trial.suggest_int("max_iter", 50, 500, log=True),
            "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 8, 255, log=True),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, 100, log=True),
            "l2_regularization": trial.suggest_float("l2_regularization", 1e-6, 10.0, log=True),
            "max_features": trial.suggest_float("max_features", 0.3, 1.0),
            "random_state": seed,
        }

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    started = time.monotonic()
    study.optimize(objective, timeout=seconds)
    searched = time.monotonic() - started
    model = kind(**study.best_params, random_state=seed).fit(X, y)
    answers = predict(model, duel.matrix[duel.test], duel.classes)
    return Told(score(duel.table.metric, duel.y[duel.test], answers), searched, f"boosting of {len(study.trials)}")


def run_flaml(duel: Duel, seconds: float, seed: int) -> Told:
    """Search with FLAML in its own environment, on a pandas frame with categories."""
    task = {"metric": duel.table.metric, "cores": os.cpu_count() or 1}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "task.json").write_text(json.dumps(task))
        (folder / "train.pkl").write_bytes(pickle.dumps((duel.frame.iloc[duel.train], duel.y[duel.train])))
        (folder / "test.pkl").write_bytes(pickle.dumps(duel.frame.iloc[duel.test]))
        script = Path(__file__).with_name("flaml_peer.py")
        command = [str(flaml_python()), str(script), name, str(seconds), str(seed)]
        subprocess.run(command, check=True, capture_output=True, text=True)
        told = json.loads((folder / "told.json").read_text())
        answers = np.load(folder / "answers.npy")
    given = Predictions(probabilities=answers) if duel.classes else Predictions(values=answers)
    return Told(score(duel.table.metric, duel.y[duel.test], given), told["seconds"], told["model"])


def flaml_python() -> Path:
    """Return the interpreter of FLAML's environment, made at first use."""
    python = FLAML_HOME.resolve() / "bin" / "python"
    if not (FLAML_HOME / "ready").exists():
        venv.create(FLAML_HOME, with_pip=True, clear=True)
        # pandas as here, so that frames can be handed over; xgboost and LightGBM come with the extra
        subprocess.run([str(python), "-m", "pip", "install", "-q", FLAML, "pandas<3"], check=True)
        (FLAML_HOME / "ready").touch()
    return python


CONTENDERS = {"tiltyard": run_tiltyard, "flaml": run_flaml, "optuna": run_optuna}
