"""Where a row of a table came from, so that an error can name file and line."""

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import pandas as pd

from tiltyard.data.encoding import open_bytes

_KEY = "tiltyard.origins"


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written.

    Attributes:
        delimiter: Column separator.
        encoding: Python's name of the character encoding.
        skip_lines: Physical lines before the header.
        quote: Quote character.
        names: The column names of the header.
        header_lines: Physical lines of the header, more than one when a quoted name breaks a line.
    """

    delimiter: str
    encoding: str
    skip_lines: int
    quote: str
    names: tuple[str, ...]
    header_lines: int = 1


@dataclass(frozen=True)
class Origin:
    """A run of rows that came from one file.

    Attributes:
        first_row: Position in the frame of the file's first row; negative in a later chunk of a file.
        file: The file.
        dialect: How the file is written, for CSV.
    """

    first_row: int
    file: str
    dialect: Dialect | None = None

    def place(self, row: int) -> str:
        """Name the file and, for CSV the line, else the row (from 0) that a row of the frame came from."""
        number = row - self.first_row
        if self.dialect is None:
            return f"{self.file}, row {number}"
        return f"{self.file}:{line_of(Path(self.file), self.dialect, number)}"


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[TextIOWrapper]:
    """Open a text file, unpacking gzip by its content whatever its name.

    Line ends are kept as they are; characters that cannot be decoded are replaced.
    """
    with open_bytes(path) as stream:
        text = TextIOWrapper(stream, encoding=encoding, errors="replace", newline="")
        try:
            yield text
        finally:
            text.detach()


def numbered_records(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line of each record after the header, and its fields; blank lines are passed."""
    csv.field_size_limit(2**31 - 1)
    with open_text(path, dialect.encoding) as text:
        for _ in range(dialect.skip_lines):
            text.readline()
        reader = csv.reader(text, delimiter=dialect.delimiter, quotechar=dialect.quote)
        line = dialect.skip_lines + 1
        for number, record in enumerate(reader):
            if record and number:
                yield line, record
            line = dialect.skip_lines + reader.line_num + 1


def line_of(path: Path, dialect: Dialect, row: int) -> int:
    """Return the line (from 1) on which a row (from 0) of a CSV file begins."""
    for number, (line, _) in enumerate(numbered_records(path, dialect)):
        if number == row:
            return line
    return row + dialect.skip_lines + dialect.header_lines + 1


def set_origins(frame: pd.DataFrame, origins: tuple[Origin, ...]) -> pd.DataFrame:
    """Note on a frame where its rows came from; returns the same frame."""
    frame.attrs[_KEY] = [asdict(origin) for origin in origins]  # plain values: pandas writes them into Parquet files
    return frame


def origins_of(frame: pd.DataFrame) -> tuple[Origin, ...]:
    """Return where a frame's rows came from; empty when nobody noted it."""
    return tuple(_origin(noted) for noted in frame.attrs.get(_KEY, []))


def _origin(noted: Mapping[str, Any]) -> Origin:
    dialect = None if noted["dialect"] is None else Dialect(**noted["dialect"])
    return Origin(noted["first_row"], noted["file"], dialect)


def place_of(frame: pd.DataFrame, row: int, where: str) -> str:
    """Name the place of a row (position from 0): `file:line`, or `where, row N`.

    Args:
        frame: The raw frame; one that rows were taken out of still has the index of the whole one.
        row: Position in it.
        where: Name of the source, for frames without a noted origin.
    """
    origins = origins_of(frame)
    number = int(frame.index[row]) if origins else row
    known = [origin for origin in origins if origin.first_row <= number]
    return known[-1].place(number) if known else f"{where}, row {row}"
