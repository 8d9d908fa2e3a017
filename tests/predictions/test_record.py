"""Lines of the log: what is written is read, and what is none of ours is told."""

import io
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.predictions.lines import CONTRACT, DEMAND, MODEL, ROW, SCHEMA, batch_of, line, record
from tests.strategies import contracts, tables
from tiltyard.data.contract import Contract
from tiltyard.predictions import parts
from tiltyard.predictions.columns import FEATURE
from tiltyard.predictions.record import (
    FORMAT,
    Entry,
    Feedback,
    Record,
    feedback_line,
    read_line,
    read_record,
    record_line,
    schema_line,
    schema_of,
)


@st.composite
def records_of(draw: st.DrawFn, contract: Contract, name: str, rows: list[dict[str, Any]] | None = None) -> Record:
    """Return the record of a request to a contract's model."""
    rows = draw(tables(contract, max_rows=3)) if rows is None else rows
    answer = st.floats(allow_nan=False, allow_infinity=False) if not contract.classes else st.sampled_from([0, 1])
    chance = st.lists(st.floats(0, 1) | st.just(-0.0), min_size=2, max_size=2)
    count = len(rows)
    return record(
        name,
        time=draw(st.floats(0, 4e9)),
        key=draw(st.none() | st.text(st.characters(codec="utf-8"), max_size=20)),
        rows=[[row[column.name] for column in contract.features] for row in rows],
        answers=draw(st.lists(answer, min_size=count, max_size=count)),
        probabilities=draw(st.none() | st.lists(chance, min_size=count, max_size=count)) if contract.classes else None,
    )


@st.composite
def answered(draw: st.DrawFn) -> tuple[Contract, list[dict[str, Any]], Record]:
    """Return rows of a contract, and the record of a request with them."""
    contract = draw(contracts())
    rows = draw(tables(contract))
    return contract, rows, draw(records_of(contract, draw(st.uuids()).hex, rows))


@settings(deadline=None, max_examples=40)
@given(answered())
def test_what_is_written_is_read_with_its_types(example: tuple[Contract, list[dict[str, Any]], Record]) -> None:
    contract, rows, made = example
    lines = [schema_line(MODEL, 3, contract), record_line(made)]
    assert all(content.count(b"\n") == 1 and content.endswith(b"\n") for content in lines)
    contents = segment_of(lines)
    table, damaged = contents.parts[0].table()
    assert contents.damaged == damaged == []
    assert table is not None
    found = table.to_pylist()
    assert [{column.name: row[f"{FEATURE}{column.name}"] for column in contract.features} for row in found] == [
        {column.name: row[column.name] for column in contract.features} for row in rows
    ]
    assert [row["prediction"] for row in found] == list(made.answers)
    for number, row in enumerate(found):
        assert (row["id"], row["request"], row["row"]) == (f"{made.id}-{number}", made.id, number)
        assert abs(row["time"].timestamp() - made.time) < 1e-5
        assert (row["model"], row["version"], row["slot"], row["key"]) == (MODEL, 3, "champion", made.key)
        chances = [row[f"probability_{label}"] for label in contract.classes]
        assert chances == (list(made.probabilities[number]) if made.probabilities else [None] * len(chances))


@settings(deadline=None, max_examples=60)
@given(answered())
def test_several_rows_by_columns_are_the_same_as_by_rows(
    example: tuple[Contract, list[dict[str, Any]], Record],
) -> None:
    contract, _, made = example
    batch = batch_of(made, contract)
    found = [segment_of([schema_line(MODEL, 3, contract), record_line(one)]).parts[0].table() for one in (made, batch)]
    assert bits(found[0][0]) == bits(found[1][0])
    assert found[0][1] == found[1][1] == []
    again = read_record(record_line(batch))
    assert again is not None
    assert record_line(again) == record_line(made)


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_many_at_once_are_read_as_one_by_one(data: st.DataObject) -> None:
    contract = data.draw(contracts())
    lines = [schema_line(MODEL, 3, contract)]
    for number in range(data.draw(st.integers(1, 6))):
        by_columns = data.draw(st.booleans())
        made = data.draw(records_of(contract, f"{'b' if by_columns else 'r'}{number % 5}"))
        whole = record_line(batch_of(made, contract) if by_columns else made)
        place = data.draw(st.integers(0, len(whole) - 1))
        torn = whole[:place] + whole[place + data.draw(st.integers(1, 9)) :]
        lines.append(whole if data.draw(st.booleans()) else torn.replace(b"\n", b"") + b"\n")
    with pytest.MonkeyPatch.context() as patch:
        together = outcome(lines)
        patch.setattr(parts, "BLOCK_BYTES", 1)
        assert outcome(lines) == together


def segment_of(lines: list[bytes]) -> parts.Contents:
    return parts.read_segment(io.BytesIO(b"".join(lines)))


def outcome(lines: list[bytes]) -> tuple[dict[str, list[str]], list[bytes]]:
    """Return the rows of each object, and the damaged lines, in an order that does not depend on how they are read."""
    contents = segment_of(lines)
    made = [(part.key("s"), *part.table()) for part in contents.parts]
    damaged = [line for _, _, lines in made for line in lines] + contents.damaged
    return {key: sorted(bits(table)) for key, table, _ in made if table is not None}, sorted(damaged)


def bits(table: pa.Table | None) -> list[str]:
    """Return rows as text in which every bit counts."""
    assert table is not None
    return [repr(row) for row in table.to_pylist()]


def test_a_schema_says_what_the_values_are() -> None:
    schema = read_line(SCHEMA)
    assert schema == schema_of(MODEL, 3, CONTRACT)
    content = msgspec.json.decode(SCHEMA)
    assert content["schema"] == FORMAT
    assert content["features"][:2] == [["age", "number"], ["visits", "integer"]]
    assert content["classes"] == ["no", "yes"]
    assert msgspec.json.decode(schema_line("demand", 1, DEMAND))["classes"] == []


def test_a_time_may_be_given_as_such_or_as_text() -> None:
    moment = datetime(2026, 11, 20, 10)  # noqa: DTZ001  # typed times are naive
    assert line("a", rows=[[*ROW[:5], moment]]) == line("a")


def test_labels_are_one_line() -> None:
    entries = [Entry("a-0", "yes", 5.0), Entry("b-0", "no", 6.0)]
    content = feedback_line(MODEL, entries, CONTRACT, 7.0)
    assert content.count(b"\n") == 1
    assert read_line(content) == Feedback(tuple(entries), MODEL, "category", 7.0)


def test_zeros_before_a_line_are_no_part_of_it() -> None:
    assert read_line(b"\0" * 4096 + line("a")) == read_line(line("a"))


@pytest.mark.parametrize(
    "damaged",
    [b"", b"\n", b"\0\0\n", b"garbage\n", b'{"id":"a"}\n', b'{"id":\n', b'{"other":1}\n', b'{"id":"' + b"\xff\n"],
)
def test_what_is_no_line_is_told(damaged: bytes) -> None:
    assert read_line(damaged) is None


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 300), st.integers(0, 100))
def test_no_garbage_makes_it_fail(garbage: bytes, place: int, length: int) -> None:
    broken = line("a")[:place] + garbage + line("a")[place + length :]
    for content in (garbage, broken):
        contents = segment_of([SCHEMA, content, b"\n", line("b")])
        tables = [part.table()[0] for part in contents.parts]
        assert "b-0" in {name for table in tables if table is not None for name in table.column("id").to_pylist()}
