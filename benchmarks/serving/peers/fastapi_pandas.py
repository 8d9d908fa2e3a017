"""What most teams write: FastAPI, a pydantic model, a DataFrame, a pipeline of scikit-learn's. Run by uvicorn."""

import os
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from fastapi import FastAPI
from pydantic import BaseModel

model = joblib.load(Path(os.environ["MODEL_FOLDER"]) / "model.joblib")
app = FastAPI()


class Row(BaseModel):
    """One row."""

    number0: float | None
    number1: float | None
    number2: float | None
    number3: float
    number4: float
    number5: float
    number6: float
    number7: float
    category0: str | None
    category1: str | None
    category2: str
    category3: str
    category4: str
    category5: str


class Rows(BaseModel):
    """A request."""

    rows: list[Row]


@app.post("/predict")
def predict(body: Rows) -> dict[str, Any]:
    """Answer the probability of each row."""
    table = pd.DataFrame([row.model_dump() for row in body.rows])
    numbers = [str(name) for name in table if str(name).startswith("number")]
    table[numbers] = table[numbers].astype(float)
    return {"probabilities": model.predict_proba(table)[:, 1].tolist()}
