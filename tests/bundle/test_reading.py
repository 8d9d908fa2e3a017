"""The reader's quick way means what the careful way means, to the last bit; what it cannot read it leaves alone."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import TIMES, contracts, same, texts
from tiltyard.bundle.encoder import Encoder
from tiltyard.bundle.reading import MOST_COLUMNS, Reader, Typed
from tiltyard.data.contract import Column, Contract, Guard, Kind, Role
from tiltyard.data.protection import guard_of
from tiltyard.data.rows import rows_to_columns
from tiltyard.errors import DataError
from tiltyard.predictions.record import listed
from tiltyard.project.coarsening import Coarsen
from tiltyard.project.metrics import Task

KEY = "a-key-of-sixteen-characters-or-more"
MOST = 50
TARGET = Column(name="y", kind=Kind.NUMBER, role=Role.TARGET)


def contract_of(*columns: Column) -> Contract:
    return Contract(task=Task.REGRESSION, columns=(*columns, TARGET))


def reader_of(contract: Contract, key: str | None = None) -> Reader:
    return Reader(contract, Encoder.of(contract), key)


def carefully(contract: Contract, rows: Sequence[dict[str, Any]], key: str | None = None) -> Typed:
    """Type rows by the rule of the house alone."""
    typed = rows_to_columns(rows, contract, key)
    values = list(zip(*typed.values.values(), strict=True))
    matrix = Encoder.of(contract).encode(typed.columns)
    return Typed(len(rows), matrix, values, typed.unknown_levels, typed.unexpected, typed.outside)


def outcome(read: Callable[[], Typed]) -> Typed | str:
    """Return what was read, or the sentence that refuses it."""
    try:
        return read()
    except DataError as error:
        return str(error)


def assert_same(found: Typed | str, wanted: Typed) -> None:
    assert isinstance(found, Typed), found
    assert found.matrix.dtype == np.float32
    assert found.matrix.tobytes() == wanted.matrix.tobytes()
    assert found.matrix.shape == wanted.matrix.shape
    assert (found.rows, found.unexpected) == (wanted.rows, wanted.unexpected)
    assert (found.unknown_levels, found.outside) == (wanted.unknown_levels, wanted.outside)
    for row, wanted_row in zip(found.logged(), wanted.logged(), strict=True):
        for value, wanted_value in zip(row, wanted_row, strict=True):
            assert same(value, wanted_value)
            assert math.copysign(1.0, value) == math.copysign(1.0, wanted_value) if value == 0.0 else True  # type: ignore[arg-type]
    by_column = zip(*map(listed, found.logged_columns()), strict=True)
    assert list(map(repr, by_column)) == [repr(tuple(row)) for row in found.logged()]


_HUGE = [1e308, -1e308, 1e30, -1e31, 2**53 + 1, -(2**63), 2**63 - 1, 2**63, 2**64, 10**40, 10**400]
_PLAIN = st.sampled_from(
    [None, True, False, -0.0, 0, 1, 3, 3.0, 2.5, "", " ", "NA", "3.0", "7", " 7 ", "1e5", "x", "yes"]
)
_LISTS: st.SearchStrategy[Any] = st.sampled_from([[], {}, [1], {"a": 1}])
ANYTHING = (
    _PLAIN
    | st.sampled_from(_HUGE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers()
    | texts(6)
    | TIMES.map(lambda moment: moment.isoformat())
    | _LISTS
)


def cells_of(column: Column) -> st.SearchStrategy[Any]:
    """Return JSON values of a column, most of them its own."""
    own: dict[Kind, st.SearchStrategy[Any]] = {
        Kind.NUMBER: st.floats(-50, 50) | st.integers(-50, 50),
        Kind.INTEGER: st.integers(-50, 50) | st.integers(-50, 50).map(float),
        Kind.BOOLEAN: st.booleans() | st.sampled_from([0, 1, "yes"]),
        Kind.CATEGORY: st.sampled_from(
            [*column.levels, "new", 7, 3.0, f" {column.levels[0] if column.levels else ''} "]
        ),
        Kind.TEXT: texts(8) | st.integers(),
        Kind.TIME: TIMES.map(lambda moment: moment.isoformat()) | st.just("2026-01-31T10:00:00+02:00"),
    }
    values = own[column.kind] | own[column.kind] | own[column.kind] | ANYTHING
    return values | st.none() if column.nullable else values


@st.composite
def ranged(draw: st.DrawFn) -> Contract:
    """Return contracts with ranges, levels that look odd or are refused, and a column that is no feature."""
    contract = draw(contracts())
    changed = []
    for column in contract.columns:
        more: dict[str, Any] = {}
        if column.kind in {Kind.NUMBER, Kind.INTEGER} and draw(st.booleans()):
            more = {
                "minimum": draw(st.sampled_from([None, -10.0, 0.0])),
                "maximum": draw(st.sampled_from([None, 20.0])),
            }
        if column.kind is Kind.CATEGORY:
            odd = draw(st.sampled_from([(), ("NA",), ("3.0",), (" red ",)]))
            more = {"levels": (*column.levels, *odd), "new_levels": draw(st.sampled_from(["other", "refuse"]))}
        changed.append(column.model_copy(update=more))
    note = Column(name="note", kind=Kind.TEXT, role=Role.DROPPED)
    return contract.model_copy(update={"columns": (*changed, note)})


@st.composite
def requests(draw: st.DrawFn, contract: Contract) -> list[dict[str, Any]]:
    """Return rows of JSON values, in which keys may lack and others stand."""
    rows = draw(st.integers(1, 4))
    sent = []
    for _ in range(rows):
        row = {column.name: draw(cells_of(column)) for column in contract.features}
        if draw(st.integers(0, 9)) == 0:
            row.pop(draw(st.sampled_from(sorted(row))))
        if draw(st.integers(0, 9)) == 0:
            row[draw(st.sampled_from(["other", "Größe", "y", "note"]))] = draw(ANYTHING)
        sent.append(row)
    return sent


@settings(deadline=None, max_examples=200)
@given(ranged().flatmap(lambda contract: st.tuples(st.just(contract), requests(contract))))
def test_the_quick_way_and_the_careful_way_agree(drawn: tuple[Contract, list[dict[str, Any]]]) -> None:
    contract, rows = drawn
    reader, body = reader_of(contract), json.dumps({"rows": rows}).encode()
    quick = reader.read(body, MOST)
    try:
        sent = msgspec.json.decode(body)["rows"]
    except msgspec.DecodeError:  # a number too long for a double
        assert quick is None
        return
    wanted = outcome(lambda: carefully(contract, sent))
    found = outcome(lambda: reader.type(sent))
    if isinstance(wanted, str):
        assert (quick, found) == (None, wanted)
        return
    assert_same(found, wanted)
    if quick is None:
        assert wanted.unexpected
    else:
        assert_same(quick, wanted)


@settings(deadline=None)
@given(ranged().flatmap(lambda contract: st.tuples(st.just(contract), requests(contract))))
def test_columns_are_read_like_rows(drawn: tuple[Contract, list[dict[str, Any]]]) -> None:
    contract, rows = drawn
    names = {name for row in rows for name in row} or {contract.features[0].name}
    rows = [{name: row.get(name) for name in names} for row in rows]
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in names}
    for name, values in columns.items():
        if {type(value) for value in values} in ({int}, {float}, {bool}, {int, float}) and max(
            map(abs, values)
        ) < 2**62:
            columns[name] = np.array(values)
    again = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    wanted = outcome(lambda: carefully(contract, again))
    found = outcome(lambda: reader_of(contract).type_columns(columns, len(rows)))
    if isinstance(wanted, str):
        assert found == wanted
    else:
        assert_same(found, wanted)


AGE = Column(name="age", kind=Kind.INTEGER, minimum=18.0, maximum=75.0)
PLAN = Column(name="plan", kind=Kind.CATEGORY, nullable=True, levels=("basic", "gold"))
SPENT = Column(name="spent", kind=Kind.NUMBER, nullable=True)
CONTRACT = contract_of(AGE, PLAN, SPENT)


def test_a_plain_body_is_read_in_one_step() -> None:
    rows = [{"age": 41, "plan": "gold", "spent": 2}, {"age": 17, "plan": None, "y": 1}, {"age": 2, "plan": "x"}]
    body = json.dumps({"rows": rows}).encode()
    typed = reader_of(CONTRACT).read(body, MOST)
    assert typed is not None
    assert typed.matrix.tolist()[0] == [41.0, 1.0, 2.0]
    assert np.isnan(typed.matrix[1, 1:]).all()
    assert list(map(tuple, typed.logged())) == [(41, "gold", 2.0), (17, None, None), (2, "x", None)]
    assert (typed.unknown_levels, typed.outside, typed.unexpected) == ({"plan": [2]}, {"age": [1, 2]}, ())


@pytest.mark.parametrize("count", [1, 2])
def test_a_key_that_is_no_feature_is_kept_of_the_first_row(count: int) -> None:
    customer = Column(name="customer", kind=Kind.CATEGORY, role=Role.ID)
    contract = contract_of(AGE, customer, PLAN)
    rows = [{"age": 41, "customer": 4711, "y": 3}, {"age": 41, "customer": 4712}][:count]
    reader = reader_of(contract)
    quick = reader.read(json.dumps({"rows": rows}).encode(), MOST)
    columns: dict[str, Any] = {name: [row.get(name) for row in rows] for name in ("age", "customer")}
    for typed in (quick, reader.type(rows), reader.type_columns(columns, count)):
        assert typed is not None
        assert typed.others == {"customer": 4711}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"rows": []}',
        b'{"rows": {}}',
        b'{"features": [41, null, null]}',
        b'{"rows": [{"age": 41}], "more": 1}',
        b'{"rows": [{"age": 41, "c1": "gold"}]}',
        b'{"rows": [{"age": null}]}',
        b'{"rows": [{}]}',
        b'{"rows": [{"age": true}]}',
        b'{"rows": [{"age": 41, "plan": ["gold"]}]}',
        b'{"rows": [{"age": 41, "plan": "\\ud800"}]}',
        b'{"rows": [{"age": 41, "plan": "\xff"}]}',
        b'{"rows": [{"age": 41, "spent": 1e999}]}',
        b'{"rows": [{"age": 41, "spent": NaN}]}',
        b'{"rows": [{"age": 41, "y": ' + b"[" * 100_000,
        json.dumps({"rows": [{"age": 41}] * (MOST + 1)}).encode(),
    ],
    ids=range(18),
)
def test_what_has_to_be_explained_is_left_alone(body: bytes) -> None:
    assert reader_of(CONTRACT).read(body, MOST) is None


@pytest.mark.parametrize(
    ("body", "spent"),
    [
        (b'{"rows": [{"age": 41, "spent": 1, "spent": 2.5}]}', 2.5),
        (b'{"rows": [{"age": 41, "spent": 1, "spent": null}]}', None),
        (b'{"rows": [{"age": 41, "\\u0073pent": 3}]}', 3.0),
        (b'{"rows": [{"age": 41, "spent": "4.5"}]}', 4.5),
        (b'{"rows": [{"age": 41, "spent": 123456789012345678901234567890}]}', 123456789012345678901234567890.0),
    ],
)
def test_of_two_equal_keys_the_last_counts_and_numbers_keep_their_value(body: bytes, spent: float | None) -> None:
    typed = reader_of(CONTRACT).read(body, MOST)
    assert typed is not None
    assert typed.logged()[0][2] == spent
    assert_same(typed, carefully(CONTRACT, msgspec.json.decode(body)["rows"]))


@pytest.mark.parametrize("name", ['qu"ote', "back\\slash", "line\nfeed", "Größe", "", "rows"])
def test_a_column_may_have_any_name(name: str) -> None:
    contract = contract_of(Column(name=name, kind=Kind.NUMBER))
    reader, rows = reader_of(contract), [{name: 2.5}]
    quick = reader.read(json.dumps({"rows": rows}).encode(), MOST)
    assert_same(quick or reader.type(rows), carefully(contract, rows))


def test_a_very_wide_row_is_read_with_care() -> None:
    columns = [Column(name=f"n{number}", kind=Kind.NUMBER) for number in range(MOST_COLUMNS)]
    contract, rows = contract_of(*columns), [{column.name: 1.5 for column in columns}]
    assert reader_of(contract).read(json.dumps({"rows": rows}).encode(), MOST) is None
    assert_same(reader_of(contract).type(rows), carefully(contract, rows))


def test_minus_zero_keeps_its_sign() -> None:
    typed = reader_of(CONTRACT).read(b'{"rows": [{"age": 41, "spent": -0.0}]}', MOST)
    assert typed is not None
    assert math.copysign(1.0, typed.matrix[0, 2]) == -1.0


def guarded(column: Column, method: Any) -> Column:
    """Return a column as it is in use once it is protected."""
    guard: Guard = guard_of(column, method, KEY)
    kind = Kind.CATEGORY if method == "hash" else column.kind
    return column.model_copy(update={"kind": kind, "protection": guard, "levels": (), "minimum": None, "maximum": None})


PROTECTED = contract_of(
    guarded(Column(name="city", kind=Kind.CATEGORY, nullable=True), "hash"),
    guarded(Column(name="age", kind=Kind.INTEGER, nullable=True), Coarsen(coarsen=10)),
    guarded(Column(name="born", kind=Kind.TIME, nullable=True), Coarsen(coarsen="year")),
)


@pytest.mark.parametrize("count", [1, 3])
def test_protected_values_are_never_kept_in_the_clear(count: int) -> None:
    row = {"city": "Winterthur", "age": 47, "born": "1979-06-12"}
    body = json.dumps({"rows": [row] * count}).encode()
    reader = reader_of(PROTECTED, KEY)
    typed = reader.read(body, MOST)
    assert typed is not None
    assert_same(typed, carefully(PROTECTED, [row] * count, KEY))
    logged = msgspec.json.encode(typed.logged()).decode()
    assert "Winterthur" not in logged
    assert "47" not in logged
    assert "06-12" not in logged
    columns = {name: [value] * count for name, value in row.items()}
    assert_same(reader.type_columns(columns | {"age": np.full(count, 47.0)}, count), typed)


def test_arrays_of_numbers_are_taken_as_they_are() -> None:
    columns: dict[str, Any] = {
        "age": np.array([20, 41, 90], dtype=np.uint8),
        "plan": np.array(["gold", None, "x"], dtype=object),
        "spent": np.array([np.nan, 1.5, -0.0], dtype=np.float32),
    }
    typed = reader_of(CONTRACT).type_columns(columns, 3)
    assert list(map(tuple, typed.logged())) == [(20, "gold", None), (41, None, 1.5), (90, "x", -0.0)]
    assert (typed.unknown_levels, typed.outside) == ({"plan": [2]}, {"age": [2]})
    whole = reader_of(CONTRACT).type_columns({"age": np.array([20.0, 41.0])}, 2)
    assert [type(row[0]) for row in whole.logged()] == [int, int]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"age": np.array([20.0, 41.5])}, "row 1: the value of `age` is not an integer"),
        ({"age": np.array([20.0, np.nan])}, "row 1: `age` is missing"),
        ({"age": np.array([20, 2**63], dtype=np.uint64)}, "row 1: the value of `age` is not an integer"),
        ({"age": np.array([20, 30]), "spent": np.array([np.inf, 1.0])}, "row 0: the value of `spent` is not a number"),
        ({"age": np.array([20, 30]), "spent": np.array([True, False])}, "row 0: the value of `spent` is not a number"),
        ({"spent": np.array([1.0, 2.0])}, "row 0: there is no `age`"),
    ],
)
def test_columns_are_refused_by_row_and_column(columns: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError) as caught:
        reader_of(CONTRACT).type_columns(columns, 2)
    assert words in str(caught.value)
