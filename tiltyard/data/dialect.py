"""How a CSV file is written: delimiter, quoting, preamble and header, recognised from a sample or refused.

`csv.Sniffer` is not enough: it takes any frequent character for a delimiter and knows no preamble. Here every
candidate parses the sample, and the one wins whose records agree in width and whose cells are whole.
"""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tiltyard.data.encoding import recognise_encoding
from tiltyard.data.origin import Dialect, open_text
from tiltyard.data.values import MISSING_TEXTS
from tiltyard.errors import DataError

DELIMITERS = (",", ";", "\t", "|", " ")
_SAMPLE = 1 << 19
_RECORDS = 2000
_LEAST_AGREEMENT = 0.6
_NUMBER = re.compile(r"[+-]?[0-9][0-9.,' ]*(?:[eE][+-]?[0-9]+)?")
_YEAR = re.compile(r"(?:19|20)[0-9]{2}")
_SEPARATOR_LINE = re.compile(r"sep=(.)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Record:
    """One parsed record: its first line (from 1), the lines it takes, its fields."""

    line: int
    lines: int
    fields: list[str]


def recognise_dialect(
    path: Path, *, delimiter: str | None = None, encoding: str | None = None, skip_rows: int | None = None
) -> Dialect:
    """Recognise how a CSV file is written.

    Args:
        path: The file; gzip is unpacked.
        delimiter: Column separator, when the user named it.
        encoding: Character encoding, when the user named it.
        skip_rows: Lines before the header, when the user gave them.

    Raises:
        DataError: The file is empty, no text, has no header, a header with empty or repeated names, or no rows; or
            its delimiter is not to be recognised. Names file, line and column.
    """
    encoding = recognise_encoding(path, encoding)
    sample, whole = _sample(path, encoding)
    first_line = sample.split("\n", 1)[0]
    announced = _SEPARATOR_LINE.fullmatch(first_line)
    if announced and delimiter is None:  # Excel's own note
        delimiter = announced[1]
        skip_rows = 1 if skip_rows is None else skip_rows
    if delimiter is not None and (len(delimiter) != 1 or delimiter in "\r\n"):
        raise DataError(f"`delimiter: {delimiter!r}` is not one character", where=str(path), cure="Give one.")
    skipped = sample.split("\n")[: skip_rows or 0]
    sample = sample[sum(len(line) + 1 for line in skipped) :]
    quote = _quote(sample)
    chosen, parsed = _choose(path, sample, delimiter, quote, len(skipped), whole=whole)
    header = _header(path, parsed, fixed=skip_rows is not None)
    names = _names(path, parsed[header])
    _check_body(path, parsed[header], parsed[header + 1 :], quote)
    return Dialect(
        delimiter=chosen,
        encoding=encoding,
        skip_lines=parsed[header].line - 1,
        quote=quote,
        names=names,
        header_lines=parsed[header].lines,
    )


def _sample(path: Path, encoding: str) -> tuple[str, bool]:
    """Return the beginning of a file, in whole lines, and whether it is all of it."""
    with open_text(path, encoding) as text:
        sample = text.read(_SAMPLE)
        whole = len(sample) < _SAMPLE
    if not whole and "\n" in sample:
        sample = sample[: sample.rindex("\n") + 1]
    if not sample.strip():
        raise DataError("the file holds only blank lines", where=str(path), cure="Give a table with header and rows.")
    return sample, whole


def _quote(sample: str) -> str:
    """Return the quote character: the single quote only where fields stand in it and no double quote occurs."""
    single = len(re.findall(r"(?:^|[,;\t|])'[^'\n]*'(?=[,;\t|\r\n]|$)", sample, re.MULTILINE))
    return "'" if '"' not in sample and single >= sample.count("\n") / 2 and single > 1 else '"'


def _parse(sample: str, delimiter: str, quote: str, skipped: int, *, whole: bool) -> list[Record]:
    """Parse a sample; blank lines are passed, and a last record that may be cut is left out."""
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, quotechar=quote)
    records: list[Record] = []
    last = 0
    for fields in reader:
        if fields and any(field.strip() for field in fields):
            records.append(Record(skipped + last + 1, reader.line_num - last, fields))
        last = reader.line_num
        if len(records) > _RECORDS:
            return records
    return records if whole or len(records) < 2 else records[:-1]


def _choose(
    path: Path, sample: str, given: str | None, quote: str, skipped: int, *, whole: bool
) -> tuple[str, list[Record]]:
    """Choose the delimiter by the best score; with the records it gives."""
    candidates = (given,) if given else DELIMITERS
    parsed = {delimiter: _parse(sample, delimiter, quote, skipped, whole=whole) for delimiter in candidates}
    if given:
        return given, parsed[given]
    scores = {delimiter: _score(records, delimiter) for delimiter, records in parsed.items()}
    best = max(DELIMITERS, key=lambda delimiter: scores[delimiter])
    if scores[best] > 0:
        return best, parsed[best]
    if not any(delimiter in sample for delimiter in DELIMITERS[:-1]):
        return ",", parsed[","]
    line = next(record.line for record in parsed[","] if any(mark in ",".join(record.fields) for mark in DELIMITERS))
    raise DataError(
        "the column delimiter is not recognised: with none of comma, semicolon, tab and bar do the lines agree",
        where=f"{path}:{line}",
        cure="Set `delimiter` of the source, and `skip_rows` when lines stand before the header.",
    )


