"""Labels that arrive late, in parts, in any order and more than once: one a prediction is in force."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tiltyard.data.row_keys import Hashes, text_hashes
from tiltyard.predictions.columns import KIND_TYPES, MOMENT, canonical
from tiltyard.predictions.record import Label

_FIRST_ROW = "-0"
_FEWEST = 100_000
"""Labels that wait at least before they are merged."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    give the same. They are kept as columns, and merged whenever as many wait as are merged already.
    """

    def __init__(self) -> None:
        self._types: set[Any] = set()
        self._texts: list[str] = []
        self._numbers: dict[str, int] = {}
        self._waiting: list[_Part] = []
        self._count = 0
        self._merged = _NONE

    def __len__(self) -> int:
        return len(self._all().times)

    def __iter__(self) -> Iterator[tuple[str, Known]]:
        """Yield prediction ids with what is known of them, sorted."""
        part = self._all()
        names = part.ids.to_pylist()
        for place in sorted(range(len(names)), key=names.__getitem__):
            yield names[place], _known(part, place, self._texts)

    def get(self, prediction: str) -> Known | None:
        """Return what is known of a prediction.

        Args:
            prediction: Its id.
        """
        part = self._all()
        (place,) = part.places(pa.array([prediction], pa.string())).tolist()
        return None if place < 0 else _known(part, place, self._texts)

    def add(self, batch: pa.RecordBatch) -> None:
        """Merge labels that arrived.

        Args:
            batch: Columns `id`, `label` and `time`; an id that names a request stands for its row 0.
        """
        self._types.add(batch.schema.field("label").type)
        ids = batch.column("id").cast(pa.string())
        ids = pc.if_else(pc.match_substring(ids, "-"), ids, pc.binary_join_element_wise(ids, _FIRST_ROW, ""))
        times = batch.column("time").cast(MOMENT).cast(pa.int64()).to_numpy(zero_copy_only=False)
        seed = self._merged.seed
        self._waiting.append(_Part(ids, times, self._codes(batch.column("label")), text_hashes(ids, seed), seed))
        self._count += len(times)
        if self._count > max(_FEWEST, len(self._merged.times)):
            self._all()

    def beside(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return predictions with the columns `label` and `label_time`.

        Args:
            batch: Predictions with their `id`.
        """
        part = self._all()
        places = part.places(batch.column("id").cast(pa.string()))
        here = places >= 0
        codes, times = np.full(len(places), -1), np.zeros(len(places), np.int64)
        codes[here], times[here] = part.codes[places[here]], part.times[places[here]]
        moments = pa.array(times, pa.int64(), mask=~here).cast(MOMENT)
        return batch.append_column("label", self._labels(codes)).append_column("label_time", moments)

    def _codes(self, labels: Any) -> NDArray[np.int64]:
        """Return the number of each label's text."""
        packed = labels.dictionary_encode(null_encoding="encode")
        numbers = np.array([self._number(canonical(label)) for label in packed.dictionary.to_pylist()], np.int64)
        places: NDArray[np.int64] = packed.indices.to_numpy(zero_copy_only=False)
        return numbers[places]

    def _number(self, text: str) -> int:
        number = self._numbers.setdefault(text, len(self._texts))
        if number == len(self._texts):
            self._texts.append(text)
        return number

    def _labels(self, codes: NDArray[np.int64]) -> Any:
        """Return labels by the numbers of their texts, null for -1: of their type, as text when they are of several."""
        used, places = np.unique(codes, return_inverse=True)
        found = [None if code < 0 else json.loads(self._texts[code]) for code in used.tolist()]
        one = len(self._types) == 1
        kind = next(iter(self._types)) if one else KIND_TYPES["text"]
        values = found if one else [label if label is None else _text(label) for label in found]
        return pa.array(values, kind).take(pa.array(places))

    def _all(self) -> "_Part":
        """Return the labels in force, merging those that wait."""
        if self._waiting:
            self._merged = _in_force([self._merged, *self._waiting], self._texts)
            self._waiting, self._count = [], 0
        return self._merged


class _Part(NamedTuple):
    """Labels by column.

    Attributes:
        ids: Of the predictions.
        times: When they were known, microseconds since 1970.
        codes: Number of each label's text.
        hashes: Hashes of the ids; ascending once they are merged.
        seed: Seed of the hashes, under which no two of these ids collide.
    """

    ids: pa.StringArray
    times: NDArray[np.int64]
    codes: NDArray[np.int64]
    hashes: Hashes
    seed: int

    def places(self, ids: pa.StringArray) -> NDArray[np.int64]:
        """Return where the labels of some predictions are, -1 for none."""
        if len(self.hashes) == 0:
            return np.full(len(ids), -1)
        hashes = text_hashes(ids, self.seed)
        order = np.argsort(hashes)  # neighbours are found where the last one was: in the cache
        places = np.empty(len(order), np.int64)
        places[order] = np.minimum(np.searchsorted(self.hashes, hashes[order]), len(self.hashes) - 1)
        places = np.where(self.hashes[places] == hashes, places, -1)
        found = np.flatnonzero(places >= 0)
        same = pc.equal(self.ids.take(pa.array(places[found])), ids.take(pa.array(found)))
        places[found[~same.to_numpy(zero_copy_only=False)]] = -1
        return places


_NONE = _Part(pa.array([], pa.string()), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.uint64), 0)


def _in_force(parts: Sequence[_Part], texts: Sequence[str]) -> _Part:
    """Return one label a prediction: the latest, and of those of one moment the one with the greatest text."""
    ids = pa.concat_arrays([part.ids for part in parts])
    times, codes, hashes = (np.concatenate(arrays) for arrays in zip(*(part[1:4] for part in parts), strict=True))
    seed = parts[0].seed
    order = np.argsort(hashes)
    same = hashes[order[1:]] == hashes[order[:-1]]
    if same.any():
        order = np.lexsort((times, hashes))
    one, other = (order[:-1][same], order[1:][same])
    if not pc.all(pc.equal(ids.take(pa.array(one)), ids.take(pa.array(other))), min_count=0).as_py():
        return _in_force([_Part(ids, times, codes, text_hashes(ids, seed + 1), seed + 1)], texts)
    if ((times[one] == times[other]) & (codes[one] != codes[other])).any():
        ranks = np.argsort(sorted(range(len(texts)), key=texts.__getitem__))
        order = np.lexsort((ranks[codes], times, hashes))
    last = order[np.append(~same, np.ones(min(len(order), 1), np.bool_))]
    return _Part(ids.take(pa.array(last)), times[last], codes[last], hashes[last], seed)


def _known(part: _Part, place: int, texts: Sequence[str]) -> Known:
    text = texts[int(part.codes[place])]
    return Known(_EPOCH + timedelta(microseconds=int(part.times[place])), text, json.loads(text))


def _text(label: Label) -> str:
    return label if isinstance(label, str) else canonical(label)
