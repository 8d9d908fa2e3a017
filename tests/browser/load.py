"""A steady load on one model while people move its champion: every answer is kept, every lost request counted."""

import http.client
import json
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

PAUSE = 0.01


@dataclass
class Load:
    """One client after the other's answer, on one connection, in a thread of its own.

    Attributes:
        address: Where the model server is.
        model: Which model is asked.
        row: What it is asked.
        answers: What each version answered; more than one answer of a version would be a mixture.
        lost: Requests without a whole 200 answer, with the reason.
        total: Number of answers.
        version: Version of the last answer.
    """

    address: str
    model: str
    row: dict[str, Any]
    answers: dict[int, set[str]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    total: int = 0
    version: int = 0

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def wait_for(self, version: int, *, seconds: float) -> float:
        """Wait until a version answers; return the seconds that it took."""
        began = time.monotonic()
        while self.version != version:
            waited = time.monotonic() - began
            assert waited < seconds, f"version {self.version} answers after {waited:.1f} s, {version} is wanted"
            time.sleep(0.02)
        return time.monotonic() - began

    def _ask_on(self) -> None:
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=10)
        body = json.dumps({"rows": [self.row]})
        while not self._over.wait(PAUSE):
            try:
                connection.request("POST", f"/v1/models/{self.model}/predict", body)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                connection.close()
                continue
            if answer.status == http.client.OK:
                self._note(json.loads(content))
            else:
                self.lost.append(f"{answer.status} {content!r}")
        connection.close()

    def _note(self, answer: Any) -> None:
        self.total += 1
        self.version = answer["version"]
        predicted = [(entry["prediction"], entry["probabilities"]) for entry in answer["predictions"]]
        self.answers.setdefault(self.version, set()).add(json.dumps(predicted))
