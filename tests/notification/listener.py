"""A webhook on this machine, for tests that look at what people are told."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Listener:
    """A webhook that answers with the codes it is given, then with 200, and keeps what it got."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.got: list[dict[str, Any]] = []
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the library's name
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.got.append({"path": self.path, **json.loads(body)})
                self.send_response(listener.codes.pop(0) if listener.codes else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/T0/B0/token?sig=abc"

    @property
    def texts(self) -> list[str]:
        """What people were told."""
        return [str(message["text"]) for message in self.got]


@contextmanager
def listening() -> Iterator[Listener]:
    """Listen while the block runs."""
    listener = Listener()
    thread = threading.Thread(target=listener.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield listener
    finally:
        listener.server.shutdown()
        listener.server.server_close()
        thread.join()
