"""`tiltyard serve`: the champion answers over HTTP."""

from tiltyard.cli.options import ProjectsOption
from tiltyard.cli.serve_options import (
    DrainSecondsOption,
    HostOption,
    LogDurabilityOption,
    LogOption,
    LogSampleOption,
    LogSecondsOption,
    LogWhenFullOption,
    MaxBodyMbOption,
    MaxConnectionsOption,
    MaxInFlightOption,
    MaxRowsOption,
    MemoryMbOption,
    PollSecondsOption,
    PortOption,
    TlsCertOption,
    TlsKeyOption,
    WorkersOption,
)
from tiltyard.errors import UsageError


def serve(
    *,
    project: ProjectsOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8080,
    workers: WorkersOption = 1,
    poll_seconds: PollSecondsOption = 1.0,
    memory_mb: MemoryMbOption = None,
    drain_seconds: DrainSecondsOption = 0.5,
    tls_cert: TlsCertOption = None,
    tls_key: TlsKeyOption = None,
    max_body_mb: MaxBodyMbOption = 10.0,
    max_rows: MaxRowsOption = 10_000,
    max_in_flight: MaxInFlightOption = 1024,
    max_connections: MaxConnectionsOption = 8192,
    log: LogOption = True,
    log_durability: LogDurabilityOption = "process",
    log_when_full: LogWhenFullOption = "refuse",
    log_sample: LogSampleOption = 1.0,
    log_seconds: LogSecondsOption = 30.0,
) -> None:
    """Serve the champions over HTTP; when another is promoted, swap to it without dropping a request.

    Who may ask is said by TILTYARD_TOKENS (`predict:TOKEN read+metrics:TOKEN`, with the scopes predict, read,
    feedback, metrics and admin, or predict@MODEL) or by a file of such entries, TILTYARD_TOKENS_FILE.

    Examples:
      tiltyard serve
      tiltyard serve --port 9000 --workers 4
      TILTYARD_HOME=~/yard tiltyard serve --project churn --project fraud
      tiltyard serve --host 0.0.0.0 --tls-cert cert.pem --tls-key key.pem
      curl localhost:8080/v1/models/churn/predict -d '{"rows": [{"age": 41, "plan": "basic"}]}'
    """
    from tiltyard.cli.opening import find_projects
    from tiltyard.predictions.settings import LogSettings
    from tiltyard.serving import server
    from tiltyard.serving.settings import MEBIBYTE, Limits, TlsFiles

    if (tls_cert is None) != (tls_key is None):
        raise UsageError("HTTPS needs a certificate and its key", cure="Give --tls-cert and --tls-key.")
    found = find_projects(project or ())
    kept = LogSettings(
        durability=log_durability, when_full=log_when_full, sample=log_sample, rotate_seconds=log_seconds
    )
    server.serve(
        {project.name: project.gates for project, _ in found},
        found[0][1],
        files={project.name: workplace.project_file for project, workplace in found},
        host=host,
        port=port,
        workers=workers,
        poll_seconds=poll_seconds,
        limits=Limits(
            body_bytes=int(max_body_mb * MEBIBYTE),
            rows=max_rows,
            in_flight=max_in_flight,
            connections=max_connections,
        ),
        memory_mb=memory_mb,
        log=kept if log else None,
        tls=None if tls_cert is None or tls_key is None else TlsFiles(certificate=tls_cert, key=tls_key),
        drain_seconds=drain_seconds,
    )
