"""Golden rows hold what may happen: nulls in every column, unseen categories, extremes; and survive JSON."""

import numpy as np
import pytest

from tests.bundle.tables import ENCODER, TEST, Table, make_table
from tiltyard.bundle.encoder import ColumnEncoding, Encoder
from tiltyard.bundle.golden import HOSTILE_ROWS, Golden, GoldenRows
from tiltyard.data.contract import Kind


def missing(table: Table, name: str, row: int) -> bool:
    value = table[name][row]
    return value is None or value != value  # noqa: PLR0124  # NaN and NaT differ from themselves


def test_every_column_is_missing_in_a_row_of_its_own_and_all_are_in_one() -> None:
    rows = GoldenRows(ENCODER, make_table(50, seed=5))
    for name in TEST:
        assert missing(rows.columns, name, rows.labels.index(f"{name} missing"))
    everything = rows.labels.index("age to since missing")
    assert all(missing(rows.columns, name, everything) for name in TEST)


def test_extremes_and_unseen_levels_are_there() -> None:
    columns = GoldenRows(ENCODER, TEST).columns
    assert {1e30, -1e30} <= set(columns["age"])
    assert {"an unseen level", ""} <= set(columns["plan"])
    assert set(columns["member"][~np.isnan(columns["member"])]) == {0.0, 1.0}
    assert np.datetime64("9999-12-31", "us") in columns["since"]


@pytest.mark.parametrize("rows", [1, 3, 200])
def test_rows_survive_json(rows: int) -> None:
    made = GoldenRows(ENCODER, make_table(rows, seed=6))
    answers = np.random.default_rng(0).random((len(made.labels), 2))
    golden = Golden.model_validate_json(made.answered(answers).model_dump_json())
    np.testing.assert_array_equal(golden.answers, answers)
    np.testing.assert_array_equal(ENCODER.encode(golden.table(ENCODER)), ENCODER.encode(made.columns))


def test_a_wide_table_has_few_golden_rows_and_every_column_missing_in_one() -> None:
    names = [f"c{number}" for number in range(500)]
    encoder = Encoder(columns=tuple(ColumnEncoding(column=name, kind=Kind.NUMBER) for name in names))
    made = GoldenRows(encoder, {name: np.ones(4) for name in names})
    assert len(made.labels) <= 4 + 4 * (HOSTILE_ROWS + 1)
    assert all(np.isnan(made.columns[name][4:]).any() for name in names)


def test_the_given_rows_are_left_alone() -> None:
    table = make_table(10, seed=7)
    before = {name: values.copy() for name, values in table.items()}
    GoldenRows(ENCODER, table)
    for name, values in table.items():
        np.testing.assert_array_equal(values, before[name])
