"""The workers come first: what helps them begins when they answer, and an early end leaves nothing behind."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.predictions.lines import KEY, SCHEMA, line
from tests.serving.servers import eventually, planned, running
from tiltyard.predictions.files import backlog, log_folder
from tiltyard.predictions.log import PredictionLog
from tiltyard.serving.children import Child
from tiltyard.serving.head_start import HeadStart
from tiltyard.serving.plan import Plan
from tiltyard.serving.processes import give_hint
from tiltyard.serving.settings import ShadowSettings

_ENDS_WHEN_TOLD = "import signal; signal.sigwait({signal.SIGTERM})"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    yield ends
    for end in ends:
        os.close(end)


def test_the_head_start_ends_when_all_workers_answer(pipe: tuple[int, int]) -> None:
    ear, mouth = pipe

    async def wait() -> list[bool]:
        start, seen = HeadStart(ear, workers=3), []
        start.begin()
        give_hint(mouth)
        give_hint(mouth)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        seen.append(start.over.is_set())
        give_hint(mouth)
        await start.over.wait()
        give_hint(mouth)  # from now on the sidecar's
        await asyncio.sleep(0.01)
        return [*seen, start.over.is_set()]

    assert asyncio.run(wait()) == [False, True]
    assert os.read(ear, 10) == b"!"


def test_the_head_start_is_bounded(pipe: tuple[int, int]) -> None:
    async def wait() -> bool:
        start = HeadStart(pipe[0], workers=1)
        start.begin(0.0)
        return await start.over.wait()

    assert asyncio.run(asyncio.wait_for(wait(), 30))


def child(role: str) -> Child:
    found = Child(role, ShadowSettings(names=(), plan=Path(), log=Path(), parent=os.getpid()), os.environ)
    found._command = [sys.executable, "-c", _ENDS_WHEN_TOLD]
    return found


def test_a_sidecar_starts_after_the_end_too_and_hears_what_it_was_told_before() -> None:
    async def keep(kept: Child) -> int | None:
        stopping, begin = asyncio.Event(), asyncio.Event()
        keeping = asyncio.create_task(kept.keep(stopping, begin))
        await asyncio.sleep(0)
        stopping.set()
        kept.stop(signal.SIGTERM)
        begin.set()
        await keeping
        return None if kept._process is None else kept._process.returncode

    assert [asyncio.run(keep(child(role))) for role in ("sidecar", "shadow", "worker")] == [0, None, None]


def test_an_end_before_anybody_answers_leaves_nothing_unshipped(tmp_path: Path) -> None:
    home = tmp_path / "home"
    log = PredictionLog(log_folder(home))
    log.append(line("a"), KEY, SCHEMA)
    log.close()
    assert backlog(log_folder(home)).segments == 1
    plan = Plan(models={"demand": planned(tmp_path, 1)})
    with running(home, tracking_uri=f"http://127.0.0.1:{free_port()}", plan=plan) as server:
        eventually(lambda: server.children("worker"))
        assert server.stop() == 0
    assert backlog(log_folder(home))[:2] == (0, 0)
    assert list((home / "store" / "predictions").rglob("*.parquet"))
