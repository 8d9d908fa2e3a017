"""A source becomes a raw table: CSV, Parquet, SQL, bundled examples, or a function of the user's.

Raw means as the source wrote it, text of a CSV file included; `tiltyard.data.coercion` types it by the contract.
"""

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tiltyard.data.csv_files import iter_csv, read_csv, same_columns
from tiltyard.data.functions import call_bundled, call_function
from tiltyard.data.origin import Origin, set_origins
from tiltyard.data.sql import describe_sql, iter_sql
from tiltyard.errors import DataError, UsageError, did_you_mean
from tiltyard.project.environment import Workplace
from tiltyard.project.model import BundledSource, CallableSource, CsvSource, ParquetSource, Source, SqlSource
from tiltyard.project.section import path_problem

OpenRemote = Callable[[str], Sequence[Path]]
"""Brings `s3://bucket/key` (glob allowed) to this machine and returns the local files, in order."""

CSV_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt", ".txt.gz")
PARQUET_ENDINGS = (".parquet", ".pq")
_SQL_CHUNK = 50_000
_LONGEST_SHOWN = 200


def read_source(source: Source, *, workplace: Workplace, open_remote: OpenRemote | None = None) -> pd.DataFrame:
    """Read a whole source.

    Args:
        source: What to read, from the project file.
        workplace: Resolves relative paths.
        open_remote: Brings `s3://` objects here; without it they are refused.

    Returns:
        Raw frame with a RangeIndex, columns in the order of the source; it remembers the files its rows came from.

    Raises:
        DataError: The source cannot be read; names file, line and column.
        ProjectError: The source is described wrongly.
    """
    if isinstance(source, CsvSource):
        table, origins = read_csv(_files(source, workplace, open_remote), source)
        return set_origins(_frame(table), origins)
    if isinstance(source, ParquetSource):
        return _read_parquet(_files(source, workplace, open_remote))
    if isinstance(source, SqlSource):
        chunks = list(iter_sql(source, _SQL_CHUNK, folder=workplace.folder))
        if not chunks:
            where = describe_sql(source, workplace.folder)
            raise DataError("the query returned no rows", where=where, cure="Check the query.")
        return pd.concat(chunks, ignore_index=True)
    if isinstance(source, BundledSource):
        return call_bundled(source.name)
    return call_function(source, workplace.folder)


def iter_source(
    source: Source, chunk_rows: int, *, workplace: Workplace, open_remote: OpenRemote | None = None
) -> Iterator[pd.DataFrame]:
    """Read a source in chunks, so that a table larger than memory can be predicted.

    CSV, Parquet and SQL are read out of core; a bundled table or a function's table is read whole and cut.

    Args:
        source: What to read.
        chunk_rows: Rows per chunk; the last one is shorter.
        workplace: Resolves relative paths.
        open_remote: Brings `s3://` objects here.

    Raises:
        DataError: As `read_source`, when the broken place is reached.
        ProjectError: As `read_source`.
    """
    if chunk_rows < 1:
        raise UsageError(f"a chunk of {chunk_rows} rows holds nothing", cure="Give at least 1.")
    if isinstance(source, SqlSource):
        yield from iter_sql(source, chunk_rows, folder=workplace.folder)
    elif isinstance(source, CsvSource | ParquetSource):
        files = _files(source, workplace, open_remote)
        pieces = iter_csv(files, source) if isinstance(source, CsvSource) else _iter_parquet(files, chunk_rows)
        yield from _chunks(pieces, chunk_rows)
    else:
        frame = read_source(source, workplace=workplace)
        for start in range(0, len(frame), chunk_rows):
            yield frame.iloc[start : start + chunk_rows].reset_index(drop=True)


