"""Reading logs while they are written."""

from pathlib import Path

from tiltyard.stack.logs import Tail, last_lines, last_words, log_file


def test_the_last_lines_of_a_log(tmp_path: Path) -> None:
    file = tmp_path / "worker.log"
    assert last_lines(file, 3) == []
    file.write_bytes(b"one\ntwo\n\xff\xfe\nfour")
    assert last_lines(file, 2) == ["\ufffd\ufffd", "four"]
    assert last_lines(file, 0) == []


def test_last_words_are_the_last_that_says_something(tmp_path: Path) -> None:
    file = log_file(tmp_path, "mlflow")
    assert last_words(tmp_path, "mlflow") == f"Its log is {file}."
    file.parent.mkdir(parents=True)
    file.write_text("starting\nno such table\n\n")
    assert last_words(tmp_path, "mlflow") == f"Its log, {file}, ends with: no such table"


def test_new_lines_are_read_over_rotation_and_late_birth(tmp_path: Path) -> None:
    file = tmp_path / "worker.log"
    tail = Tail(file)
    assert tail.read() == []
    file.write_text("born\nhalf a")
    assert tail.read() == ["born"]
    with file.open("a") as stream:
        stream.write(" line\n")
    assert tail.read() == ["half a line"]
    file.rename(tmp_path / "worker.log.1")
    file.write_text("rotated\n")
    assert tail.read() == ["rotated"]
    file.write_text("cut\n")
    assert tail.read() == ["cut"]


def test_what_was_there_before_is_not_new(tmp_path: Path) -> None:
    file = tmp_path / "worker.log"
    file.write_text("old\n")
    tail = Tail(file)
    with file.open("a") as stream:
        stream.write("new\n")
    assert tail.read() == ["new"]
