"""The same rows as each server wants them."""

import json
from collections.abc import Sequence
from typing import Any

from benchmarks.serving.request_cost import make_table

Row = dict[str, Any]

REQUESTS = 200
BATCHES = 20


def make_rows(count: int) -> list[Row]:
    """Return rows as JSON has them: missing values are null."""
    table = make_table(count)
    rows: list[Row] = []
    for at in range(count):
        cells = {name: values[at] for name, values in table.items()}
        rows.append({name: None if value is None or value != value else value for name, value in cells.items()})  # noqa: PLR0124  # NaN
    return rows


def row_list(rows: Sequence[Row]) -> Any:
    """As Tiltyard, BentoML and the hand-written servers want them."""
    return {"rows": rows}


def split(rows: Sequence[Row]) -> Any:
    """As MLflow wants them."""
    columns = list(rows[0])
    return {"dataframe_split": {"columns": columns, "data": [list(row.values()) for row in rows]}}


def tensors(rows: Sequence[Row]) -> Any:
    """As MLServer wants a table: one tensor a column. JSON has no null there: 0 and "missing" stand for it."""
    inputs = []
    for name in rows[0]:
        words = name.startswith("category")
        data = [("missing" if words else 0.0) if row[name] is None else row[name] for row in rows]
        kind, parameters = ("BYTES", {"content_type": "str"}) if words else ("FP64", {"content_type": "np"})
        inputs.append({"name": name, "shape": [len(rows), 1], "datatype": kind, "data": data, "parameters": parameters})
    outputs = [{"name": "predict_proba"}]
    return {"parameters": {"content_type": "pd"}, "inputs": inputs, "outputs": outputs}


def request(path: str, content: Any) -> bytes:
    """Return a whole HTTP request."""
    body = json.dumps(content).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body
