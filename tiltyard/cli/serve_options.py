"""The options of `tiltyard serve`, each of which is a variable of the environment, too."""

from pathlib import Path
from typing import Annotated, Literal

import typer

HostOption = Annotated[
    str, typer.Option(envvar="TILTYARD_SERVE_HOST", help="Address to listen on; 0.0.0.0 for every network.")
]
PortOption = Annotated[
    int,
    typer.Option(min=0, max=65535, envvar="TILTYARD_SERVE_PORT", help="Port to listen on; 0 takes a free one."),
]
WorkersOption = Annotated[
    int, typer.Option(min=1, max=64, envvar="TILTYARD_SERVE_WORKERS", help="Processes that answer.")
]
PollSecondsOption = Annotated[
    float,
    typer.Option(min=0.1, envvar="TILTYARD_SERVE_POLL_SECONDS", help="Pause between two looks at the registry."),
]
DrainSecondsOption = Annotated[
    float,
    typer.Option(
        min=0.5,
        max=30,
        envvar="TILTYARD_SERVE_DRAIN_SECONDS",
        help="At the end, time for load balancers to see that it drains; it answers meanwhile.",
    ),
]
MemoryMbOption = Annotated[
    float | None,
    typer.Option(
        min=1,
        envvar="TILTYARD_SERVE_MEMORY_MB",
        help="Memory for the models of one worker: they are loaded when asked for, and leave again.",
        show_default="all stay",
    ),
]
TlsCertOption = Annotated[
    Path | None,
    typer.Option(envvar="TILTYARD_SERVE_TLS_CERT", help="Certificate for HTTPS, as PEM."),
]
TlsKeyOption = Annotated[
    Path | None,
    typer.Option(envvar="TILTYARD_SERVE_TLS_KEY", help="Its private key, as PEM."),
]
MaxBodyMbOption = Annotated[
    float,
    typer.Option(min=0.001, envvar="TILTYARD_SERVE_MAX_BODY_MB", help="Longest body of a request."),
]
MaxRowsOption = Annotated[
    int,
    typer.Option(min=1, envvar="TILTYARD_SERVE_MAX_ROWS", help="Most rows of a request."),
]
MaxInFlightOption = Annotated[
    int,
    typer.Option(
        min=1,
        envvar="TILTYARD_SERVE_MAX_IN_FLIGHT",
        help="Most requests at the same time in one worker; more are answered 503 at once.",
    ),
]
MaxConnectionsOption = Annotated[
    int,
    typer.Option(
        min=1, envvar="TILTYARD_SERVE_MAX_CONNECTIONS", help="Most connections at the same time to one worker."
    ),
]
LogOption = Annotated[
    bool, typer.Option(envvar="TILTYARD_LOG", help="Keep the prediction log; without it no labels are taken.")
]
LogDurabilityOption = Annotated[
    Literal["process", "disk"],
    typer.Option(
        "--durability",
        envvar="TILTYARD_LOG_DURABILITY",
        help="What an answered prediction survives: the death of the process, or the loss of power.",
    ),
]
LogWhenFullOption = Annotated[
    Literal["refuse", "answer"],
    typer.Option(
        "--when-full", envvar="TILTYARD_LOG_WHEN_FULL", help="What becomes of a request that cannot be logged."
    ),
]
LogSampleOption = Annotated[
    float,
    typer.Option(min=0.0, max=1.0, envvar="TILTYARD_LOG_SAMPLE", help="Share of the requests in it."),
]
LogSecondsOption = Annotated[
    float,
    typer.Option(
        min=0.5,
        envvar="TILTYARD_LOG_SECONDS",
        help="Longest time until the sidecar brings what is logged to the store; less makes more and smaller objects.",
    ),
]
