"""Sources become raw tables; whatever cannot be read says why."""

import gzip
import os
import sqlite3
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiltyard.data.origin import place_of
from tiltyard.data.sources import describe_source, iter_source, read_source, source_of
from tiltyard.errors import DataError, ProjectError, TiltyardError, UsageError
from tiltyard.project.environment import Environment, Workplace
from tiltyard.project.model import BundledSource, CallableSource, CsvSource, ParquetSource, Source, SqlSource


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path / "tiltyard.yaml", Environment())


def write_parts(folder: Path) -> None:
    (folder / "parts").mkdir()
    (folder / "parts" / "1.csv").write_text("a,b\n1,x\n2,y\n")
    (folder / "parts" / "2.csv.gz").write_bytes(gzip.compress(b"b;a\nz;3\n"))
    (folder / "parts" / "_SUCCESS.csv").write_text("")
    (folder / "parts" / "notes.md").write_text("no table")


@pytest.mark.parametrize("path", ["parts", "parts/*.csv*", "parts/[12].csv*"])
def test_folders_and_globs_are_one_table(tmp_path: Path, workplace: Workplace, path: str) -> None:
    write_parts(tmp_path)
    (tmp_path / "parts" / "_SUCCESS.csv").unlink()
    frame = read_source(CsvSource(path=path), workplace=workplace)
    assert frame.to_numpy().tolist() == [["1", "x"], ["2", "y"], ["3", "z"]]
    assert place_of(frame, 1, "").endswith("1.csv:3")
    assert place_of(frame, 2, "").endswith("2.csv.gz:2")
    chunks = list(iter_source(CsvSource(path=path), 2, workplace=workplace))
    assert [len(chunk) for chunk in chunks] == [2, 1]
    assert place_of(chunks[1], 0, "").endswith("2.csv.gz:2")


def test_hidden_files_of_a_folder_are_passed(tmp_path: Path, workplace: Workplace) -> None:
    write_parts(tmp_path)
    assert len(read_source(CsvSource(path="parts"), workplace=workplace)) == 3


def test_chunks_know_their_lines(tmp_path: Path, workplace: Workplace) -> None:
    (tmp_path / "t.csv").write_text('a,b\n1,"x\ny"\n\n2,z\n3,w\n')
    chunks = list(iter_source(CsvSource(path="t.csv"), 2, workplace=workplace))
    assert place_of(chunks[0], 1, "").endswith("t.csv:5")
    assert place_of(chunks[1], 0, "").endswith("t.csv:6")


def test_a_raw_table_can_be_written_as_parquet(tmp_path: Path, workplace: Workplace) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    frame = read_source(CsvSource(path="t.csv"), workplace=workplace)
    frame.to_parquet(tmp_path / "t.parquet")
    again = read_source(ParquetSource(path="t.parquet"), workplace=workplace)
    assert place_of(again, 0, "").endswith("t.parquet, row 0")


def test_files_with_other_columns_are_refused(tmp_path: Path, workplace: Workplace) -> None:
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a,c\n1,2\n")
    with pytest.raises(DataError, match=r"2\.csv: there is no column `b`, which 1\.csv has"):
        read_source(CsvSource(path="*.csv"), workplace=workplace)


def test_parquet_keeps_integers_with_gaps(tmp_path: Path, workplace: Workplace) -> None:
    big = 2**62 + 1
    table = pa.table({"a": pa.array([big, None]), "c": pa.array(["x", None]).dictionary_encode()})
    for name in ("1.parquet", "2.parquet"):
        pq.write_table(table, tmp_path / name)
    frame = read_source(ParquetSource(path="*.parquet"), workplace=workplace)
    assert frame["a"].iloc[2] == big
    assert frame["c"].iloc[0] == "x"
    assert len(frame) == 4
    assert [len(chunk) for chunk in iter_source(ParquetSource(path="*.parquet"), 3, workplace=workplace)] == [3, 1]