def _score(records: list[Record], delimiter: str) -> float:
    """Rate a candidate from 0 to 1: agreement of widths times share of whole cells, less a little for a preamble."""
    widths = Counter(len(record.fields) for record in records)
    width, _ = max(widths.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
    if width < 2:
        return 0.0
    start = next(index for index, record in enumerate(records) if len(record.fields) == width)
    body = records[start:]
    agreement = sum(len(record.fields) == width for record in body) / len(body)
    if agreement < _LEAST_AGREEMENT or len(body) < 2 <= len(records):
        return 0.0
    cells = [field for record in body[:300] for field in record.fields]
    torn = sum(_is_torn(cell, delimiter) for cell in cells) / len(cells)
    score = agreement * (1.0 - torn) * (1.0 - 0.1 * min(start, 5) / 5)
    return 0.3 * score if delimiter == " " else score


def _is_torn(cell: str, delimiter: str) -> bool:
    """Whether a cell holds another delimiter, as it does when the wrong one cut the line."""
    if any(other in cell for other in ";\t|" if other != delimiter):
        return True
    return delimiter != "," and re.search(r",\S", cell) is not None and not _NUMBER.fullmatch(cell.strip())


def _header(path: Path, records: list[Record], *, fixed: bool) -> int:
    """Return the index of the header: the first record of full width that is not a padded title line."""
    if not records:
        raise DataError("there is nothing after the skipped lines", where=str(path), cure="Lower `skip_rows`.")
    if fixed:
        return 0
    widths = Counter(len(record.fields) for record in records)
    width = max(widths.items(), key=lambda item: (item[1], item[0]))[0]
    full = [index for index, record in enumerate(records) if len(record.fields) == width]
    titles = [index for index in full[:20] if _is_title(records[index].fields)]
    return next((index for index in full if index not in titles), full[0])


def _is_title(fields: list[str]) -> bool:
    """Whether a record of full width is a title padded with empty cells, as spreadsheets export it."""
    return len(fields) > 2 and sum(bool(field.strip()) for field in fields) <= 1


def _names(path: Path, header: Record) -> tuple[str, ...]:
    """Return the column names, or say which is empty or stands twice."""
    names = tuple(field.strip() for field in header.fields)
    check_names(names, where=f"{path}:{header.line}")
    return names


def check_names(names: tuple[str, ...], *, where: str) -> None:
    """Refuse empty and repeated column names.

    Raises:
        DataError: Names the columns by their position (from 1).
    """
    for number, name in enumerate(names, start=1):
        if not name:
            cure = "Name it; a table written by pandas: use `to_csv(…, index=False)`."
            raise DataError(f"column {number} of the header has no name", where=where, cure=cure)
        if name in names[: number - 1]:
            first = names.index(name) + 1
            what = f"the column name `{name}` stands twice, in columns {first} and {number}"
            raise DataError(what, where=where, cure="Rename one of them.")


def _check_body(path: Path, header: Record, body: list[Record], quote: str) -> None:
    """Refuse a table without rows, without a header, or with quotes that do not quote."""
    where = f"{path}:{header.line}"
    if not body:
        raise DataError("the file has a header and no rows", where=where, cure="Give a table with rows.")
    if _looks_like_data(header, body):
        what = f"the first line ({', '.join(header.fields)[:60]}) looks like data: there is no header"
        raise DataError(what, where=where, cure="Put a line with the column names on top.")
    for record in body[:300]:
        for name, field in zip(header.fields, record.fields, strict=False):
            if field.startswith(" ") and field.lstrip().startswith(quote):
                what = f"column `{name.strip()}` has a space before its quote: {field[:40]!r}"
                cure = "Remove the spaces after the delimiter."
                raise DataError(what, where=f"{path}:{record.line}", cure=cure)


def _looks_like_data(header: Record, body: list[Record]) -> bool:
    """Whether every column of numbers has a number, not a year, for its name too."""
    width = len(header.fields)
    rows = [record.fields for record in body if len(record.fields) == width]
    numeric = [column for column in range(width) if _is_numeric([row[column] for row in rows])]
    names = [header.fields[column].strip() for column in numeric]
    return bool(names) and all(_NUMBER.fullmatch(name) and not _YEAR.fullmatch(name) for name in names)


def _is_numeric(cells: list[str]) -> bool:
    present = [cell.strip() for cell in cells if cell.strip() not in MISSING_TEXTS]
    return bool(present) and all(_NUMBER.fullmatch(cell) for cell in present)
