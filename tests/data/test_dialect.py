"""Encodings and dialects: recognised, or refused with file, line and column."""

import csv
import gzip
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiltyard.data.dialect import recognise_dialect
from tiltyard.data.encoding import recognise_encoding
from tiltyard.data.sources import iter_source, read_source
from tiltyard.errors import DataError
from tiltyard.project.environment import Environment, Workplace
from tiltyard.project.model import CsvSource


def read(file: Path, **given_dialect: object) -> list[list[str]]:
    source = CsvSource.model_validate({"path": str(file), **given_dialect})
    workplace = Workplace(file.parent / "tiltyard.yaml", Environment())
    frame = read_source(source, workplace=workplace)
    pieces = [chunk for chunks in iter_source(source, 2, workplace=workplace) for chunk in chunks.to_numpy().tolist()]
    rows: list[list[str]] = frame.to_numpy().tolist()
    assert pieces == rows
    return [[str(name) for name in frame.columns], *rows]


CITIES = "city;size;share\nGenève;1,5;x\nKöln;2,75;y\nMálaga;3;z\n"
CITY_ROWS = [["city", "size", "share"], ["Genève", "1,5", "x"], ["Köln", "2,75", "y"], ["Málaga", "3", "z"]]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"]
)
@pytest.mark.parametrize("pack", [False, True])
def test_encodings_are_recognised(tmp_path: Path, encoding: str, pack: bool) -> None:
    content = CITIES.encode(encoding)
    file = tmp_path / ("table.csv.gz" if pack else "table.csv")
    file.write_bytes(gzip.compress(content) if pack else content)
    assert read(file) == CITY_ROWS


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1251", "город;население;страна\n" + "Москва;12,6;Россия\nКазань;1,3;Россия\nОмск;1,1;Россия\n" * 20),  # noqa: RUF001  # Cyrillic on purpose
        ("shift_jis", "都市;人口;国\n" + "東京;13,9;日本\n大阪;2,7;日本\n名古屋;2,3;日本\n" * 20),
    ],
)
def test_other_encodings_are_guessed_from_their_letters(tmp_path: Path, encoding: str, text: str) -> None:
    (tmp_path / "table.csv").write_bytes(text.encode(encoding))
    assert read(tmp_path / "table.csv")[1] == text.splitlines()[1].split(";")


