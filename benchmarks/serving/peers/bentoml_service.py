"""A BentoML service over the same pipeline; `BATCHING=1` turns its adaptive batching on."""

import os
from pathlib import Path
from typing import Any

import bentoml  # type: ignore[import-not-found]  # in an environment of its own
import joblib
import pandas as pd

BATCHING = os.environ.get("BATCHING") == "1"


@bentoml.service(workers=1, traffic={"timeout": 60})
class Shop:
    """The model."""

    def __init__(self) -> None:
        self.model = joblib.load(Path(os.environ["MODEL_FOLDER"]) / "model.joblib")

    @bentoml.api(batchable=BATCHING, max_batch_size=256, max_latency_ms=1000)  # type: ignore[untyped-decorator]
    def predict(self, rows: list[dict[str, Any]]) -> list[float]:
        """Answer the probability of each row."""
        table = pd.DataFrame(rows)
        numbers = [str(name) for name in table if str(name).startswith("number")]
        table[numbers] = table[numbers].astype(float)
        answers: list[float] = self.model.predict_proba(table)[:, 1].tolist()
        return answers