def test_parquet_files_of_other_types_are_refused(tmp_path: Path, workplace: Workplace) -> None:
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": ["x", "y"]}), tmp_path / "2.parquet")
    with pytest.raises(DataError, match=r"2\.parquet: the columns do not fit those of 1\.parquet"):
        read_source(ParquetSource(path="*.parquet"), workplace=workplace)


def test_a_pandas_index_without_a_name_is_no_column(tmp_path: Path, workplace: Workplace) -> None:
    pd.DataFrame({"a": [1, 2]}, index=[5, 7]).to_parquet(tmp_path / "t.parquet")
    assert list(read_source(ParquetSource(path="t.parquet"), workplace=workplace).columns) == ["a"]


def write_database(folder: Path) -> None:
    with sqlite3.connect(folder / "t.db") as connection:
        connection.execute("create table t (a, b)")
        connection.executemany("insert into t values (?, ?)", [(1, "x"), (None, "y"), (2**62 + 1, None)])
    connection.close()


def test_sql_keeps_types_and_reads_in_chunks(tmp_path: Path, workplace: Workplace) -> None:
    write_database(tmp_path)
    source = SqlSource(url="sqlite:///t.db", query="select * from t")
    frame = read_source(source, workplace=workplace)
    assert frame["a"].iloc[2] == 2**62 + 1
    assert frame["a"].isna().tolist() == [False, True, False]
    assert [len(chunk) for chunk in iter_source(source, 2, workplace=workplace)] == [2, 1]


