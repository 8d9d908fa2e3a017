"""Feeds the server's handler, reader and encoder with bytes nobody meant, and stops at the first that is not answered.

    python -m tests.soak.fuzz [--seconds 3600] [--seed 0] [--found FOLDER]

Bodies for every protocol are mutated, a grammar of hostile JSON beside them. For each, four things must hold: the
handler answers (no exception, no status of 500), within its time; the answer is no echo of the payload; what the
reader's quick way reads, the careful way reads to the same bits; no matrix holds an infinity. `fuzz_coverage.py` does
the same, led by coverage.
"""

import argparse
import base64
import gzip
import io
import json
import random
import sys
import tempfile
import time
import traceback
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from tests.serving.bundles import CONTRACT_OF_CHURN, CONTRACT_OF_DEMAND, ROW, write_bundle
from tiltyard.errors import TiltyardError
from tiltyard.serving.decoding import decode_rows
from tiltyard.serving.handler import handle
from tiltyard.serving.loading import next_slots
from tiltyard.serving.plan import Plan, SlotPlan
from tiltyard.serving.requests import Request
from tiltyard.serving.settings import Limits
from tiltyard.serving.slots import Served, Slot

SECONDS_AN_INPUT = 20.0
MARKER = b"Zq7xMarkerOfThePayload"
LIMITS = Limits(body_bytes=200_000, rows=200)

TENSORS = {
    "inputs": [
        {"name": "age", "shape": [1, 1], "datatype": "FP64", "data": [41.0]},
        {"name": "plan", "shape": [1, 1], "datatype": "BYTES", "data": ["basic"]},
        {"name": "visits", "shape": [1], "datatype": "INT64", "data": [3]},
    ]
}
SPLIT = {"dataframe_split": {"columns": ["age", "plan"], "data": [[41, "basic"], [7, None]]}}
JSON = {b"content-type": b"application/json"}
PARQUET = {b"content-type": b"application/vnd.apache.parquet"}


def _parquet() -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pa.table({"age": [41.0, 7.0], "plan": ["basic", None]}), sink)
    return sink.getvalue()


SEEDS: tuple[tuple[str, bytes, dict[bytes, bytes]], ...] = (
    ("/v1/models/churn/predict", json.dumps({"rows": [ROW]}).encode(), {}),
    ("/v1/models/churn/predict", json.dumps({"rows": [ROW, {**ROW, "plan": None, "age": "7.5"}]}).encode(), {}),
    ("/v1/models/churn/predict", json.dumps({"features": [list(ROW.values())]}).encode(), {}),
    ("/v1/models/demand/predict", b'{"features": [1e308]}', {}),
    ("/v1/models/demand/predict", b'{"rows": [{"price": -0.0}, {"price": null}]}', {}),
    ("/v1/models/churn/feedback", b'{"feedback": [{"id": "9f9f9f9f9f9f9f9f00000012-0", "label": true}]}', {}),
    ("/v2/models/churn/infer", json.dumps(TENSORS).encode(), {}),
    (
        "/v2/models/demand/infer",
        b'{"inputs":[{"name":"price","shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}}]}\0\0\x80?',
        {b"inference-header-content-length": b"94"},
    ),
    ("/v2/models/demand/ready", b"", {}),
    ("/v1/models/churn/invocations", json.dumps(SPLIT).encode(), JSON),
    ("/v1/models/churn/invocations", b'{"dataframe_records": [{"age": 41}]}', JSON),
    ("/v1/models/churn/invocations", b'{"inputs": {"age": [41], "plan": ["gold"]}, "params": {}}', JSON),
    ("/v1/models/demand/invocations", b'{"instances": [[1.0], [2.0]]}', JSON),
    ("/v1/models/churn/invocations", b"age,plan\n41,basic\n,\n", {b"content-type": b"text/csv"}),
    ("/v1/models/demand/invocations", b"price\n1\n", {b"content-type": b"text/csv; charset=utf-8"}),
    ("/v1/models/churn/invocations", _parquet(), PARQUET),
    ("/v1/models/demand/predict", gzip.compress(b'{"features": [1.0]}'), {b"content-encoding": b"gzip"}),
    ("/v2/models/demand/infer", zlib.compress(b'{"inputs": []}'), {b"content-encoding": b"deflate"}),
)