def source_of(path: str, *, folder: Path | None = None) -> Source:
    """Return the source that a path on the command line means: Parquet or CSV, told by its ending or its files.

    Args:
        path: A file, folder, glob or `s3://` address.
        folder: Folder that a relative path is relative to; the current one when left out.

    Raises:
        UsageError: No file can have that path.
        DataError: A folder holds both kinds, or none.
    """
    problem = path_problem(path)
    if problem is not None:
        raise UsageError(problem, cure="Give the path of a table.")
    place = (folder or Path()) / path
    if "://" in path or not os.path.isdir(place):  # noqa: PTH112  # a name too long is no folder, and no error here
        return ParquetSource(path=path) if path.lower().endswith(PARQUET_ENDINGS) else CsvSource(path=path)
    kinds = [ending for ending in (CSV_ENDINGS, PARQUET_ENDINGS) if _in_folder(place, ending)]
    if len(kinds) == 2:
        what, cure = "the folder holds both CSV and Parquet files", "Say which, by a glob like `folder/*.parquet`."
        raise DataError(what, where=path, cure=cure)
    return ParquetSource(path=path) if kinds == [PARQUET_ENDINGS] else CsvSource(path=path)


def describe_source(source: Source, workplace: Workplace) -> str:
    """Name a source in a message: a path, `module:function`, or a database without user and password."""
    if isinstance(source, CsvSource | ParquetSource):
        return source.path
    if isinstance(source, SqlSource):
        return describe_sql(source, workplace.folder)
    return source.function if isinstance(source, CallableSource) else f"scikit-learn's {source.name}"


def _files(source: CsvSource | ParquetSource, workplace: Workplace, open_remote: OpenRemote | None) -> list[Path]:
    """Return the files of a path, folder, glob or address, in order; at least one."""
    endings = CSV_ENDINGS if isinstance(source, CsvSource) else PARQUET_ENDINGS
    if source.path.startswith("s3://"):
        if open_remote is None:
            raise DataError("objects in S3 cannot be read here", where=source.path, cure="Give a local path.")
        files = list(open_remote(source.path))
    elif "://" in source.path:
        raise DataError("this kind of address is not known", where=source.path, cure="Use a path or `s3://…`.")
    else:
        try:
            files = _local_files(Path(workplace.resolve(source.path)), endings)
        except OSError as error:
            where = source.path if len(source.path) <= _LONGEST_SHOWN else f"{source.path[:_LONGEST_SHOWN]}…"
            raise DataError(f"cannot be read ({error.strerror})", where=where, cure="Check the path.") from None
    if not files and glob.has_magic(source.path):
        cure = "Check the pattern; it is relative to the project file."
        raise DataError("no file matches", where=source.path, cure=cure)
    if not files:
        what = f"the folder holds no file that ends in {', '.join(endings)}"
        raise DataError(
            what, where=source.path, cure="Check the folder, or name its files by a pattern like `folder/*`."
        )
    return files


def _local_files(path: Path, endings: tuple[str, ...]) -> list[Path]:
    if path.is_dir():
        return _in_folder(path, endings)
    if path.exists():
        return [path]
    if glob.has_magic(str(path)):
        matches = Path(path.anchor).glob(str(path.relative_to(path.anchor)))
        return sorted(match for match in matches if match.is_file())
    siblings = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
    near = did_you_mean(path.name, siblings)
    cure = near if near.startswith("Did") else "Relative paths are relative to the project file."
    raise DataError("there is no such file or folder", where=str(path), cure=cure)