def test_a_source_never_writes(tmp_path: Path, workplace: Workplace) -> None:
    write_database(tmp_path)
    with pytest.raises(ProjectError, match="not a SELECT"):
        read_source(SqlSource(url="sqlite:///t.db", query="delete from t"), workplace=workplace)
    query = "with x as (select 1) delete from t returning a"
    with pytest.raises(DataError, match="the database refused: attempt to write a readonly database"):
        read_source(SqlSource(url="sqlite:///t.db", query=query), workplace=workplace)
    assert len(read_source(SqlSource(url="sqlite:///t.db", query="select * from t"), workplace=workplace)) == 3


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3cr3t%21x@127.0.0.1:9/db",
        "postgresql://ann:${TILTYARD_TEST_PASSWORD}@127.0.0.1:9/db?connect_timeout=1",
        "postgresql://ann@127.0.0.1:9/db?password=s3cr3t!x",
        "nosuchdb://ann:s3cr3t!x@host/db",
        "s3cr3t!x",
    ],
)
def test_no_message_holds_the_password(workplace: Workplace, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("TILTYARD_TEST_PASSWORD", "s3cr3t!x")
    with pytest.raises(TiltyardError) as caught:
        read_source(SqlSource(url=url, query="select 1"), workplace=workplace)
    assert "s3cr3t" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


FAILURES: list[tuple[Source, str]] = [
    (CsvSource(path="tabel.csv"), "Did you mean `table.csv`"),
    (CsvSource(path="*.nothing"), "no file matches. Check the pattern"),
    (CsvSource(path="empty"), "the folder holds no file that ends in .csv, .*Check the folder"),
    (CsvSource(path="c" * 500), "cannot be read .File name too long.*Check the path"),
    (CsvSource(path="c" * 4000), "cannot be read .File name too long.*Check the path"),
    (CsvSource(path="s3://bucket/key.csv"), "S3 cannot be read here"),
    (CsvSource(path="ftp://host/key.csv"), "address is not known"),
    (ParquetSource(path="table.csv"), "cannot be read as Parquet"),
    (SqlSource(url="sqlite:///none.db", query="select 1"), "no such SQLite file"),
    (SqlSource(url="sqlite:///t.db", query="select * from nowhere"), "no such table"),
    (SqlSource(url="sqlite:///t.db", query="select a, a from t"), "`a` stands twice"),
    (SqlSource(url="sqlite:///t.db", query="select * from t where a = 5"), "returned no rows"),
    (SqlSource(url="sqlite:///${TILTYARD_UNSET}", query="select 1"), "names \\${TILTYARD_UNSET}, which is not set"),
    (CallableSource(function="nowhere_to_be:found"), "`nowhere_to_be` is not found"),
    (CallableSource(function="makers:nothing"), "has no function `nothing`"),
    (CallableSource(function="makers:fails"), "the function failed: ZeroDivisionError"),
    (CallableSource(function="makers:number"), "returned a int, not a pandas DataFrame"),
    (CallableSource(function="makers:twice"), "`a` stands twice"),
]


@pytest.mark.parametrize(("source", "message"), FAILURES, ids=[message for _, message in FAILURES])
def test_failures_say_what_and_how_to_mend(tmp_path: Path, workplace: Workplace, source: Source, message: str) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "makers.py").write_text(MAKERS)
    write_database(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__")
    with pytest.raises(TiltyardError, match=message):
        read_source(source, workplace=workplace)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == before


MAKERS = """
import pandas as pd
def table(rows=2): return pd.DataFrame({"a": range(rows), 5: "x"}, index=range(7, 7 + rows))
def fails(): return 1 / 0
def number(): return 3
def twice(): return pd.DataFrame([[1, 2]], columns=["a", "a"])
"""


def test_a_function_of_the_project_makes_a_table(tmp_path: Path, workplace: Workplace) -> None:
    (tmp_path / "makers.py").write_text(MAKERS)
    path = list(sys.path)
    source = CallableSource(function="makers:table", arguments={"rows": 3})
    frame = read_source(source, workplace=workplace)
    assert (list(frame.columns), len(frame), list(frame.index)) == (["a", "5"], 3, [0, 1, 2])
    assert [len(chunk) for chunk in iter_source(source, 2, workplace=workplace)] == [2, 1]
    assert sys.path == path
    assert "makers" not in sys.modules


def test_bundled_tables_have_named_classes(workplace: Workplace) -> None:
    frame = read_source(BundledSource(name="iris"), workplace=workplace)
    assert frame["target"].unique().tolist() == ["setosa", "versicolor", "virginica"]


def test_remote_files_come_through_the_given_function(tmp_path: Path, workplace: Workplace) -> None:
    (tmp_path / "here.csv").write_text("a,b\n1,2\n")
    asked: list[str] = []

    def open_remote(uri: str) -> list[Path]:
        asked.append(uri)
        return [tmp_path / "here.csv"]

    frame = read_source(CsvSource(path="s3://bucket/*.csv"), workplace=workplace, open_remote=open_remote)
    assert (len(frame), asked) == (1, ["s3://bucket/*.csv"])


def test_paths_on_the_command_line_become_sources(tmp_path: Path) -> None:
    assert source_of("x.parquet") == ParquetSource(path="x.parquet")
    assert source_of("x.csv.gz") == CsvSource(path="x.csv.gz")
    (tmp_path / "1.csv").write_text("a\n1\n")
    assert source_of(str(tmp_path)) == CsvSource(path=str(tmp_path))
    pq.write_table(pa.table({"a": [1]}), tmp_path / "1.parquet")
    with pytest.raises(DataError, match="both CSV and Parquet"):
        source_of(str(tmp_path))


def test_sources_are_named_without_secrets(workplace: Workplace) -> None:
    source = SqlSource(url="postgresql://ann:secret@host/db", query="select 1")
    assert describe_source(source, workplace) == "postgresql:host/db"
    assert describe_source(CsvSource(path="a.csv"), workplace) == "a.csv"
    assert describe_source(BundledSource(name="iris"), workplace) == "scikit-learn's iris"


def test_a_chunk_needs_a_row(workplace: Workplace) -> None:
    with pytest.raises(UsageError, match="chunk of 0 rows"):
        next(iter_source(CsvSource(path="x.csv"), 0, workplace=workplace))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file_is_named(tmp_path: Path, workplace: Workplace) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    (tmp_path / "t.csv").chmod(0)
    with pytest.raises(DataError, match="cannot be read"):
        read_source(CsvSource(path="t.csv"), workplace=workplace)
