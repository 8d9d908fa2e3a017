"""Small typed tables with their contract and project, for the tests of checks, splits and reports."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from tiltyard.data.contract import Column, Contract, Kind, Role
from tiltyard.data.schema import DTYPES
from tiltyard.project.metrics import Task
from tiltyard.project.model import Project


def column(name: str, kind: str = "number", role: str = "feature", **promises: Any) -> Column:
    return Column(name=name, kind=Kind(kind), role=Role(role), **promises)


def contract_of(*columns: Column, task: str = "binary", classes: tuple[Any, ...] = ()) -> Contract:
    return Contract(task=Task(task), columns=columns, classes=classes)


def frame_of(contract: Contract, values: Mapping[str, Iterable[Any]]) -> pd.DataFrame:
    kinds = {one.name: one.kind for one in contract.columns}
    typed: dict[str, Any] = {}
    for name, given in values.items():
        dtype: Any = DTYPES[kinds[name]]
        typed[name] = pd.Series(list(given), dtype=dtype)
    return pd.DataFrame(typed)


def project_of(task: str = "binary", target: str = "y", **sections: dict[str, Any]) -> Project:
    data = {"source": "table.csv", "target": target, **sections.pop("data", {})}
    return Project.model_validate({"name": "test", "task": {"kind": task}, "data": data, **sections})


def simple_contract(*more: Column, task: str = "binary") -> Contract:
    kind = "number" if task == "regression" else "category"
    classes = () if task == "regression" else ("no", "yes")
    features = (column("a"), column("b", "category", nullable=True))
    return contract_of(*features, *more, column("y", kind, "target"), task=task, classes=classes)


def simple_frame(contract: Contract, rows: int = 400, seed: int = 0, **more: Iterable[Any]) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=rows)
    b = rng.choice(np.array(["u", "v", "w", None], dtype=object), size=rows)
    noisy = a + rng.normal(size=rows)
    y = noisy if not contract.task.is_classification else np.where(noisy > 0, "yes", "no")
    return frame_of(contract, {"a": a, "b": b, **more, "y": y})
