"""A part of a stack that starts at once: answers as Prefect, MLflow or the model server do when asked how they are."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CERTIFICATE, KEY = "TILTYARD_SERVE_TLS_CERT", "TILTYARD_SERVE_TLS_KEY"


class Answer(BaseHTTPRequestHandler):
    """Everything is well, and a worker has just been heard of."""

    def do_GET(self) -> None:
        self._say({})

    def do_POST(self) -> None:
        self._say([{"status": "ONLINE", "last_heartbeat_time": datetime.now(UTC).isoformat()}])

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base's name
        """Stay silent."""

    def _say(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main(name: str, port: int) -> None:
    """Serve, work, or fail, as the file `how` in the home says."""
    sys.stdout.write(f"{name} starts\n")
    sys.stdout.flush()
    file = Path(os.environ["TILTYARD_HOME"], "how")
    how = file.read_text() if file.exists() else ""
    if how == f"{name} fails":
        sys.exit(f"{name} has no mind to")
    if name == "worker":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        stubborn = "import signal; signal.signal(15, signal.SIG_IGN);" if how == "stubborn" else ""
        run = f"{stubborn}import time; time.sleep(600)"
        subprocess.Popen([sys.executable, "-c", run], start_new_session=True)  # like a training run
        time.sleep(600)
    else:
        server = ThreadingHTTPServer(("127.0.0.1", port), Answer)
        if name == "server" and CERTIFICATE in os.environ:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(os.environ[CERTIFICATE], os.environ[KEY])
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