def _in_folder(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Return the files below a folder with one of the endings, hidden ones left out, sorted."""
    found = (file for file in folder.rglob("*") if file.is_file() and file.name.lower().endswith(endings))
    return sorted(file for file in found if not any(part[0] in "._" for part in file.relative_to(folder).parts))


def _read_parquet(files: Sequence[Path]) -> pd.DataFrame:
    tables: list[Any] = []
    origins: list[Origin] = []
    rows = 0
    for file, table in _parquet_tables(files):
        tables.append(table)
        origins.append(Origin(rows, str(file)))
        rows += table.num_rows
        _joined([tables[0], table], file, files[0])
    return set_origins(_frame(_joined(tables, files[-1], files[0])), tuple(origins))


def _parquet_tables(files: Sequence[Path]) -> Iterator[tuple[Path, Any]]:
    names: list[str] = []
    for file in files:
        try:
            table = _plain_table(pq.read_table(file, partitioning=None))
        except (OSError, pa.ArrowInvalid) as error:
            raise _not_parquet(file, error) from None
        names = names or table.column_names
        yield file, same_columns(table, names, file, files[0])


def _iter_parquet(files: Sequence[Path], chunk_rows: int) -> Iterator[tuple[Any, Origin]]:
    names: list[str] = []
    schema = _common_schema(files)
    for file in files:
        done = 0
        try:
            with pq.ParquetFile(file) as reader:
                for batch in reader.iter_batches(batch_size=chunk_rows):
                    table = _plain_table(pa.Table.from_batches([batch]))
                    names = names or table.column_names
                    table = same_columns(table, names, file, files[0])
                    yield table.cast(pa.schema([schema.field(name) for name in names])), Origin(-done, str(file))
                    done += table.num_rows
        except (OSError, pa.ArrowInvalid) as error:
            raise _not_parquet(file, error) from None


def _common_schema(files: Sequence[Path]) -> Any:
    """Return one type for every column of all files, so that no chunk differs from another in type."""
    tables: list[Any] = []
    for file in files:
        try:
            tables.append(_plain_table(pq.read_schema(file).empty_table()))
        except (OSError, pa.ArrowInvalid) as error:
            raise _not_parquet(file, error) from None
        _joined([tables[0], tables[-1]], file, files[0])
    return _joined(tables, files[-1], files[0]).schema


def _not_parquet(file: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:200]
    return DataError(f"the file cannot be read as Parquet ({reason})", where=str(file), cure="Check the file.")


def _plain_table(table: Any) -> Any:
    """Return a table without pandas' unnamed index columns and with dictionaries decoded."""
    table = table.select([name for name in table.column_names if not name.startswith("__index_level_")])
    for position, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            decoded = table.column(position).cast(field.type.value_type)
            table = table.set_column(position, field.name, decoded)
    return table


def _joined(tables: Sequence[Any], file: Path, first: Path) -> Any:
    """Put tables one below the other; columns may widen (int to double), and must not change their kind."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        what = f"the columns do not fit those of {first.name} ({str(error).splitlines()[0][:200]})"
        raise DataError(what, where=str(file), cure="Give the column one type in all files.") from None


def _chunks(pieces: Iterator[tuple[Any, Origin]], chunk_rows: int) -> Iterator[pd.DataFrame]:
    """Cut and join pieces of any length to chunks of `chunk_rows`, keeping their origins."""
    waiting: list[tuple[Any, Origin]] = []
    rows = 0
    for table, origin in pieces:
        start = 0
        while rows + table.num_rows - start >= chunk_rows:
            take = chunk_rows - rows
            waiting.append((table.slice(start, take), Origin(origin.first_row - start, origin.file, origin.dialect)))
            yield _chunk(waiting)
            waiting, rows, start = [], 0, start + take
        if start < table.num_rows:
            rest = table.slice(start)
            waiting.append((rest, Origin(origin.first_row - start, origin.file, origin.dialect)))
            rows += rest.num_rows
    if waiting:
        yield _chunk(waiting)


def _chunk(parts: Sequence[tuple[Any, Origin]]) -> pd.DataFrame:
    origins: list[Origin] = []
    rows = 0
    for table, origin in parts:
        origins.append(Origin(rows + origin.first_row, origin.file, origin.dialect))
        rows += table.num_rows
    file, first = Path(origins[-1].file), Path(origins[0].file)
    return set_origins(_frame(_joined([table for table, _ in parts], file, first)), tuple(origins))


def _frame(table: Any) -> pd.DataFrame:
    """Return an Arrow table as a frame of Arrow columns: nothing is converted, integers with gaps stay exact."""
    frame: pd.DataFrame = table.to_pandas(types_mapper=pd.ArrowDtype, ignore_metadata=True)
    return frame
