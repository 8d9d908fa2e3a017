"""Parquet files that lie about their size are refused before they are unpacked."""

import contextlib
import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.serving.answers import RequestError
from tiltyard.serving.protocols import parquet
from tiltyard.serving.protocols.footers import MOST_PAGES, read_footer, unpacked_bytes

TABLE = pa.table(
    {
        "number": np.arange(5000) / 7,
        "text": [f"text {row % 100}" for row in range(5000)],
        "gaps": [None if row % 3 else row for row in range(5000)],
        "lists": [[row] * (row % 4) for row in range(5000)],
    }
)


def written(table: Any, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def read(body: bytes, most_bytes: int = 1 << 24) -> tuple[dict[str, Any], int]:
    return parquet.read(body, ("number", "text", "gaps"), most_rows=10_000, most_bytes=most_bytes)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("codec", ["none", "snappy", "zstd", "gzip"])
def test_pages_say_what_the_footer_says(codec: str, version: str) -> None:
    body = written(
        TABLE,
        compression=codec,
        data_page_version=version,
        data_page_size=4096,
        row_group_size=2000,
        write_page_index=True,
    )
    metadata = pq.ParquetFile(io.BytesIO(body)).metadata
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    footer = sum(group.column(index).total_uncompressed_size for group in groups for index in range(group.num_columns))
    claimed = unpacked_bytes(body, read_footer(body))
    assert 0.8 * footer < claimed <= footer
    columns, rows = read(body)
    assert rows == 5000
    assert columns["text"] == TABLE["text"].to_pylist()
    assert columns["gaps"] == TABLE["gaps"].to_pylist()


def test_a_page_that_says_it_becomes_huge_is_not_unpacked() -> None:
    body = written(pa.table({"number": [1.5] * 100}), compression="zstd", use_dictionary=False, write_statistics=False)
    metadata = pq.ParquetFile(io.BytesIO(body)).metadata
    at = metadata.row_group(0).column(0).data_page_offset
    small = unpacked_bytes(body, read_footer(body))
    place = body.index(zigzag(small), at)
    assert place < at + 8
    with pytest.raises(RequestError, match="no Parquet file") as refused:
        read(body[:place] + zigzag(2**30)[: len(zigzag(small))] + body[place + len(zigzag(small)) :], 10_000)
    assert refused.value.http_status == 400
    grown = zigzag((1 << 7 * len(zigzag(small)) - 1) - 1)
    assert len(grown) == len(zigzag(small))
    with pytest.raises(RequestError, match="too large when unpacked") as refused:
        read(body[:place] + grown + body[place + len(grown) :], 5000)
    assert refused.value.http_status == 413


def zigzag(number: int) -> bytes:
    """Return a number of the compact form."""
    number <<= 1
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def test_a_footer_that_contradicts_itself_is_refused() -> None:
    """Arrow ends the process over it, once it is asked for the column."""
    body = written(pa.table({"number": [41.0, None], "text": ["a", "b"]}))
    nullable = b"\x25\x02\x18\x06number"
    assert nullable in body
    with contextlib.suppress(RequestError):
        assert read(body.replace(nullable, b"\x25\x00\x18\x06number"))[1] == 2


@given(st.data())
def test_a_damaged_footer_is_refused_or_read(data: st.DataObject) -> None:
    footer = int.from_bytes(WHOLE[-8:-4], "little")
    body = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        body[len(WHOLE) - 8 - data.draw(st.integers(1, footer))] ^= 1 << data.draw(st.integers(0, 7))
    with contextlib.suppress(RequestError):
        assert read(bytes(body), 1 << 20)[1] <= 10_000


def test_too_many_pages_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_PAGES > 1000
    monkeypatch.setattr("tiltyard.serving.protocols.footers.MOST_PAGES", 3)
    with pytest.raises(RequestError, match="no Parquet file"):
        read(written(TABLE, row_group_size=1000))


@given(st.integers(0, 100_000), st.binary(min_size=1, max_size=4))
def test_a_damaged_file_is_refused_or_read(place: int, other: bytes) -> None:
    place %= len(WHOLE)
    with contextlib.suppress(RequestError):
        _, rows = read(WHOLE[:place] + other + WHOLE[place + len(other) :], 1 << 20)
        assert rows <= 10_000


WHOLE = written(TABLE.slice(0, 50), compression="zstd")
