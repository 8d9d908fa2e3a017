"""Is the local stack of a home whole, and could one be started?"""

import socket
from collections.abc import Iterator
from pathlib import Path

from tiltyard.project.addresses import STACK, Addresses, read_addresses
from tiltyard.project.diagnosis import Diagnosis, doubtful, fine, wrong
from tiltyard.stack.health import Health, health
from tiltyard.stack.marks import marked
from tiltyard.stack.ports import USUAL, describe_listener

_TITLES = {"prefect": "Prefect", "mlflow": "MLflow", "server": "the model server"}


def check_stack(home: Path) -> Iterator[Diagnosis]:
    """See whether every part of the stack answers; where none is up, whether something is in the way of one.

    Args:
        home: Home of the stack.
    """
    addresses = read_addresses(home)
    if addresses is not None:
        yield from _check_parts(addresses)
        return
    yield from _check_leftovers(home)
    yield from _check_ports()


def _check_parts(addresses: Addresses) -> Iterator[Diagnosis]:
    for part in health(addresses):
        yield _judge(part)


def _judge(part: Health) -> Diagnosis:
    """Say how a part is."""
    subject = f"stack: {part.part}"
    if part.state == "up":
        return fine(subject, f"{part.title} is up{f' at {part.url}' if part.url else ''}.")
    cure = f"See `tiltyard logs {part.part}`; the supervisor starts it again by itself."
    sentence = f"{part.title} is {part.state}: {part.note}."
    return doubtful(subject, sentence, cure) if part.state == "starting" else wrong(subject, sentence, cure)


def _check_leftovers(home: Path) -> Iterator[Diagnosis]:
    """See whether a stack was killed and left something behind."""
    left = marked(home)
    if left:
        sentence = f"{len(left)} processes are left of a stack whose supervisor is gone."
        yield doubtful("stack", sentence, "`tiltyard down` ends them, and so does `tiltyard up` before it starts.")
    elif (home / STACK / "addresses.json").exists():
        sentence = "A stack that was killed left its addresses behind; nobody follows them."
        yield doubtful("stack", sentence, "`tiltyard down` removes them, and `tiltyard up` replaces them.")
    else:
        yield fine("stack", "None is up in this home; `tiltyard up` starts one.")


def _check_ports() -> Iterator[Diagnosis]:
    """See whether the usual ports are free."""
    taken = {port: part for part, port in USUAL.items() if _answers(port)}
    for port, part in taken.items():
        sentence = f"The usual port {port} of {_TITLES[part]} is taken by {describe_listener(port)}."
        cure = "`tiltyard up` takes another one by itself; stop that process to have the usual one."
        yield doubtful("ports", sentence, cure)
    if not taken:
        yield fine("ports", f"{', '.join(str(port) for port in USUAL.values())} are free.")


def _answers(port: int) -> bool:
    """Whether anybody listens on a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
