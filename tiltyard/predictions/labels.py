"""Labels that arrive late, in parts, in any order and more than once: one a prediction is in force."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import pyarrow as pa

from tiltyard.predictions.columns import KIND_TYPES, MOMENT, canonical
from tiltyard.predictions.record import Label

_FIRST_ROW = "-0"


class Known(NamedTuple):
    """What is known of one prediction; of two the greater is in force.

    Attributes:
        time: When it was known.
        text: The label as text, which decides between labels of one moment, whoever arrived first.
        label: The label.
    """

    time: datetime
    text: str
    label: Label


class Labels:
    """The labels in force, by prediction id (`{request}-{row}`).

    Labels are merged by a maximum, which is commutative, associative and idempotent: any order, parts and repetition
    give the same.
    """

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._types: set[Any] = set()

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> Iterator[tuple[str, Known]]:
        """Yield prediction ids with what is known of them, sorted."""
        yield from sorted(self._known.items())

    def get(self, prediction: str) -> Known | None:
        """Return what is known of a prediction.

        Args:
            prediction: Its id.
        """
        return self._known.get(prediction)

    def add(self, batch: pa.RecordBatch) -> None:
        """Merge labels that arrived.

        Args:
            batch: Columns `id`, `label` and `time`.
        """
        self._types.add(batch.schema.field("label").type)
        rows = (batch.column(name).to_pylist() for name in ("id", "label", "time"))
        for prediction, label, time in zip(*rows, strict=True):
            self.put(prediction, label, time)

    def put(self, prediction: str, label: Label, time: datetime) -> None:
        """Merge one label.

        Args:
            prediction: Id of the prediction; that of a request stands for its row 0.
            label: What was true.
            time: When it was known.
        """
        name = prediction if "-" in prediction else prediction + _FIRST_ROW
        known = Known(time, canonical(label), label)
        before = self._known.get(name)
        if before is None or known[:2] > before[:2]:
            self._known[name] = known

    def beside(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return predictions with the columns `label` and `label_time`.

        Args:
            batch: Predictions with their `id`.
        """
        found = [self._known.get(prediction) for prediction in batch.column("id").to_pylist()]
        one = self._types.pop() if len(self._types) == 1 else None
        kind = one or KIND_TYPES["text"]
        if one is not None:
            self._types.add(one)
        labels = [None if known is None else known.label if one else _text(known.label) for known in found]
        times = [None if known is None else known.time for known in found]
        return batch.append_column("label", pa.array(labels, kind)).append_column("label_time", pa.array(times, MOMENT))


def _text(label: Label) -> str:
    return label if isinstance(label, str) else canonical(label)
