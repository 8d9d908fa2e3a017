"""What the supervisor tells the other processes of a server: records that travel as JSON on the command line."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from tiltyard.project.section import Section

MEBIBYTE = 1 << 20
DRAIN_SECONDS = 0.5


class Limits(Section):
    """What a request may ask for at most.

    Attributes:
        body_bytes: Longest body.
        rows: Most rows in one request.
        body_seconds: Longest time for a body to arrive.
    """

    body_bytes: Annotated[int, Field(gt=0)] = 10 * MEBIBYTE
    rows: Annotated[int, Field(gt=0)] = 10_000
    body_seconds: Annotated[float, Field(gt=0)] = 30.0


class WorkerSettings(Section):
    """What a worker is told.

    Attributes:
        names: Models it answers for.
        plan: Path of the plan file.
        socket: File descriptor of the listening socket, inherited.
        parent: Process id of the supervisor; the worker drains when it is gone.
        limits: Limits of a request.
        drain_seconds: After SIGTERM, how long it still accepts, asking clients to reconnect elsewhere; and then, how
            long it waits for requests on connections that it has accepted.
    """

    names: tuple[str, ...]
    plan: Annotated[Path, Field(strict=False)]
    socket: int
    parent: int
    limits: Limits = Limits()
    drain_seconds: float = DRAIN_SECONDS


class SidecarSettings(Section):
    """What the sidecar is told.

    Attributes:
        names: Models whose champions it fetches.
        plan: Path of the plan file, which it alone writes.
        cache: Folder of the fetched bundles.
        project_file: Project file, from which the registry's and the store's default addresses follow.
        parent: Process id of the supervisor; the sidecar ends when it is gone.
        poll_seconds: Pause between two looks at the registry.
        verify_seconds: Longest time a version's verification may take.
    """

    names: tuple[str, ...]
    plan: Annotated[Path, Field(strict=False)]
    cache: Annotated[Path, Field(strict=False)]
    project_file: Annotated[Path, Field(strict=False)]
    parent: int
    poll_seconds: float
    verify_seconds: float = 120.0
