"""What the supervisor tells the other processes of a server: records that travel as JSON on the command line."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from tiltyard.predictions.settings import LogSettings
from tiltyard.project.gates import GatesSection
from tiltyard.project.section import Section

MEBIBYTE = 1 << 20
DRAIN_SECONDS = 0.5
"""How long a server drains unless somebody says otherwise, and at least."""

LONGEST_DRAIN_SECONDS = 30.0


class Limits(Section):
    """What a request may ask for at most.

    Attributes:
        body_bytes: Longest body.
        rows: Most rows in one request.
        body_seconds: Longest time for a body to arrive, or for a client to go on reading its answer.
        header_bytes: Longest head of a request.
        header_seconds: Longest time for a head to arrive.
        in_flight: Most requests at the same time in one worker that wait for a body, a thread or the disk; more are
            answered 503 at once.
        turn_seconds: Longest time that a request may wait for its turn; one that has waited longer is answered 503 at
            once.
        connections: Most connections at the same time to one worker.
        held_bytes: Most bytes of long bodies at the same time in one worker.
    """

    body_bytes: Annotated[int, Field(gt=0)] = 10 * MEBIBYTE
    rows: Annotated[int, Field(gt=0)] = 10_000
    body_seconds: Annotated[float, Field(gt=0)] = 30.0
    header_bytes: Annotated[int, Field(gt=0)] = MEBIBYTE // 16
    header_seconds: Annotated[float, Field(gt=0)] = 10.0
    in_flight: Annotated[int, Field(gt=0)] = 1024
    turn_seconds: Annotated[float, Field(gt=0)] = 1.0
    connections: Annotated[int, Field(gt=0)] = 8192
    held_bytes: Annotated[int, Field(gt=0)] = 256 * MEBIBYTE


class TlsFiles(Section):
    """What a server needs for HTTPS, as PEM.

    Attributes:
        certificate: Certificate, and those between it and an authority.
        key: Its private key, without a password.
    """

    certificate: Annotated[Path, Field(strict=False)]
    key: Annotated[Path, Field(strict=False)]


class WorkerSettings(Section):
    """What a worker is told.

    Attributes:
        names: Models it answers for.
        plan: Path of the plan file.
        socket: File descriptor of the listening socket, inherited.
        parent: Process id of the supervisor; the worker drains when it is gone.
        limits: Limits of a request.
        hint: File descriptor, inherited, whose writing has the sidecar look at once; None to leave it to its pauses.
        drain_seconds: After SIGTERM, how long it still accepts, asking clients to reconnect elsewhere; and then, but no
            longer than usual, how long it waits for requests on connections that it has accepted.
        memory_mb: What its models may take in memory, megabytes; None to have all of them there at all times.
        log: How the prediction log is kept; None to keep none.
        log_folder: Where it is kept.
        writer: The server in the names of the log's segments.
        tls: For HTTPS; None for HTTP.
    """

    names: tuple[str, ...]
    plan: Annotated[Path, Field(strict=False)]
    socket: int
    parent: int
    limits: Limits = Limits()
    hint: int | None = None
    drain_seconds: float = DRAIN_SECONDS
    memory_mb: Annotated[float, Field(gt=0)] | None = None
    log: LogSettings | None = None
    log_folder: Annotated[Path, Field(strict=False)] = Path("log")
    writer: str = ""
    tls: TlsFiles | None = None


class SidecarSettings(Section):
    """What the sidecar is told.

    Attributes:
        gates: Models whose champions it fetches, with what their projects say about moves by hand.
        files: Their project files, which are read again when they change.
        plan: Path of the plan file, which it alone writes.
        cache: Folder of the fetched bundles.
        project_file: Project file, from which the registry's and the store's default addresses follow.
        parent: Process id of the supervisor; the sidecar ends when it is gone.
        poll_seconds: Pause between two looks at the registry.
        hint: File descriptor, inherited, that becomes readable when a look is due at once; None for pauses alone.
        verify_seconds: Longest time a version's verification may take.
    """

    gates: dict[str, GatesSection]
    files: dict[str, Annotated[Path, Field(strict=False)]] = Field(default_factory=dict)
    plan: Annotated[Path, Field(strict=False)]
    cache: Annotated[Path, Field(strict=False)]
    project_file: Annotated[Path, Field(strict=False)]
    parent: int
    poll_seconds: float
    hint: int | None = None
    verify_seconds: float = 120.0


class ShadowSettings(Section):
    """What the shadow is told.

    Attributes:
        names: Models whose candidates it compares.
        plan: Path of the plan file.
        log: Folder of the prediction log's segments.
        writer: The server in their names: what other servers of the home log is theirs to compare.
        parent: Process id of the supervisor; the shadow ends when it is gone.
    """

    names: tuple[str, ...]
    plan: Annotated[Path, Field(strict=False)]
    log: Annotated[Path, Field(strict=False)]
    writer: str = ""
    parent: int
