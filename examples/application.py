"""An application that asks the model server: all it has at once, or on and on in the background, counting answers."""

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from examples.scans import Scans

_JSON = {"content-type": "application/json"}
_PAUSE = 0.01
_PATIENCE = 30.0


@dataclass
class Tally:
    """What came of the requests.

    Attributes:
        asked: Requests.
        answers: Answers by the version that gave them.
        right: Right answers by version.
        lost: Why requests were not answered, one entry each.
        slowest: Longest time that an answer took, seconds.
    """

    asked: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    right: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    slowest: float = 0.0

    @property
    def newest(self) -> int:
        """The highest version that has answered; 0 before any has."""
        return max(tuple(self.answers), default=0)

    def share_right(self, version: int) -> float:
        """Return the share of a version's answers that were right; 0 when it gave none."""
        return self.right[version] / max(1, self.answers[version])

    def count(self, answer: dict[str, Any], digit: int, seconds: float) -> None:
        """Count an answer.

        Args:
            answer: What the server said.
            digit: What was right.
            seconds: How long it took.
        """
        version = int(answer["version"])
        self.answers[version] += 1
        self.right[version] += answer["predictions"][0]["prediction"] == digit
        self.slowest = max(self.slowest, seconds)

    def lines(self) -> Iterator[str]:
        """Yield what is told of it, version by version."""
        for version, count in sorted(self.answers.items()):
            yield f"version {version}: {count:,} answers, {self.share_right(version):.0%} of them right"
        yield f"{self.asked:,} requests, {len(self.lost)} lost; the slowest answer took {1000 * self.slowest:.0f} ms"


class Application:
    """Asks for one picture at a time, over one connection; after a pause over a new one, for servers close idle ones.

    Args:
        server: Address of the model server.
        model: Model.
    """

    def __init__(self, server: str, model: str) -> None:
        self._place = urlsplit(server).netloc
        self._path = f"/v1/models/{model}"
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, row: dict[str, int]) -> dict[str, Any]:
        """Ask for one picture.

        Raises:
            OSError: No answer came, or none that is a prediction.
            HTTPException: What came was no HTTP.
        """
        return self._send("predict", {"rows": [row]})

    def tell(self, prediction: str, digit: int) -> dict[str, Any]:
        """Tell what was true of a prediction; raises as `ask`."""
        self.close()
        return self._send("feedback", {"id": prediction, "label": digit})

    def ask_all(self, scans: Scans) -> list[str]:
        """Ask for pictures one after the other; return the ids of the predictions."""
        self.close()
        return [str(self.ask(row)["id"]) for row in scans.rows()]

    def close(self) -> None:
        """Close the connection; another one is opened when it is wanted."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def asking(self, scans: Scans) -> Iterator[Tally]:
        """Ask on and on in the background, the same pictures again and again.

        Args:
            scans: What to ask.

        Yields:
            The tally, which is complete when the context is left.
        """
        self.close()
        tally, ended = Tally(), threading.Event()
        thread = threading.Thread(target=self._go_on, args=(scans, tally, ended), daemon=True)
        thread.start()
        try:
            yield tally
        finally:
            ended.set()
            thread.join()

    def _go_on(self, scans: Scans, tally: Tally, ended: threading.Event) -> None:
        for row, digit in itertools.cycle(zip(scans.rows(), scans.digits.tolist(), strict=True)):
            if ended.wait(_PAUSE):
                return
            tally.asked += 1
            start = time.monotonic()
            try:
                tally.count(self.ask(row), digit, time.monotonic() - start)
            except (OSError, http.client.HTTPException) as error:
                tally.lost.append(f"{type(error).__name__}: {error}")
                self.close()

    def _send(self, door: str, content: dict[str, Any]) -> dict[str, Any]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._place, timeout=_PATIENCE)
        self._connection.request("POST", f"{self._path}/{door}", json.dumps(content), _JSON)
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise OSError(f"{answer.status} {body.decode()}")
        found: dict[str, Any] = json.loads(body)
        return found
