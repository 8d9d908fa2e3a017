"""Raw ASGI around the handler: reads a body within its limits, calls the handler, logs what was predicted, answers."""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import msgspec

from tiltyard.errors import TiltyardError
from tiltyard.predictions.files import backlog
from tiltyard.predictions.log import Entry, PredictionLog, Ticket, UnloggedError
from tiltyard.serving.answers import Answer, Headers, RequestError
from tiltyard.serving.bodies import Bodies, Disconnected, Message, Receive, busy
from tiltyard.serving.exposition import CONTENT_TYPE, exposition
from tiltyard.serving.handler import handle, protocol_of, refuse
from tiltyard.serving.headers import headers_of
from tiltyard.serving.heads import head_of
from tiltyard.serving.hooks import HOOK, Hook
from tiltyard.serving.ids import Ids
from tiltyard.serving.metrics import Arm, Metrics
from tiltyard.serving.protocols import inference, invocations
from tiltyard.serving.requests import Head, Request, require
from tiltyard.serving.slots import Served, Unloaded
from tiltyard.serving.tokens import Tokens, model_of

Scope = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]

_log = logging.getLogger(__name__)

LONG_BODY = 64 * 1024
"""From this length on a request is answered on a thread, so that a batch does not hold up the short ones."""

THREADS = 2
METRICS = "/metrics"

_PROTOCOLS: dict[ModuleType, str] = {inference: "open_inference", invocations: "mlflow"}


class Parts(NamedTuple):
    """What an application has beside what it answers with.

    Attributes:
        hook: Takes MLflow's calls.
        tokens: Who may ask for what.
        metrics: Where requests are counted; None to count none.
        log: Where predictions and labels are written; None to keep no log.
        log_folder: Where it is.
    """

    hook: Hook = Hook(None, None)
    tokens: Tokens = Tokens()
    metrics: Metrics | None = None
    log: PredictionLog | None = None
    log_folder: Path = Path("log")


class Prompt(msgspec.Struct, frozen=True, gc=False):
    """A request that was answered at once, before its record is in the log.

    Attributes:
        head: Of the request.
        answer: To it.
        began: When it came, by the clock of `time.perf_counter`.
    """

    head: Head
    answer: Answer
    began: float


