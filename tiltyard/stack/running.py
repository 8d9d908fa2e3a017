"""Up and down: the whole life of a stack."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from filelock import lock_descriptor

from tiltyard.errors import StackError, UsageError
from tiltyard.project.addresses import STACK, Addresses, read_addresses, remove_addresses, write_addresses
from tiltyard.stack import supervisor
from tiltyard.stack.health import Health, health
from tiltyard.stack.keys import keys_of
from tiltyard.stack.logs import last_words
from tiltyard.stack.marks import end, is_supervisor, marked
from tiltyard.stack.parts import PARTS, SERVERS, Layout, commands, environment
from tiltyard.stack.ports import Wishes, claim, describe_listener, listener, sweep

START_SECONDS = 600.0
"""Longest time that the parts may take together until all of them answer."""

STOP_SECONDS = 90.0
"""Longest time that the supervisor may take to stop them."""

MOST_STARTS = 3
"""How often a part may end before it is given up, on the way up."""

_PAUSE = 0.25
_LITTLE_SPACE = 20_000_000
"""Bytes with which no server starts."""

Watcher = Callable[[tuple[Health, ...]], None]


@dataclass(frozen=True)
class Wanted:
    """What is to be brought up.

    Attributes:
        home: Home of the stack.
        projects: Project files, absolute.
        host: Address to listen on.
        ports: What the user chose.
        certificate: Certificate that the model server shows, absolute; None where it speaks HTTP.
    """

    home: Path
    projects: tuple[Path, ...]
    host: str = "127.0.0.1"
    ports: Wishes = field(default_factory=Wishes)
    certificate: Path | None = None


@dataclass(frozen=True)
class Up:
    """A stack that is up.

    Attributes:
        addresses: Where its parts listen.
        already: Whether it was up before.
        cleared: How many processes of an earlier one, whose supervisor was gone, were ended first.
    """

    addresses: Addresses
    already: bool = False
    cleared: int = 0


def up(wanted: Wanted, *, watch: Watcher, prepare: Callable[[Addresses], None]) -> Up:
    """Start a stack and wait until every part answers; one that is up already stays as it is.

    All or nothing: where a part does not start, or `prepare` fails, nothing stays behind.

    Args:
        wanted: What is to be brought up.
        watch: Told again and again how the parts are.
        prepare: Called once when Prefect and MLflow answer, and before the other parts start: what a worker finds there
            is by then as it should be.

    Raises:
        UsageError: A chosen port is taken, or the stack is up for other projects.
        StackError: A part does not start, or the home cannot be written.
    """
    with _alone(wanted.home):
        found = read_addresses(wanted.home)
        if found is not None:
            _same_projects(found, wanted)
            return Up(found, already=True)
        cleared = _clear(wanted.home)
        with claim(wanted.ports, wanted.host) as chosen:
            layout = Layout(wanted.home, wanted.projects, wanted.host, chosen, wanted.certificate)
            try:
                addresses = _start(layout, watch, prepare)
            except BaseException:  # Ctrl-C as well
                _clear(wanted.home)
                raise
        return Up(addresses, cleared=cleared)


def down(home: Path) -> bool:
    """Stop a home's stack and whatever it left, also when its supervisor was killed.

    Args:
        home: Home of the stack.

    Returns:
        Whether there was anything to stop.

    Raises:
        StackError: The home cannot be written.
    """
    if not (home / STACK).is_dir():
        return False
    with _alone(home):
        there = bool(marked(home))
        _clear(home)
        return there


def _start(layout: Layout, watch: Watcher, prepare: Callable[[Addresses], None]) -> Addresses:
    """Start the parts, the servers first, and announce them when all answer."""
    with _explained(layout.home):
        keys = keys_of(layout.home / STACK)
        process = supervisor.start(layout.home, commands(layout), environment(layout, keys, os.environ))
    addresses = Addresses(
        prefect=layout.prefect_api,
        mlflow=layout.url("mlflow"),
        server=layout.url("server"),
        supervisor=process.pid,
        started=process.create_time(),
        projects=tuple(map(str, layout.projects)),
        certificate=str(layout.certificate or ""),
    )
    deadline = time.monotonic() + START_SECONDS
    _wait(layout, addresses, SERVERS, watch, deadline)
    prepare(addresses)
    for name in PARTS:
        if name not in SERVERS:
            supervisor.start_part(process, name)
    _wait(layout, addresses, tuple(PARTS), watch, deadline)
    with _explained(layout.home):
        write_addresses(layout.home, addresses)
    return addresses


def _wait(layout: Layout, addresses: Addresses, names: tuple[str, ...], watch: Watcher, deadline: float) -> None:
    """Wait until some parts answer, and are the ones of this stack.

    Raises:
        StackError: One ends again and again, or does not answer in time.
    """
    seen: dict[str, set[int]] = {name: set() for name in names}
    while True:
        parts = health(addresses)
        watch(parts)
        missing = [part for part in parts if part.part in names and part.state != "up"]
        if not missing:
            break
        for part in missing:
            seen[part.part] |= {part.pid} - {0}
            _hopeful(layout.home, part, starts=len(seen[part.part]), late=time.monotonic() > deadline)
        if not addresses.alive:
            raise StackError("the supervisor ended", where=str(layout.home), cure=last_words(layout.home, "supervisor"))
        time.sleep(_PAUSE)
    for part in parts:
        if part.part in names and part.url:
            _ours(layout, part)


def _hopeful(home: Path, part: Health, *, starts: int, late: bool) -> None:
    """Give up on a part that ends again and again, or has taken too long."""
    if starts > MOST_STARTS or late:
        what = "ends again and again" if starts > MOST_STARTS else f"did not answer in {START_SECONDS:.0f} s"
        full = ", and the home's disk is full" if shutil.disk_usage(home).free < _LITTLE_SPACE else ""
        raise StackError(f"{part.title} {what}{full}", where=str(home), cure=last_words(home, part.part))


def _ours(layout: Layout, part: Health) -> None:
    """Refuse a stranger who took the port of a part between its choice and its use."""
    port = getattr(layout.ports, part.part)
    process = listener(port)
    if process is not None and process.pid not in {own.pid for own in marked(layout.home)}:
        what = f"the port {port} of {part.title} was taken meanwhile by {describe_listener(port)}"
        raise StackError(what, cure="Run `tiltyard up` again.")


def _same_projects(found: Addresses, wanted: Wanted) -> None:
    """Refuse to call a stack up for projects that it does not know."""
    others = sorted({str(file) for file in wanted.projects} - set(found.projects))
    if others:
        raise UsageError(
            f"the stack is up for {', '.join(found.projects)}, and not for {', '.join(others)}",
            where=str(wanted.home),
            cure="Run `tiltyard down`, then `tiltyard up` with --project for each of them.",
        )


def _clear(home: Path) -> int:
    """End what is left of a stack and remove its traces; return how many lost processes there were."""
    orphaned = not any(is_supervisor(process) for process in marked(home))
    with _explained(home):
        remove_addresses(home)
        lost = end(home, patience=STOP_SECONDS)
        supervisor.clear(home)
        sweep()
    return lost if orphaned else 0


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Let one command at a time start or stop a home's stack; the lock is the folder's own and leaves no file."""
    folder = home / STACK
    with _explained(home):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        lock_descriptor(descriptor)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(home: Path) -> Iterator[None]:
    """Say it plainly when the home cannot be written."""
    try:
        yield
    except psutil.NoSuchProcess:
        raise StackError("the supervisor ended at once", where=str(home), cure=last_words(home, "supervisor")) from None
    except OSError as error:
        raise StackError(
            f"the home cannot be written ({error.strerror or error})",
            where=str(error.filename or home),
            cure="Free its disk or its permissions, or give another home with TILTYARD_HOME.",
        ) from None
