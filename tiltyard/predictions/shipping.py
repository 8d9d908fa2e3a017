"""Sealed segments become Parquet in the store, once: the same segment always gives the same objects."""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from tiltyard.errors import StorageError
from tiltyard.predictions.files import DAMAGED, flush_folder, held, sealed_segments
from tiltyard.predictions.parts import Part, read_segment
from tiltyard.storage.base import Store


class Shipment(NamedTuple):
    """What was shipped.

    Attributes:
        segments: Segments that are in the store now, and gone from here.
        objects: Objects that hold them.
        rows: Rows in these.
        damaged: Lines that could not be read, and are put aside.
    """

    segments: int = 0
    objects: int = 0
    rows: int = 0
    damaged: int = 0

    def __add__(self, other: "Shipment") -> "Shipment":  # type: ignore[override]
        return Shipment(*(one + more for one, more in zip(self, other, strict=True)))


def ship(folder: Path, store: Store) -> Iterator[Shipment]:
    """Ship what is sealed, the oldest first; a segment that cannot be read does not hold up the others.

    Args:
        folder: Folder of the segments; need not be there.
        store: Where they go.

    Yields:
        What was shipped, segment by segment.

    Raises:
        StorageError: The store cannot be reached, is full or refuses; the segment stays for the next time.
        OSError: A segment cannot be read, or what is damaged of it cannot be put aside; raised after the others.
    """
    trouble: Exception | None = None
    for path in sealed_segments(folder):
        try:
            shipment = ship_segment(path, store)
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever is wrong with one segment is told when the others are away
            trouble = trouble or error
            continue
        if shipment is not None:
            yield shipment
    if trouble is not None:
        raise trouble


def ship_segment(path: Path, store: Store) -> Shipment | None:
    """Ship a sealed segment and remove it.

    An object's name follows from the segment's, and its content from the segment's content, so that a second shipment
    writes the same once more. The segment is removed last: whoever dies before has lost nothing.

    Args:
        path: The sealed segment.
        store: Where it goes.

    Returns:
        What was shipped; None when somebody else ships it.

    Raises:
        StorageError: The store cannot be reached, is full or refuses; the segment stays.
        OSError: The segment cannot be read, or what is damaged of it cannot be put aside.
    """
    with held(path) as descriptor:
        if descriptor is None:
            return None
        with os.fdopen(os.dup(descriptor), "rb") as lines:
            contents = read_segment(lines)
        uploads = [_upload(part, path.stem, store) for part in contents.parts]
        damaged = contents.damaged + [line for upload in uploads for line in upload.damaged]
        if damaged:
            _put_aside(path.with_suffix(DAMAGED), damaged)
        path.unlink()
        rows = [upload.rows for upload in uploads]
        return Shipment(1, sum(map(bool, rows)), sum(rows), len(damaged))


def parquet_bytes(table: pa.Table) -> bytes:
    """Return a table as a Parquet file."""
    file = io.BytesIO()
    ids = {"id", "request", "key"}
    words = [field.name for field in table.schema if field.type == pa.string() and field.name not in ids]
    pq.write_table(table, file, compression="zstd", use_dictionary=words, write_statistics=["time"])
    return file.getvalue()


class _Upload(NamedTuple):
    """Rows of an object, and the lines that could not become any."""

    rows: int
    damaged: list[bytes]


def _upload(part: Part, segment: str, store: Store) -> _Upload:
    """Write one object."""
    table, damaged = part.table()
    if table is None:
        return _Upload(0, damaged)
    store.write(part.key(segment), parquet_bytes(table))
    return _Upload(table.num_rows, damaged)


def _put_aside(target: Path, lines: list[bytes]) -> None:
    """Keep what cannot be read, for a person: all of it is there before its segment goes."""
    with NamedTemporaryFile(dir=target.parent, prefix=".", delete=False) as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).replace(target)
    flush_folder(target.parent)
