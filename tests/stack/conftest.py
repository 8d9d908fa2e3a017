"""Stacks whose parts are stand-ins that start at once."""

import contextlib
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import free_port
from tiltyard.project.addresses import Addresses
from tiltyard.stack import ports, running
from tiltyard.stack.marks import marked
from tiltyard.stack.parts import PARTS, Layout
from tiltyard.stack.ports import Wishes
from tiltyard.stack.running import Up, Wanted, up

PROCESSES = 6
"""The supervisor, four parts, and what the worker has started."""

STANDIN = Path(__file__).with_name("standin.py")


def standin_commands(layout: Layout) -> dict[str, str]:
    """Return the commands of the stand-ins."""
    return {
        name: shlex.join([sys.executable, str(STANDIN), name, str(getattr(layout.ports, name, 0))]) for name in PARTS
    }


@pytest.fixture
def standins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stacks be of stand-ins, on ports that nobody else takes, and of little patience."""
    monkeypatch.setattr(running, "commands", standin_commands)
    monkeypatch.setattr(running, "STOP_SECONDS", 6.0)
    monkeypatch.setattr(ports, "USUAL", {name: free_port() for name in ports.USUAL})


def eventually(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Return the first true value of a condition, or fail."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"nothing came true within {seconds:g} s")


Bring = Callable[..., Up]


@pytest.fixture
def bring(standins: None, tmp_path: Path) -> Iterator[Bring]:  # noqa: ARG001  # for what it does
    """Return a function that brings a stack up; whatever it brought up is killed at the end."""
    homes: set[Path] = set()

    def start(
        home: Path | None = None,
        wishes: Wishes | None = None,
        *,
        projects: tuple[str, ...] = ("churn.yaml",),
        prepare: Callable[[Addresses], None] = lambda _: None,
        certificate: Path | None = None,
    ) -> Up:
        home = home or tmp_path
        homes.add(home)
        files = tuple(home / name for name in projects)
        wanted = Wanted(home, files, ports=wishes or Wishes(), certificate=certificate)
        stack = up(wanted, watch=lambda _: None, prepare=prepare)
        eventually(lambda: len(marked(home)) == PROCESSES)
        return stack

    yield start
    for process in (process for home in homes for process in marked(home)):
        with contextlib.suppress(psutil.Error):
            process.kill()
