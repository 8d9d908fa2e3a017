import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.conftest import free_port
from tests.storage.conftest import BUCKET
from tiltyard.errors import ConflictError, StorageError
from tiltyard.storage.opening import fetch_url, list_urls, open_store
from tiltyard.storage.s3 import S3Store


@pytest.fixture
def store(s3_server: str, tmp_path: Path) -> S3Store:
    """A store below a prefix of its own."""
    return S3Store(BUCKET, f"s3/{tmp_path.name}", endpoint=s3_server, cache=tmp_path / "cache")


def test_a_put_whose_answer_was_lost_has_won(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    send = store._client.put_object

    def twice(**arguments: Any) -> Any:
        send(**arguments)
        return send(**arguments)

    monkeypatch.setattr(store._client, "put_object", twice)
    store.create("a", b"one")
    assert store.read("a") == b"one"
    with pytest.raises(ConflictError):
        store.create("a", b"one")


def test_a_put_that_raced_is_tried_again(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    send = store._client.put_object
    answers = [ClientError({"Error": {"Code": "ConditionalRequestConflict"}}, "PutObject")]

    def racing(**arguments: Any) -> Any:
        if answers:
            raise answers.pop()
        return send(**arguments)

    monkeypatch.setattr(store._client, "put_object", racing)
    store.create("a", b"one")
    assert store.read("a") == b"one"


def test_no_bucket_is_explained(s3_server: str, tmp_path: Path) -> None:
    store = S3Store("nowhere", endpoint=s3_server, cache=tmp_path)
    for action in (lambda: store.read("a"), lambda: store.write("a", b""), lambda: store.list("")):
        with pytest.raises(StorageError, match=r"NoSuchBucket.*Create the bucket"):
            action()


def test_a_refusal_is_explained(store: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "PutObject")

    monkeypatch.setattr(store._client, "put_object", refuse)
    for write in (store.write, store.create):
        with pytest.raises(StorageError, match=r"AccessDenied.*Check the AWS credentials"):
            write("a", b"")


def test_an_unreachable_server_is_given_up_soon(s3_server: str, tmp_path: Path) -> None:
    store = S3Store(BUCKET, endpoint=f"http://127.0.0.1:{free_port()}", cache=tmp_path)
    assert s3_server
    start = time.monotonic()
    with pytest.raises(StorageError, match="Check the network, `TILTYARD_S3_ENDPOINT`"):
        store.read("a")
    with pytest.raises(StorageError, match="Check the network, `TILTYARD_S3_ENDPOINT`"):
        store.upload(Path(__file__), "a")
    assert time.monotonic() - start < 15


def test_a_cache_without_room_is_explained(s3_server: str, store: S3Store, tmp_path: Path) -> None:
    store.write("a", b"one")
    (tmp_path / "file").write_text("")
    blocked = S3Store(BUCKET, f"s3/{tmp_path.name}", endpoint=s3_server, cache=tmp_path / "file")
    with pytest.raises(StorageError, match="Check the disk's free space"):
        blocked.fetch("a")


def test_addresses_and_globs(s3_server: str, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    base = f"s3://{BUCKET}/glob/{tmp_path.name}"
    store = open_store(base, endpoint=s3_server, cache=cache)
    for key in ("2025/a.csv", "2025/b.csv", "2025/b.txt", "2026/a.csv", "2026/x/c.csv"):
        store.write(key, key.encode())

    def found(pattern: str) -> list[str]:
        return [url.removeprefix(f"{base}/") for url in list_urls(f"{base}/{pattern}", endpoint=s3_server, cache=cache)]

    assert found("2025/*.csv") == ["2025/a.csv", "2025/b.csv"]
    assert found("*/a.csv") == ["2025/a.csv", "2026/a.csv"]
    assert found("2026/**/*.csv") == ["2026/a.csv", "2026/x/c.csv"]
    assert found("2025/?.txt") == ["2025/b.txt"]
    assert found("2025/") == ["2025/a.csv", "2025/b.csv", "2025/b.txt"]
    assert found("2025/a.csv") == ["2025/a.csv"]
    assert found("2027/*.csv") == []
    assert fetch_url(f"{base}/2026/x/c.csv", endpoint=s3_server, cache=cache).read_bytes() == b"2026/x/c.csv"


def test_other_addresses_are_refused(tmp_path: Path) -> None:
    for uri in ("gs://bucket/x", "s3://", "http://host/x"):
        with pytest.raises(StorageError, match=r"is not an address of a store.*`s3://bucket/prefix`"):
            open_store(uri, cache=tmp_path)
    store = open_store((tmp_path / "with space").as_uri(), cache=tmp_path)
    store.write("a", b"")
    assert (tmp_path / "with space" / "a").exists()
