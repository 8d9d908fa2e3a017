"""Labels by column: what the simplest merge of one by one gives, whatever collides."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiltyard.data.row_keys import Hashes, text_hashes
from tiltyard.predictions import labels
from tiltyard.predictions.columns import MOMENT, canonical
from tiltyard.predictions.labels import Known, Labels

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TYPES: dict[str, tuple[Any, Any]] = {
    "texts": (st.sampled_from(["no", "yes", "ä", ""]), pa.string()),
    "numbers": (st.sampled_from([0.1, 1.0, -2.5, 1e300]), pa.float64()),
    "integers": (st.sampled_from([0, 1, -7]), pa.int64()),
    "booleans": (st.booleans(), pa.bool_()),
}
Part = tuple[str, list[tuple[str, Any, int]]]

ids = st.sampled_from(["a", "a-0", "a-1", "b-0", "c", "d-12"])


@st.composite
def arrivals(draw: st.DrawFn) -> list[Part]:
    """Return labels that arrive in parts, each of one type."""
    kinds = draw(st.sampled_from([["texts"], ["numbers"], ["integers"], ["booleans"], list(TYPES)]))
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(kinds))
        parts.append((kind, draw(st.lists(st.tuples(ids, TYPES[kind][0], st.integers(0, 2)), min_size=1, max_size=8))))
    return parts


def batch(kind: str, rows: list[tuple[str, Any, int]]) -> pa.RecordBatch:
    names, found, times = zip(*rows, strict=True)
    moments, typed = pa.array(times, pa.int64()).cast(MOMENT), pa.array(found, TYPES[kind][1])
    return pa.RecordBatch.from_pydict({"id": pa.array(names), "label": typed, "time": moments})


def one_by_one(parts: list[Part]) -> dict[str, Known]:
    """Merge labels as slowly as can be."""
    known: dict[str, Known] = {}
    for _, rows in parts:
        for name, label, micros in rows:
            full = name if "-" in name else f"{name}-0"
            new = Known(EPOCH + timedelta(microseconds=micros), canonical(label), label)
            if full not in known or new[:2] > known[full][:2]:
                known[full] = new
    return known


def colliding(texts: pa.StringArray, seed: int = 0) -> Hashes:
    """Hash badly at first."""
    return text_hashes(texts, seed) if seed > 1 else np.array([len(text) for text in texts.to_pylist()], np.uint64)


@settings(deadline=None, max_examples=60)
@given(parts=arrivals(), collide=st.booleans(), often=st.booleans())
def test_labels_are_merged_as_one_by_one(parts: list[Part], collide: bool, often: bool) -> None:
    wanted = one_by_one(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(labels, "text_hashes", colliding if collide else text_hashes)
        patch.setattr(labels, "_FEWEST", 1 if often else 100)
        found = Labels()
        for kind, rows in parts:
            found.add(batch(kind, rows))
        assert dict(found) == wanted
        assert len(found) == len(wanted)
        assert found.get("nobody-0") is None
        asked = pa.RecordBatch.from_pydict({"id": pa.array([*wanted, "nobody-0", "x"])})
        beside = found.beside(asked).to_pylist()
    one = len({kind for kind, _ in parts}) == 1
    for row in beside:
        known = wanted.get(row["id"])
        if known is None:
            assert (row["label"], row["label_time"]) == (None, None)
            continue
        text = known.label if isinstance(known.label, str) else known.text
        assert row["label"] == (known.label if one else text)
        assert row["label_time"] == known.time


def test_no_labels_stand_beside_nothing() -> None:
    found = Labels().beside(pa.RecordBatch.from_pydict({"id": pa.array(["a-0", "b-0"])}))
    assert [row["label"] for row in found.to_pylist()] == [None, None]
    assert found.schema.field("label_time").type == MOMENT
    assert Labels().beside(found.slice(0, 0).select(["id"])).num_rows == 0
    assert list(Labels()) == []