class App:
    """The ASGI application of one worker.

    Args:
        served: What it answers with; replaced as a whole by assignment, at any moment.
        parts: What it has beside.

    Attributes:
        loader: Loads a model that is not in memory; None where all of them are.
        metrics: Where requests are counted; None to count none.
    """

    def __init__(self, served: Served, parts: Parts = Parts()) -> None:  # noqa: B008  # a frozen record
        self._hook, self._tokens, self.metrics, self._log, self._log_folder = parts
        self.served = served
        self.loader: Callable[[str], Awaitable[None]] | None = None
        self._waits = self._log is not None and self._log.waits
        self._bodies = Bodies()
        self._ids = Ids()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="long-body")

    @property
    def served(self) -> Served:
        """What it answers with."""
        return self._served

    @served.setter
    def served(self, served: Served) -> None:
        self._served = served
        if self.metrics is not None:
            slots = [*served.slots.values(), *(slot for name in served.slots for slot in served.beside(name))]
            self.metrics.set_loaded(Arm(slot.name, slot.version, slot.arm) for slot in slots)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await _other(scope, receive, send)
            return
        try:
            answer = await self._answer(scope, receive)
        except Disconnected:
            return
        await self._send(answer, scope, send)

    async def busy(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  # what ASGI calls
        """Refuse a request at once."""
        answer = self.turn_away(scope["path"], busy("too many requests are under way"))
        await self._send(answer, scope, send)

    def turn_away(self, path: str, error: RequestError) -> Answer:
        """Return the refusal of what was not let in, counted.

        Args:
            path: Path of the request, as far as it is known.
            error: Why.
        """
        answer = refuse(path, error)
        if self.metrics is not None:
            self._count(self.metrics, path, answer, 0.0)
        return answer

    async def _send(self, answer: Answer, scope: Scope, send: Send) -> None:
        """Send an answer."""
        headers = headers_of(answer, scope["method"], closing=self._served.draining)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    def tick(self) -> None:
        """Do what is due every now and then, and costs nothing when it is not."""
        self._tokens.refresh()
        if self._log is not None:
            self._log.tick()
            if self._log.is_refusing != self._served.unlogged:
                self.served = dataclasses.replace(self._served, unlogged=self._log.is_refusing)
            if self.metrics is not None:
                self.metrics.set_log(self._log.counts)

    def close(self) -> None:
        """Seal the log and give up the counts, at the process's end."""
        self._threads.shutdown()
        if self._log is not None:
            self._log.close()
        if self.metrics is not None:
            self.metrics.close()

    def prompt(self, head: Head, body: bytes) -> Prompt | None:
        """Answer a whole request that can be answered without waiting for anything.

        Args:
            head: Of the request.
            body: As well.

        Returns:
            What `commit` makes fit to be sent; None where something must be waited for.
        """
        if len(body) >= min(LONG_BODY, self._served.limits.body_bytes) or self._waits or head.path == METRICS:
            return None
        if b"content-encoding" in head.headers:
            return None
        began = time.perf_counter()
        try:
            request = self._request(head, body)
            answer = self._hooked(request) or handle(self._served, request)
        except Unloaded:
            return None
        except Exception as error:  # noqa: BLE001  # the last boundary: a client never sees a trace
            answer = self._failure(head.path, error)
        return Prompt(head, answer, began)

    def commit(self, prompts: Sequence[Prompt]) -> list[Answer]:
        """Have what was answered in the log, by one write, and count it.

        Args:
            prompts: What was answered.

        Returns:
            The answers to send: as they were, or refused where they could not be logged.
        """
        is_logged = len(prompts) > 1 and self._append_all(prompts)
        answers = [prompt.answer if is_logged else self._committed(prompt) for prompt in prompts]
        if self.metrics is not None:
            now = time.perf_counter()
            for prompt, answer in zip(prompts, answers, strict=True):
                self._count(self.metrics, prompt.head.path, answer, now - prompt.began)
        return answers

    def _append_all(self, prompts: Sequence[Prompt]) -> bool:
        """Whether all records could be appended by one write."""
        if self._log is None:
            return False
        return self._log.append_all([_entry_of(prompt.answer) for prompt in prompts if prompt.answer.record])

    def _committed(self, prompt: Prompt) -> Answer:
        """Return an answer whose record is in the log, or why it is not."""
        try:
            self._append(prompt.answer)
        except Exception as error:  # noqa: BLE001  # as in `prompt`; the answers of others wait in the same turn
            return self._failure(prompt.head.path, error)
        return prompt.answer

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        """Return the answer to a request, counted, whatever has to be waited for."""
        began = 0.0
        try:
            head = head_of(scope)
            self._tokens.check(head.method, head.path, head.headers)
            body = await self._bodies.read(receive, head.headers, self._served.limits)
            began = time.perf_counter()
            answer = await self._awaited(self._request(head, body))
        except Disconnected:
            raise
        except Exception as error:  # noqa: BLE001  # the last boundary: a client never sees a trace
            answer = self._failure(scope["path"], error)
        if self.metrics is not None:
            self._count(self.metrics, scope["path"], answer, time.perf_counter() - began if began else 0.0)
        return answer

    def _request(self, head: Head, body: bytes) -> Request:
        """Return a request that may pass.

        Raises:
            RequestError: 401 or 403 for want of a token.
        """
        method, path, query, headers = head
        self._tokens.check(method, path, headers)
        identity = self._ids.next()
        logged = self._log is not None and self._log.wants(identity)
        return Request(method, path, body, headers, identity, time.time(), query, logged)

    def _failure(self, path: str, error: Exception) -> Answer:
        """Return the answer of a failure; an unforeseen one is logged and answered without details."""
        if isinstance(error, TiltyardError):
            return refuse(path, error, _retry_of(error))
        _log.error("a request to %s failed", path[:80], exc_info=error)
        return refuse(path, TiltyardError("the server failed on this request", cure="Its log has the reason."))

    def _hooked(self, request: Request) -> Answer | None:
        """Return the answer to a call of MLflow's; None for any other request."""
        if request.path != HOOK:
            return None
        return self._hook.answer(request.method, dict(request.headers), request.body)

    async def _awaited(self, request: Request) -> Answer:
        """Answer a request, on a thread when it is long, once its model is in memory."""
        if request.path == METRICS and self.metrics is not None:
            require(request, "GET")
            return await asyncio.to_thread(self._exposed, self.metrics.folder)
        try:
            return self._hooked(request) or await self._scored(request)
        except Unloaded as missing:
            if self.loader is None:
                raise
            await self.loader(missing.name)
            return await self._scored(request)

    async def _scored(self, request: Request) -> Answer:
        """Answer a request and have what it predicted, or the labels it brought, in the log."""
        if len(request.body) < LONG_BODY and b"content-encoding" not in request.headers:
            answer, ticket = self._logged(request)
        else:
            with self._bodies.holding(len(request.body), self._served.limits):
                loop = asyncio.get_running_loop()
                answer, ticket = await loop.run_in_executor(self._threads, self._logged, request)
        if ticket is not None and self._log is not None:
            await self._log.synced(ticket, required=answer.about is None)
        return answer

    def _logged(self, request: Request) -> tuple[Answer, Ticket | None]:
        """Answer a request and append its record to the log.

        Raises:
            UnloggedError: It could not be appended, and that is a reason to refuse the answer.
            RequestError: It brings labels, and there is no log.
        """
        answer = handle(self._served, request)
        return answer, self._append(answer)

    def _append(self, answer: Answer) -> Ticket | None:
        """Append an answer's record to the log; raises as `_logged`."""
        if not answer.record:
            return None
        if self._log is None:
            raise RequestError.of(503, "this server keeps no log, so it takes no labels", cure="Start it with one.")
        return self._log.append(*_entry_of(answer), required=answer.about is None)

    def _count(self, metrics: Metrics, path: str, answer: Answer, seconds: float) -> None:
        """Count an answer; a failure without a version is the champion's when it is the server's fault."""
        protocol = _PROTOCOLS.get(protocol_of(path), "tiltyard")
        if answer.about is not None:
            metrics.count_answer(answer.about, protocol, answer.status, seconds)
            return
        name = model_of(path)
        slot = self._served.slots.get(name) if answer.status == 500 else None
        arm = Arm(name if name in self._served.names else "") if slot is None else Arm(name, slot.version, slot.arm)
        metrics.count(arm, protocol, answer.status, seconds)

    def _exposed(self, folder: Path) -> Answer:
        """Return what Prometheus reads."""
        waiting = backlog(self._log_folder)
        gauges = {
            "log_backlog_bytes": ("Bytes of the prediction log that wait to be shipped.", float(waiting.bytes)),
            "log_backlog_segments": ("Segments that wait to be shipped.", float(waiting.segments)),
            "log_backlog_oldest_seconds": ("Age of the oldest segment that waits.", waiting.oldest_seconds),
            "log_damaged_segments": ("Files with lines that could not be read.", float(waiting.damaged)),
        }
        return Answer(200, exposition(folder, gauges, now=time.time()), ((b"content-type", CONTENT_TYPE),))


def _entry_of(answer: Answer) -> Entry:
    """Return what an answer has for the log."""
    about = answer.about
    if about is None:
        return Entry(answer.record, None, b"")
    return Entry(answer.record, (about.model, about.version), about.schema)


def _retry_of(error: TiltyardError) -> Headers:
    """Return when to ask again after an answer that could not be logged."""
    return ((b"retry-after", b"%d" % error.retry_after),) if isinstance(error, UnloggedError) else ()


async def _other(scope: Scope, receive: Receive, send: Send) -> None:
    """Agree to start and stop; close anything that is neither that nor HTTP."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1003})
        return
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
