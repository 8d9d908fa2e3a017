"""The log of one process: what is appended is there, whole, whatever happens to disk and process."""

import asyncio
import errno
import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.predictions.lines import KEY, SCHEMA, line
from tiltyard.predictions import segment
from tiltyard.predictions.files import backlog, held, lock
from tiltyard.predictions.log import PredictionLog, UnloggedError
from tiltyard.predictions.recovery import Recovery, recover
from tiltyard.predictions.segment import Segment
from tiltyard.predictions.settings import LogSettings


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def contents(folder: Path) -> dict[str, bytes]:
    """Return the segments' contents by the endings of their names."""
    return {path.suffix: path.read_bytes() for path in sorted(folder.iterdir())}


def sealed(folder: Path) -> bytes:
    """Return what the sealed segments hold, in the order in which they were made."""
    return b"".join(path.read_bytes() for path in sorted(folder.glob("*.jsonl")))


def test_a_line_is_in_the_file_before_append_returns(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path / "new" / "log")
    log.append(line("a"), KEY, SCHEMA)
    log.append(line("b"), KEY, SCHEMA)
    assert contents(tmp_path / "new" / "log") == {".open": SCHEMA + line("a") + line("b")}
    log.close()
    assert contents(tmp_path / "new" / "log") == {".jsonl": SCHEMA + line("a") + line("b")}
    assert log.counts == (2, len(SCHEMA + line("a") + line("b")), 0, 0)


def test_every_segment_names_the_schemas_that_it_needs(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, LogSettings(rotate_bytes=1))
    log.append(line("a"), KEY, SCHEMA)
    log.append(line("b"), KEY, SCHEMA)
    log.append(b"feedback\n", None, b"")
    log.close()
    assert sealed(tmp_path) == SCHEMA + line("a") + SCHEMA + line("b") + b"feedback\n"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_quiet_log_is_sealed_by_its_age(tmp_path: Path) -> None:
    clock = Clock()
    log = PredictionLog(tmp_path, LogSettings(rotate_seconds=30), clock=clock)
    log.tick()
    assert list(tmp_path.iterdir()) == []
    log.append(line("a"), KEY, SCHEMA)
    clock.now += 29
    log.tick()
    assert list(contents(tmp_path)) == [".open"]
    clock.now += 1
    log.tick()
    assert list(contents(tmp_path)) == [".jsonl"]
    log.append(line("b"), KEY, SCHEMA)
    assert sorted(contents(tmp_path)) == [".jsonl", ".open"]
    log.close()


def test_the_sample_is_a_stable_share(tmp_path: Path) -> None:
    names = [f"9f{number:08x}" for number in range(4000)]
    some, others = (PredictionLog(tmp_path, LogSettings(sample=0.25)) for _ in range(2))
    chosen = [name for name in names if some.wants(name)]
    assert 0.2 < len(chosen) / len(names) < 0.3
    assert [name for name in names if others.wants(name)] == chosen
    assert all(map(PredictionLog(tmp_path).wants, names))
    assert not any(map(PredictionLog(tmp_path, LogSettings(sample=0)).wants, names))