TOKENS: tuple[bytes, ...] = (
    *(b"null", b"NaN", b"-Infinity", b"1e999", b"-1e-400", b"1e308", b"0x1p3", b"00", b"-0", b"9" * 400, b"1_000"),
    *(b"18446744073709551616", b"-9223372036854775809", b"0.1e", b"true", b"True", b'"true"', b'""', b'" 41 "', b"[]"),
    *(b"{}", b"[" * 5_000, b'{"a":' * 2_000, b"]" * 50, b'"\\ud800"', b'"\\u0000"', b"\xff\xfe", b"\xef\xbb\xbf"),
    *(b"\xed\xa0\x80", b'"2026-02-30"', b'"9999-12-31T23:59:60Z"', b'"0000-01-01"', b'"2026-11-20T10:00:00+99:99"'),
    *(b'"age"', b'"rows"', b'"features"', b'"__class__"', b'"\xc2\xadage"', b'"data"', b'"shape"', b"[1,0]", b"[-1]"),
    *(b'"datatype"', b'"BYTES"', b'"FP16"', b'"BOOL"', b'"binary_data_size"', b'"parameters"', b"\r\n", b'""""', b","),
    *(b'"9e400"', b'"1,5"', b'"\xef\xbc\x94\xef\xbc\x91"', b'"nan"', b'"None"', b'"inf"', b"[4294967296,4294967296]"),
)
METHODS = (*["POST"] * 36, "GET", "HEAD", "PUT", "OPTIONS", "")
PIECES = (
    *("v1", "v2", "models", "churn", "demand", "waiting", "predict", "infer", "invocations", "..", "%2e%2e", "", "3"),
    *("versions", "ready", "feedback", "metrics", "explain", "\0", "health", "live", "openapi.json", "docs", "index"),
)


@dataclass
class Fuzzed:
    """What was done so far.

    Attributes:
        inputs: Inputs answered.
        statuses: Answers by status.
        quick: Bodies that the reader's quick way read.
        slowest: Longest time of an input, seconds.
    """

    inputs: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    quick: int = 0
    slowest: float = 0.0


class Crash(Exception):  # noqa: N818  # what the search is for
    """An input that was not answered as it must be."""


class Target:
    """The handler with two small models, and what must hold of it.

    Args:
        folder: Where the models' bundles go.
    """

    def __init__(self, folder: Path) -> None:
        models = {}
        for name, contract, answer in (
            ("churn", CONTRACT_OF_CHURN, [0.25, 0.75]),
            ("demand", CONTRACT_OF_DEMAND, [3.5]),
        ):
            digest = write_bundle(folder / name, contract, answer)
            since = datetime(2026, 11, 20, tzinfo=UTC)
            models[name] = SlotPlan(version=3, bundle=str(folder / name), digest=digest, since=since)
        slots, problems = next_slots({}, Plan(models=models), ("churn", "demand", "waiting"))
        assert not problems
        self._served = Served(names=("churn", "demand", "waiting"), slots=slots, limits=LIMITS)
        self.done = Fuzzed()

    def try_request(self, request: Request) -> None:
        """Answer a request.

        Raises:
            Crash: It is not answered as it must be; says how.
        """
        began = time.perf_counter()
        try:
            answer = handle(self._served, request)
        except Exception as error:
            raise Crash(f"no answer: {traceback.format_exc()[-1500:]}") from error
        taken = time.perf_counter() - began
        self.done.inputs += 1
        self.done.slowest = max(self.done.slowest, taken)
        self.done.statuses[answer.status] = self.done.statuses.get(answer.status, 0) + 1
        if answer.status == 500 or not 200 <= answer.status < 600:
            raise Crash(f"status {answer.status}: {answer.body[:300]!r}")
        if taken > SECONDS_AN_INPUT:
            raise Crash(f"answered after {taken:.1f} s")
        if answer.status >= 400 and (MARKER in answer.body or b"Traceback" in answer.body):
            raise Crash(f"the payload is echoed: {answer.body[:300]!r}")
        headers = dict(answer.headers)
        is_json = headers.get(b"content-type") == b"application/json" and b"content-encoding" not in headers
        if is_json and answer.body.strip():
            _require_json(answer.body)

    def try_reader(self, body: bytes) -> None:
        """Read a body in both ways.

        Raises:
            Crash: They do not agree.
        """
        for slot in self._served.slots.values():
            assert isinstance(slot, Slot)
            self._compare(slot, body)

    def _compare(self, slot: Slot, body: bytes) -> None:
        try:
            quick = slot.reader.read(body, LIMITS.rows)
            slow = _careful(slot, body)
        except Exception as error:
            raise Crash(f"the reader fails: {traceback.format_exc()[-1500:]}") from error
        for typed in (quick, slow):
            if typed is not None and np.isinf(typed.matrix).any():
                raise Crash("a matrix holds an infinity")
        if quick is None:
            return
        self.done.quick += 1
        if slow is None:
            raise Crash("the quick way reads what the careful way refuses")
        same = np.array_equal(quick.matrix, slow.matrix, equal_nan=True)
        noted = (quick.unknown_levels, quick.outside) == (slow.unknown_levels, slow.outside)
        if not (same and noted and repr(list(map(tuple, quick.logged()))) == repr(list(map(tuple, slow.logged())))):
            raise Crash(f"the two ways differ: {quick} and {slow}")


