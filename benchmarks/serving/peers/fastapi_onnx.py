"""FastAPI and ONNX Runtime, by somebody who cares: grouped inputs, one thread, no pandas. Run by uvicorn."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(str(Path(os.environ["MODEL_FOLDER"]) / "model.onnx"), options)
app = FastAPI()
NUMBERS = [f"number{at}" for at in range(8)]
CATEGORIES = [f"category{at}" for at in range(6)]


class Row(BaseModel):
    """One row."""

    model_config = ConfigDict(extra="ignore")
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
async def predict(body: Rows) -> dict[str, Any]:
    """Answer the probability of each row."""
    numbers = np.array([[getattr(row, name) for name in NUMBERS] for row in body.rows], dtype=np.float32)
    categories = np.array([[getattr(row, name) or "missing" for name in CATEGORIES] for row in body.rows], dtype=object)
    _, probabilities = session.run(None, {"numbers": numbers, "categories": categories})
    return {"probabilities": probabilities[:, 1].tolist()}
