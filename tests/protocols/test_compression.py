"""Compressed bodies: read within the limit, whatever they grow to; answers compressed for those who ask."""

import gzip
import json
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard.serving.answers import Answer, RequestError
from tiltyard.serving.compression import SHORTEST, compressed, inflate, inflated
from tiltyard.serving.requests import Request

COMPRESSED = gzip.compress(b"{}", mtime=0)
"""Without the time, which would be in the tests' names."""


def _bare(content: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(content) + deflater.flush()


@given(st.binary(max_size=500))
def test_every_form_is_inflated(content: bytes) -> None:
    assert inflate(gzip.compress(content), "gzip", 500) == content
    assert inflate(gzip.compress(content), "x-gzip", 500) == content
    assert inflate(zlib.compress(content), "deflate", 500) == content
    assert inflate(_bare(content), "deflate", 500) == content


def test_a_body_may_grow_to_the_limit_and_no_further() -> None:
    assert len(inflate(gzip.compress(b"a" * 1000), "gzip", 1000)) == 1000
    with pytest.raises(RequestError) as caught:
        inflate(gzip.compress(b"a" * 1001), "gzip", 1000)
    assert caught.value.http_status == 413


def test_a_bomb_costs_no_more_than_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(RequestError):
            inflate(bomb, "gzip", 100_000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("body", [b"", b"{}", b"\x1f\x8b", b"\0" * 50, COMPRESSED[:-1], COMPRESSED * 2])
def test_a_damaged_body_is_refused(body: bytes, encoding: str) -> None:
    with pytest.raises(RequestError) as caught:
        inflate(body, encoding, 100)
    assert caught.value.http_status == 400
    assert caught.value.cure


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress", "c0ffee"])
def test_another_encoding_is_not_read(encoding: str) -> None:
    with pytest.raises(RequestError) as caught:
        inflate(b"", encoding, 100)
    assert caught.value.http_status == 415


@pytest.mark.parametrize("encoding", [b"", b"identity", b" Identity "])
def test_a_plain_body_is_left_alone(encoding: bytes) -> None:
    request = Request("POST", "/", b"{}", {b"content-encoding": encoding})
    assert inflated(request, 1) is request


def test_an_inflated_request_is_a_plain_one() -> None:
    request = inflated(Request("POST", "/", gzip.compress(b"{}"), {b"content-encoding": b"GZIP", b"a": b"b"}), 10)
    assert (request.body, request.encoding, request.headers[b"a"]) == (b"{}", "", b"b")


def _plain(body: bytes, encoding: bytes | None) -> bytes:
    if encoding is None:
        return body
    return gzip.decompress(body) if encoding == b"gzip" else zlib.decompress(body)


LONG = Answer(200, json.dumps(list(range(SHORTEST))).encode())


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        (b"gzip", b"gzip"),
        (b"GZIP", b"gzip"),
        (b"gzip, deflate, br", b"gzip"),
        (b"deflate", b"deflate"),
        (b"gzip;q=0, deflate;q=0.5", b"deflate"),
        (b"gzip; q=0.000", None),
        (b"gzip;q=0.8", b"gzip"),
        (b"br", None),
        (b"*", None),
        (b"identity", None),
        (b"", None),
        (b";q=,,;;", None),
    ],
)
def test_a_long_answer_is_compressed_as_the_client_asks(accepted: bytes, encoding: bytes | None) -> None:
    answer = compressed(LONG, Request("POST", "/", headers={b"accept-encoding": accepted}))
    assert dict(answer.headers).get(b"content-encoding") == encoding
    assert _plain(answer.body, encoding) == LONG.body


def test_a_short_answer_is_not_compressed() -> None:
    answer = Answer(200, b"{}")
    assert compressed(answer, Request("POST", "/", headers={b"accept-encoding": b"gzip"})) is answer


def test_what_is_not_a_prediction_is_not_compressed() -> None:
    assert compressed(LONG, Request("GET", "/v2/models/wide", headers={b"accept-encoding": b"gzip"})) is LONG