def test_no_one_else_holds_a_segment_that_is_written(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.append(line("a"), KEY, SCHEMA)
    with held(next(tmp_path.iterdir())) as descriptor:
        assert descriptor is None
    assert recover(tmp_path).sealed == 0
    log.close()
    with held(next(tmp_path.iterdir())) as descriptor:
        assert descriptor is not None


def test_a_folder_that_was_taken_away_is_made_again(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path / "log")
    log.append(line("a"), KEY, SCHEMA)
    (tmp_path / "log").rename(tmp_path / "gone")
    log.tick()
    log.append(line("b"), KEY, SCHEMA)
    log.close()
    assert sealed(tmp_path / "log") == SCHEMA + line("b")


def append_all(log: PredictionLog, lines: list[bytes]) -> None:
    """Append lines until one is refused."""
    for one in lines:
        log.append(one, KEY, SCHEMA)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A disk on which so many bytes find room, then none."""
    room = [0]
    write = os.write

    def limited(descriptor: int, content: bytes) -> int:
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = write(descriptor, content[: room[0]])
        room[0] -= done
        return done

    monkeypatch.setattr("tiltyard.predictions.segment.os.write", limited)
    yield room
    monkeypatch.undo()


@pytest.mark.parametrize("policy", ["refuse", "answer"])
def test_on_a_full_disk_nothing_is_torn(
    tmp_path: Path, full_disk: list[int], policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    log = PredictionLog(tmp_path, LogSettings.model_validate({"when_full": policy}))
    full_disk[0] = len(SCHEMA + line("a")) + 5
    log.append(line("a"), KEY, SCHEMA)
    for _ in range(3):
        if policy == "refuse":
            with pytest.raises(UnloggedError, match="cannot be written") as caught:
                log.append(line("b"), KEY, SCHEMA)
            assert (caught.value.http_status, caught.value.retry_after) == (503, 2)
        else:
            assert log.append(line("b"), KEY, SCHEMA) is None
            with pytest.raises(UnloggedError):
                log.append(b"feedback\n", None, b"", required=True)
    full_disk[0] = 10_000
    log.append(line("c"), KEY, SCHEMA)
    log.close()
    assert sealed(tmp_path) == SCHEMA + line("a") + line("c")
    assert log.counts.written == 2
    assert (log.counts.unlogged, log.counts.refused) == ((0, 3) if policy == "refuse" else (3, 3))
    assert not log.is_refusing
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    assert str(tmp_path) in caplog.text


def test_a_segment_whose_torn_line_cannot_be_taken_back_is_left(
    tmp_path: Path, full_disk: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    log = PredictionLog(tmp_path)
    full_disk[0] = len(SCHEMA + line("a")) + 5
    log.append(line("a"), KEY, SCHEMA)
    with monkeypatch.context() as patch:
        patch.setattr("tiltyard.predictions.segment.os.ftruncate", refuse)
        with pytest.raises(UnloggedError):
            log.append(line("b"), KEY, SCHEMA)
    full_disk[0] = 10_000
    log.append(line("c"), KEY, SCHEMA)
    log.close()
    assert recover(tmp_path) == (1, 5)
    assert sealed(tmp_path) == SCHEMA + line("a") + SCHEMA + line("c")


def test_a_real_full_file_system(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        log = PredictionLog(folder, LogSettings(rotate_bytes=20_000))
        written = [line(f"{number:05d}") for number in range(1000)]
        with pytest.raises(UnloggedError, match="No space left on device"):
            append_all(log, written)
        next(folder.glob("*.jsonl")).unlink()
        log.append(line("after"), KEY, SCHEMA)
        log.close()
        whole = sealed(folder)
        assert whole.endswith(line("after"))
        assert set(whole.splitlines(keepends=True)) <= {SCHEMA, *written, line("after")}
        assert whole.count(b"\n") > 100
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_those_who_wait_for_the_disk_share_a_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushes = []
    flush = os.fdatasync

    def counted(descriptor: int) -> None:
        flushes.append(os.fstat(descriptor).st_size)
        flush(descriptor)

    monkeypatch.setattr(os, "fdatasync", counted)
    log = PredictionLog(tmp_path, LogSettings(durability="disk", rotate_bytes=2000))

    async def answer(number: int) -> None:
        await log.synced(log.append(line(f"{number:03d}"), KEY, SCHEMA))

    async def all_at_once() -> None:
        await asyncio.gather(*(answer(number) for number in range(100)))

    asyncio.run(all_at_once())
    segments = len(list(tmp_path.iterdir()))
    assert segments <= len(flushes) < 100
    log.close()
    assert backlog(tmp_path)[:2] == (segments, len(sealed(tmp_path)))
    assert sealed(tmp_path).count(b'"id"') == 100


@pytest.mark.parametrize("policy", ["refuse", "answer"])
def test_a_disk_that_refuses_the_flush_acknowledges_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, policy: str
) -> None:
    caplog.set_level(logging.INFO)

    def refuse(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    log = PredictionLog(tmp_path, LogSettings.model_validate({"durability": "disk", "when_full": policy}))

    async def answer(name: str) -> None:
        await log.synced(log.append(line(name), KEY, SCHEMA))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", refuse)
        if policy == "refuse":
            with pytest.raises(UnloggedError, match="flushed"):
                asyncio.run(answer("a"))
        else:
            asyncio.run(answer("a"))
    assert log.counts.unlogged + log.counts.refused == 1
    assert log.is_refusing == (policy == "refuse")
    asyncio.run(answer("b"))
    assert not log.is_refusing
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO"]
    log.close()
    assert sealed(tmp_path).endswith(SCHEMA + line("b"))


def test_a_second_flush_does_not_make_good_what_the_first_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushes: list[int] = []

    def refuse_once(descriptor: int) -> None:
        flushes.append(descriptor)
        if len(flushes) == 1:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", refuse_once)
    one = Segment(tmp_path, "s", 0.0)
    one.write(b"line\n")
    one.sync()
    one.sync()
    assert (one.failed, one.synced, len(flushes)) == (True, 0, 1)
    one.end()


def test_a_durable_log_is_sealed_by_its_age_within_an_event_loop(tmp_path: Path) -> None:
    clock = Clock()
    log = PredictionLog(tmp_path, LogSettings(durability="disk", rotate_seconds=30), clock=clock)

    async def a_while() -> None:
        await log.synced(log.append(line("a"), KEY, SCHEMA))
        clock.now += 31
        log.tick()
        await log.synced(log.append(line("b"), KEY, SCHEMA))

    asyncio.run(a_while())
    assert sealed(tmp_path) == SCHEMA + line("a")
    log.close()
    assert sealed(tmp_path) == SCHEMA + line("a") + SCHEMA + line("b")


def test_a_file_system_without_locks_refuses_and_leaks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int, **__: bool) -> bool:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(segment, "lock", refuse)
    log = PredictionLog(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(UnloggedError, match="No locks available"):
            log.append(line("a"), KEY, SCHEMA)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert list(tmp_path.iterdir()) == []


def test_an_orphan_taken_away_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[Recovery] = []

    def late(descriptor: int, *, wait: bool = False) -> bool:
        if not taken:
            taken.append(recover(tmp_path))
        return lock(descriptor, wait=wait)

    monkeypatch.setattr(segment, "lock", late)
    log = PredictionLog(tmp_path)
    log.append(line("a"), KEY, SCHEMA)
    assert taken
    assert contents(tmp_path) == {".open": SCHEMA + line("a")}
    log.close()


def test_nothing_to_append_says_nothing_of_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = PredictionLog(tmp_path)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UnloggedError):
        log.append(b"{}\n", None, b"")
    monkeypatch.undo()
    assert log.is_refusing
    assert log.append_all([])
    assert log.is_refusing
    log.close()
