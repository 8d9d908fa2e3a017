"""CSV files read as text, whole or in chunks, with every broken line named."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.csv as pacsv

from tiltyard.data.dialect import recognise_dialect
from tiltyard.data.encoding import open_bytes
from tiltyard.data.origin import Dialect, Origin, numbered_records, open_text
from tiltyard.errors import DataError
from tiltyard.project.model import CsvSource

_BLOCK = 8 << 20


def read_csv(files: Sequence[Path], source: CsvSource) -> tuple[Any, tuple[Origin, ...]]:
    """Read CSV files with the same columns, every cell as text.

    Args:
        files: The files, in the order of their rows.
        source: The dialect as far as the user gave it.

    Returns:
        An Arrow table of strings, columns in the order of the first file; and where its rows came from.

    Raises:
        DataError: A file cannot be read, or has other columns than the first.
    """
    tables: list[Any] = []
    origins: list[Origin] = []
    rows = 0
    for file in files:
        dialect = _dialect(file, source)
        table = _guarded(file, dialect, lambda file=file, dialect=dialect: _read(file, dialect))
        tables.append(table if not tables else same_columns(table, tables[0].column_names, file, files[0]))
        origins.append(Origin(rows, str(file), dialect))
        rows += table.num_rows
    return pa.concat_tables(tables), tuple(origins)


def iter_csv(files: Sequence[Path], source: CsvSource) -> Iterator[tuple[Any, Origin]]:
    """Yield CSV files in pieces of a few megabytes, with the origin of each piece.

    Raises:
        DataError: As `read_csv`, when the broken line is reached.
    """
    names: list[str] = []
    for file in files:
        dialect = _dialect(file, source)
        pieces = _pieces(file, dialect)
        done = 0
        while (piece := _guarded(file, dialect, lambda pieces=pieces: next(pieces, None))) is not None:
            table = pa.Table.from_batches([piece])
            names = names or table.column_names
            yield same_columns(table, names, file, files[0]), Origin(-done, str(file), dialect)
            done += table.num_rows


def same_columns(table: Any, names: Sequence[str], file: Path, first: Path) -> Any:
    """Return a table with its columns in a given order.

    Raises:
        DataError: It has other columns.
    """
    found = table.column_names
    for name in names:
        if name not in found:
            what = f"there is no column `{name}`, which {first.name} has"
            raise DataError(what, where=str(file), cure="All files of a source need the same columns.")
    for name in found:
        if name not in names:
            what = f"there is a column `{name}`, which {first.name} does not have"
            raise DataError(what, where=str(file), cure="All files of a source need the same columns.")
    return table.select(list(names))


def _dialect(file: Path, source: CsvSource) -> Dialect:
    return recognise_dialect(file, delimiter=source.delimiter, encoding=source.encoding, skip_rows=source.skip_rows)


def _options(dialect: Dialect) -> dict[str, Any]:
    """Return pyarrow's options: given names, all columns as text, nothing taken for missing yet."""
    unicode_8 = dialect.encoding in {"utf-8", "utf-8-sig", "ascii"}
    return {
        "read_options": pacsv.ReadOptions(
            column_names=list(dialect.names),
            skip_rows=dialect.skip_lines + dialect.header_lines,
            encoding="utf8" if unicode_8 else dialect.encoding,
            block_size=_BLOCK,
        ),
        "parse_options": pacsv.ParseOptions(
            delimiter=dialect.delimiter, quote_char=dialect.quote, newlines_in_values=True
        ),
        "convert_options": pacsv.ConvertOptions(
            column_types=dict.fromkeys(dialect.names, pa.large_string()), strings_can_be_null=False
        ),
    }


def _read(file: Path, dialect: Dialect) -> Any:
    with open_bytes(file) as stream:
        table = pacsv.read_csv(stream, **_options(dialect))
    if table.num_rows:
        _check_end(file, dialect, str(table.column(table.num_columns - 1)[-1].as_py()))
    return table


def _pieces(file: Path, dialect: Dialect) -> Iterator[Any]:
    last = ""
    with open_bytes(file) as stream, pacsv.open_csv(stream, **_options(dialect)) as reader:
        for batch in reader:
            if batch.num_rows:
                last = str(batch.column(batch.num_columns - 1)[-1].as_py())
                yield batch
    _check_end(file, dialect, last)


def _check_end(file: Path, dialect: Dialect, last_cell: str) -> None:
    """Refuse a quote that is never closed: it swallows the rest of the file into the last cell."""
    if "\n" not in last_cell and "\r" not in last_cell:
        return
    with open_text(file, dialect.encoding) as text:
        try:
            for _ in csv.reader(text, delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True):
                pass
        except csv.Error:
            line = max(line for line, _ in numbered_records(file, dialect))
            what = f"a quote ({dialect.quote}) opened in this record is never closed"
            raise DataError(what, where=f"{file}:{line}", cure="Close it, or double it.") from None


def _guarded(file: Path, dialect: Dialect, read: Any) -> Any:
    """Call `read`, turning what pyarrow says about a broken file into a line and a cure."""
    try:
        return read()
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        _explain(file, dialect, str(error))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the file cannot be read ({error})", where=str(file), cure="Check the file.") from None


def _explain(file: Path, dialect: Dialect, reason: str) -> NoReturn:
    """Name the first line whose fields do not match the header."""
    width = len(dialect.names)
    for line, record in numbered_records(file, dialect):
        if len(record) != width:
            what = f"there are {len(record)} fields where the header has {width} columns"
            cure = f"Correct the line; a field that holds {dialect.delimiter!r} must stand in {dialect.quote}."
            raise DataError(what, where=f"{file}:{line}", cure=cure) from None
    raise DataError(f"the file cannot be read as CSV ({reason})", where=str(file), cure="Check the file.") from None
