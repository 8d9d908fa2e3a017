"""Which character encoding a text file has, or a clear refusal: found by looking at the whole file."""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import charset_normalizer
import pyarrow as pa

from tiltyard.errors import DataError

_BLOCK = 1 << 20
_SAMPLE = 1 << 16
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a]")
_ODD_SIGNS = "\u02dc\u00a4\u00a6\u00a8\u00ac\u00ad\u00af\u00b6\u00b8"
"""Signs of Windows-1252 that nobody writes in a table: free accents, the currency sign, the broken bar."""
_NO_MARK = {
    name: f"It needs a byte order mark at the file's beginning; without one say `{name}-le` or `{name}-be`."
    for name in ("utf-16", "utf-32")
}
_LONGEST_NAME = 60
_FOREIGN = (
    (b"PK\x03\x04", "a spreadsheet or a zip archive", "Export the sheet as CSV, or unpack the archive."),
    (b"PAR1", "a Parquet file", "Say `kind: parquet`, or let its name end in `.parquet`."),
    (b"\xd0\xcf\x11\xe0", "an old Excel file", "Export the sheet as CSV."),
    (b"SQLite format 3", "an SQLite database", "Read it by a source of `kind: sql`."),
    (b"%PDF", "a PDF", "Export the table as CSV."),
    (b"\x89PNG", "a picture", "Give a table."),
    (b"BZh", "packed with bzip2", "Pack it with gzip, or unpack it."),
    (b"\xfd7zXZ", "packed with xz", "Pack it with gzip, or unpack it."),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", "Pack it with gzip, or unpack it."),
)


def recognise_encoding(path: Path, given: str | None = None) -> str:
    """Return the encoding of a text file, plain or packed with gzip.

    A byte order mark decides; else UTF-8 when the whole file is; else Windows-1252 (which holds Latin-1) when its
    characters make sense in western words; else what charset-normalizer is sure of.

    Args:
        path: The file.
        given: The encoding that the user named; then it is only checked.

    Returns:
        Python's name of the encoding.

    Raises:
        DataError: The file is empty, no text, damaged, or cannot be decoded; names the line.
    """
    try:
        head = next(_blocks(path), b"")
        if not head:
            raise DataError("the file is empty", where=str(path), cure="Give a table with a header and rows.")
        encoding = _by_head(head, path) if given is None else _checked_name(given, path)
        line = _undecodable_line(path, encoding)
        if line is None:
            return encoding
        if given is None and encoding == "utf-8":
            return _legacy(path, line)
    except (OSError, EOFError) as error:
        raise DataError(f"the file cannot be read ({error})", where=str(path), cure="Check the file.") from None
    what = f"line {line} cannot be decoded as {encoding}"
    cure = _NO_MARK.get(encoding, "Set `encoding` of the source, or save the file as UTF-8.")
    raise DataError(what, where=f"{path}:{line}", cure=cure)


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading bytes, unpacking gzip by its content whatever its name."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    stream: BinaryIO = pa.input_stream(str(path), compression="gzip" if packed else None)
    return stream


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the unpacked content of a file."""
    with open_bytes(path) as stream:
        while block := stream.read(_BLOCK):
            yield block


def _checked_name(given: str, path: Path) -> str:
    """Return Python's name of an encoding that the user named; refuse codecs that are none of text, such as `hex`."""
    try:
        b"a".decode(given, errors="replace")  # a lookup alone knows `hex`, `idna` and `undefined`, too
        return codecs.lookup(given).name
    except (LookupError, ValueError, OSError):
        what = f"`encoding: {ascii(given)[1:-1][:_LONGEST_NAME]}` is no encoding of text"
        raise DataError(what, where=str(path), cure="Use utf-8, utf-16, latin-1, cp1252 or the like.") from None


def _by_head(head: bytes, path: Path) -> str:
    """Tell the encoding by the first bytes, UTF-8 unless they say otherwise; refuse what is no text."""
    for mark, name, cure in _FOREIGN:
        if head.startswith(mark):
            raise DataError(f"the file is {name}, not CSV", where=str(path), cure=cure)
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding
    sample = head[:_SAMPLE]
    if not _CONTROL.search(sample.decode("latin-1")):
        return "utf-8"
    for encoding in ("utf-16-le", "utf-16-be"):  # without a mark: every other byte of western text is zero
        text = sample[: len(sample) // 2 * 2].decode(encoding, errors="replace")
        western = sum(character < "\u0100" for character in text)
        if western > 0.5 * len(text) and not _CONTROL.search(text):
            return encoding
    raise DataError("the file is not text (it holds control characters)", where=str(path), cure="Give CSV or Parquet.")


def _undecodable_line(path: Path, encoding: str) -> int | None:
    """Return the number of the first line (from 1) that cannot be decoded, or None when all can."""
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    lines = 1
    block = b""
    try:
        for block in _blocks(path):
            lines += decoder.decode(block).count("\n")
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return lines + error.object[: error.start].count(b"\n")
    except UnicodeError:  # without a place: the byte order mark is missing
        return lines
    return None


def _legacy(path: Path, first_line: int) -> str:
    """Choose the encoding of a file that is not Unicode, by its lines with other than ASCII characters."""
    sample = _telling_lines(path)
    if _is_western(sample):
        return "cp1252"
    best = charset_normalizer.from_bytes(sample).best()
    if best is None or best.encoding in {"utf_8", "ascii"} or _undecodable_line(path, best.encoding) is not None:
        raise DataError(
            "the character encoding is not recognised",
            where=f"{path}:{first_line}",
            cure="Set `encoding` of the source, or save the file as UTF-8.",
        )
    return best.encoding


def _telling_lines(path: Path) -> bytes:
    """Return up to 64 KiB of the lines that are not plain ASCII."""
    lines: list[bytes] = []
    size = 0
    rest = b""
    for block in _blocks(path):
        *whole, rest = (rest + block).split(b"\n")
        telling = [line for line in whole if not line.isascii()]
        lines += telling
        size += sum(map(len, telling))
        if size > _SAMPLE:
            break
    return b"\n".join([*lines, rest])[: 2 * _SAMPLE]


def _is_western(sample: bytes) -> bool:
    """Whether a sample makes sense as Windows-1252: accented letters few among plain ones, no odd signs inside words.

    In Cyrillic, Greek or Asian text read as Windows-1252, most letters would be accented ones.
    """
    try:
        text = sample.decode("cp1252")
    except UnicodeDecodeError:
        return False
    accented = sum(character.isalpha() and not character.isascii() for character in text)
    plain = sum(character.isalpha() and character.isascii() for character in text)
    odd = sum(character in _ODD_SIGNS for character in text)
    return accented <= 0.35 * (accented + plain) and odd == 0
