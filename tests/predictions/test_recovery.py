"""What dead workers left: whole lines are kept, torn ones cut off, and living workers left alone."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.predictions.lines import KEY, SCHEMA, line
from tiltyard.predictions.files import Backlog, backlog, held, log_folder
from tiltyard.predictions.log import PredictionLog
from tiltyard.predictions.recovery import end_of_lines, recover

WHOLE = SCHEMA + line("a") + line("b")


@pytest.mark.parametrize("tail", [b"", b'{"id":"c","ti', b"\0" * 5000, b'{"id"' + b"\0" * 70_000, b"\xff" * 100])
def test_what_follows_the_last_whole_line_is_cut_off(tmp_path: Path, tail: bytes) -> None:
    (tmp_path / "s.open").write_bytes(WHOLE + tail)
    assert recover(tmp_path) == (1, len(tail))
    assert [path.name for path in tmp_path.iterdir()] == ["s.jsonl"]
    assert (tmp_path / "s.jsonl").read_bytes() == WHOLE


@pytest.mark.parametrize("content", [b"", b"torn", b"\0" * 100])
def test_a_segment_without_a_whole_line_is_removed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.open").write_bytes(content)
    assert recover(tmp_path) == (0, len(content))
    assert list(tmp_path.iterdir()) == []


def test_it_finds_nothing_where_there_is_nothing(tmp_path: Path) -> None:
    assert recover(tmp_path / "absent") == (0, 0)
    assert backlog(tmp_path / "absent") == Backlog()
    assert log_folder(tmp_path) == tmp_path / "serving" / "log"


def test_the_living_are_left_alone(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.append(line("a"), KEY, SCHEMA)
    (tmp_path / "dead.open").write_bytes(WHOLE)
    assert recover(tmp_path) == (1, 0)
    log.append(line("b"), KEY, SCHEMA)
    log.close()
    contents = sorted(path.read_bytes() for path in tmp_path.glob("*.jsonl"))
    assert contents == [WHOLE, WHOLE]


def test_of_two_that_recover_one_does(tmp_path: Path) -> None:
    (tmp_path / "s.open").write_bytes(WHOLE)
    with held(tmp_path / "s.open") as descriptor:
        assert descriptor is not None
        assert recover(tmp_path) == (0, 0)
    assert recover(tmp_path) == (1, 0)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"a line of somebody else\nand half of ano")
    (tmp_path / "s.open").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "t.open").write_bytes(WHOLE)
    with pytest.raises(OSError, match="symbolic links"):
        recover(tmp_path)
    assert (tmp_path / "elsewhere").read_bytes() == b"a line of somebody else\nand half of ano"
    assert (tmp_path / "t.jsonl").read_bytes() == WHOLE


def test_the_backlog_counts_what_waits(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl", "c.damaged", "d.open"):
        (tmp_path / name).write_bytes(b"12345")
    os.utime(tmp_path / "a.jsonl", (0, 0))
    found = backlog(tmp_path)
    assert found[:2] == (2, 10)
    assert found.oldest_seconds > 1e9
    assert found.damaged == 1


@settings(deadline=None)
@given(content=st.binary(max_size=40) | st.integers(0, 200_000).map(lambda length: b"x\n" + b"y" * length))
def test_the_end_of_the_lines_is_found_in_files_of_any_length(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "lines"
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    assert end_of_lines(descriptor) == content.rfind(b"\n") + 1
    os.close(descriptor)