def _require_json(body: bytes) -> None:
    try:
        json.loads(body, parse_constant=_refuse_constant)
    except ValueError as error:
        raise Crash(f"an answer that is no JSON: {body[:300]!r}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _careful(slot: Slot, body: bytes) -> Any:
    """Read a body the way that says what is wrong; None when something is."""
    try:
        return slot.reader.type(decode_rows(body, slot.runtime.contract, LIMITS.rows))
    except TiltyardError:
        return None


class Mutator:
    """Makes hostile requests from good ones.

    Args:
        source: Where chance comes from.
    """

    def __init__(self, source: random.Random) -> None:
        self._source = source

    def request(self) -> Request:
        """Return the next request."""
        draw = self._source
        path, body, headers = draw.choice(SEEDS)
        compressed = headers.get(b"content-encoding")
        if compressed and draw.random() < 0.5:
            body = gzip.compress(self.body(b'{"features": [1.0]}')) if compressed == b"gzip" else body
        else:
            body = self.body(body)
        if draw.random() < 0.05:
            path = "/" + "/".join(draw.choices(PIECES, k=draw.randint(0, 6)))
        if draw.random() < 0.1:
            headers = {**headers, **self._header()}
        return Request(draw.choice(METHODS), path, body, headers, "id", 1.8e9, draw.choice(["", "verify=1", "%00=&a"]))

    def body(self, body: bytes) -> bytes:
        """Return a body with some changes; now and then one of the grammar's."""
        draw = self._source
        if draw.random() < 0.15:
            return json.dumps(self._value(4)).encode()
        for _ in range(draw.choice([0, 1, 1, 1, 2, 3, 8])):
            body = draw.choice(self._CHANGES)(self, body)
        return body[: LIMITS.body_bytes]

    def _header(self) -> dict[bytes, bytes]:
        draw = self._source
        name = draw.choice([b"content-type", b"content-encoding", b"inference-header-content-length", b"accept"])
        values = [b"", b"gzip", b"br", b"text/csv", b"application/json", b"-1", b"99999999999", b"7", b"\xff", b"*/*"]
        return {name: draw.choice([*values, b"application/vnd.apache.parquet", b"text/csv; charset=utf-16"])}

    def _value(self, depth: int) -> Any:
        draw = self._source
        kind = draw.random()
        if depth and kind < 0.3:
            keys = ["rows", "features", "age", "plan", "price", "inputs", "data", "shape", "columns", "seen", "", "_"]
            return {draw.choice(keys): self._value(depth - 1) for _ in range(draw.randint(0, 5))}
        if depth and kind < 0.6:
            return [self._value(depth - 1) for _ in range(draw.randint(0, 5))]
        scalars = [None, True, 41, -1.5, 2**70, 1e300, "", "basic", "41", "2026-11-20", MARKER.decode(), "\ud83d\ude00"]
        return draw.choice(scalars)

    def _at(self, body: bytes) -> int:
        return self._source.randint(0, len(body))

    def _flip(self, body: bytes) -> bytes:
        if not body:
            return body
        at = self._source.randrange(len(body))
        return body[:at] + bytes([body[at] ^ 1 << self._source.randrange(8)]) + body[at + 1 :]

    def _insert(self, body: bytes) -> bytes:
        at = self._at(body)
        return body[:at] + self._source.choice(TOKENS) + body[at:]

    def _replace(self, body: bytes) -> bytes:
        parts = body.split(b",") if self._source.random() < 0.5 else body.split(b":")
        at = self._source.randrange(len(parts))
        parts[at] = self._source.choice((*TOKENS, b'"' + MARKER + b'"'))
        return (b"," if self._source.random() < 0.7 else b":").join(parts)

    def _cut(self, body: bytes) -> bytes:
        first, last = sorted((self._at(body), self._at(body)))
        return body[:first] + body[last:] if self._source.random() < 0.7 else body[:last]

    def _repeat(self, body: bytes) -> bytes:
        first, last = sorted((self._at(body), self._at(body)))
        return body[:last] + body[first:last] * self._source.choice([1, 2, 30]) + body[last:]

    def _random(self, body: bytes) -> bytes:
        at = self._at(body)
        return body[:at] + self._source.randbytes(self._source.randint(1, 8)) + body[at:]

    _CHANGES: tuple[Callable[["Mutator", bytes], bytes], ...] = (_flip, _insert, _replace, _cut, _repeat, _random)


def search(target: Target, seconds: float, seed: int) -> tuple[Request, Crash] | None:
    """Try requests for some time; return the first that is not answered as it must be.

    Args:
        target: What is tried.
        seconds: For how long.
        seed: Of the generator; the same seed tries the same requests.
    """
    mutator = Mutator(random.Random(seed))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        request = mutator.request()
        try:
            target.try_request(request)
            target.try_reader(request.body)
        except Crash as crash:
            return request, crash
    return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Search, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3_600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--found", type=Path, default=Path.cwd(), help="where a crashing request is written")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        target = Target(Path(folder))
        found = search(target, given.seconds, given.seed)
    done = target.done
    print(f"{done.inputs:,} inputs, {done.quick:,} read the quick way, slowest {done.slowest:.2f} s, {done.statuses}")  # noqa: T201
    if found is None:
        return 0
    request, crash = found
    body = base64.b64encode(request.body).decode()
    told = {**msgspec.structs.asdict(request), "body": body, "headers": repr(request.headers)}
    (given.found / "crash.json").write_text(json.dumps(told))
    print(f"{crash}\n{told}")  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main())