def test_an_accent_after_megabytes_of_ascii_counts(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(b"a,b\n" + b"1,plain\n" * 300_000 + "2,Genève\n".encode("latin-1"))
    assert recognise_encoding(tmp_path / "table.csv") == "cp1252"


@pytest.mark.parametrize(
    ("text", "delimiter", "line", "first"),
    [
        ("a,b\n1,2\n", ",", 0, ["1", "2"]),
        ("a;b\n1,5;2,5\n3,5;4\n", ";", 0, ["1,5", "2,5"]),
        ("a\tb\nx, y\tz\n", "\t", 0, ["x, y", "z"]),
        ("a|b\n1|2\n", "|", 0, ["1", "2"]),
        ("a b\n1 2\n3 4\n", " ", 0, ["1", "2"]),
        ("sep=;\na;b\n1;2\n", ";", 1, ["1", "2"]),
        ("Report of May\nmade by: me, you\n\na;b;c\n1,5;2;3\n2,5;3;4\n", ";", 3, ["1,5", "2", "3"]),
        ("Report;;\n;;\na;b;c\n1;2;3\n2;3;4\n", ";", 2, ["1", "2", "3"]),
        ('a,b\n"x\ny",2\n"q""r",3\n', ",", 0, ["x\ny", "2"]),
        ("a,b\n'x, y',2\n'z',3\n", ",", 0, ["x, y", "2"]),
        ('"a\nb",c\n1,2\n', ",", 0, ["1", "2"]),
        ("a,b\r\n1,2\r\n\r\n3,4\r\n", ",", 0, ["1", "2"]),
        ("year,2019,2020\nx,1,2\n", ",", 0, ["x", "1", "2"]),
        ("x\n1\n2\n", ",", 0, ["1"]),
    ],
)
def test_dialects_are_recognised(tmp_path: Path, text: str, delimiter: str, line: int, first: list[str]) -> None:
    file = tmp_path / "table.csv"
    file.write_text(text, encoding="utf-8", newline="")
    dialect = recognise_dialect(file)
    assert (dialect.delimiter, dialect.skip_lines) == (delimiter, line)
    assert read(file)[1] == first


@pytest.mark.parametrize(
    ("content", "message", "line"),
    [
        (b"", "is empty", ""),
        (b"\n \n", "only blank lines", ""),
        (b"a,b\n", "a header and no rows", ":1"),
        (b"a,b\n1,2\n3,4,5\n6,7\n", "3 fields where the header has 2", ":3"),
        (b'a,b\n"x\ny",2\n3\n6,7\n', "1 fields where the header has 2", ":4"),
        (b"a,b,a\n1,2,3\n", "`a` stands twice, in columns 1 and 3", ":1"),
        (b",a,b\n0,1,2\n", "column 1 of the header has no name", ":1"),
        (b"1,2,3\n4,5,6\n", "there is no header", ":1"),
        (b'a,b\n1,2\n3,"x\n4,5\n6,7\n', "never closed", ":3"),
        (b'a, "b"\n1, "x"\n2, "y"\n', "space before its quote", ":2"),
        (b"PK\x03\x04rest", "spreadsheet", ""),
        (b"PAR1rest", "Parquet", ""),
        (b"\x00\x01\x02\x03" * 50, "not text", ""),
        (b"\x1f\x8b\x08\x00broken", "cannot be read", ""),
        (b"one; two, three\nfour\nfive; six\nseven, 8, 9, ten\n", "delimiter is not recognised", ":1"),
    ],
)
def test_broken_files_are_refused_with_their_line(tmp_path: Path, content: bytes, message: str, line: str) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read(file)
    assert caught.value.where == f"{file}{line}"
    assert caught.value.cure


def test_a_wrong_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(b"a,b\n1,2\n" + "3,é\n".encode("latin-1"))
    with pytest.raises(DataError, match="line 3 cannot be decoded as utf-8"):
        read(file, encoding="utf-8")
    with pytest.raises(DataError, match="`encoding: klingon` is no encoding"):
        read(file, encoding="klingon")


@pytest.mark.parametrize(
    "encoding", ["hex", "rot13", "idna", "undefined", "zlib", "base64", "utf\0-8", "", "x" * 5000, "../utf-8", "mbcs"]
)
def test_what_is_no_encoding_of_text_is_refused(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"is no encoding of text\. Use utf-8") as caught:
        recognise_encoding(tmp_path / "table.csv", encoding)
    assert len(str(caught.value)) < 400
    assert "\0" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_missing_byte_order_mark_is_named(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "table.csv").write_bytes("a,b\n1,2\n".encode(f"{encoding}-le"))
    with pytest.raises(DataError, match=f"line 1 cannot be decoded as {encoding}. .* say `{encoding}-le`"):
        read(tmp_path / "table.csv", encoding=encoding)


def test_what_the_user_says_is_not_guessed(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("junk;with;these\na:b;c\n1:2;3\n4:5;6\n")
    assert read(file, delimiter=":", skip_rows=1) == [["a", "b;c"], ["1", "2;3"], ["4", "5;6"]]


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    content = gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * 7919 % 1009) for n in range(20_000)))
    (tmp_path / "table.csv.gz").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"cannot be read"):
        read(tmp_path / "table.csv.gz")


CELLS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="\n"), max_size=8)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(",;\t|"), st.lists(st.tuples(CELLS, st.integers(), CELLS), min_size=1, max_size=6))
def test_whatever_python_writes_is_read_back(delimiter: str, rows: list[tuple[str, int, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([("first", "number", "last"), *rows])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "table.csv"
        file.write_text(text.getvalue(), encoding="utf-8", newline="")
        assert read(file)[1:] == [[first, str(number), last] for first, number, last in rows]
