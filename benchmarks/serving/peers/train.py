"""Fits the table in `table.json` as most teams would, in the environment that serves it: `python train.py FOLDER`.

Writes `model.joblib`, and `mlflow-model` too where MLflow is installed.
"""

import importlib.util
import json
import sys
from pathlib import Path

import joblib
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def fit(folder: Path) -> Pipeline:
    """Return impute + scale + one-hot + logistic regression, fitted."""
    told = json.loads((folder / "table.json").read_text())
    table = pd.DataFrame(told["rows"])
    categories = [str(name) for name in table if str(name).startswith("category")]
    table[categories] = table[categories].astype(object).fillna("missing")
    numbers = [str(name) for name in table if str(name).startswith("number")]
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), numbers),
            ("categories", _categories(), categories),
        ]
    )
    return make_pipeline(prepare, LogisticRegression(max_iter=1_000)).fit(table, told["target"])


def _categories() -> Pipeline:
    imputer = SimpleImputer(strategy="constant", fill_value="missing", missing_values=None)
    return make_pipeline(imputer, OneHotEncoder(handle_unknown="ignore"))


def main(folder: Path) -> None:
    """Fit and write."""
    model = fit(folder)
    joblib.dump(model, folder / "model.joblib")
    if importlib.util.find_spec("mlflow"):
        import mlflow.sklearn  # noqa: PLC0415  # one environment alone has it

        requirements = ["scikit-learn==1.9.1"]
        mlflow.sklearn.save_model(
            model,
            folder / "mlflow-model",
            pip_requirements=requirements,
            serialization_format="cloudpickle",
            pyfunc_predict_fn="predict_proba",
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
