"""What every store promises, tried on each."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.storage.conftest import BUCKET
from tiltyard.errors import ConflictError, StorageError
from tiltyard.storage.base import Store
from tiltyard.storage.keys import check_key
from tiltyard.storage.opening import open_store

parts = st.text("abc.-_ é", min_size=1, max_size=6).filter(lambda part: part not in {".", ".."})
keys = st.lists(parts, min_size=1, max_size=3).map("/".join)


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind in turn."""
    if request.param == "folder":
        return open_store(str(tmp_path / "store"), cache=tmp_path / "cache")
    endpoint = request.getfixturevalue("s3_server")
    return open_store(f"s3://{BUCKET}/{uuid4().hex}", endpoint=endpoint, cache=tmp_path / "cache")


class TestEveryStore:
    """The promise of `Store`."""

    def test_what_is_written_is_read(self, store: Store) -> None:
        store.write("a/b", b"one")
        assert store.read("a/b") == b"one"
        store.write("a/b", b"two")
        assert store.read("a/b") == b"two"
        assert store.exists("a/b")

    def test_what_is_not_there_is_said_so(self, store: Store) -> None:
        assert not store.exists("a")
        assert store.list("") == []
        assert store.list("a") == []
        store.delete("a")
        with pytest.raises(StorageError, match="there is no object `a`"):
            store.read("a")
        with pytest.raises(StorageError, match="there is no object `a`"):
            store.fetch("a")

    def test_create_refuses_what_is_there(self, store: Store) -> None:
        store.create("a/b", b"one")
        with pytest.raises(ConflictError, match="`a/b` exists already"):
            store.create("a/b", b"two")
        assert store.read("a/b") == b"one"

    def test_of_two_creates_one_wins(self, store: Store) -> None:
        def attempt(number: int) -> int:
            try:
                store.create(f"race/{number // 2}", str(number).encode())
            except ConflictError:
                return 0
            return 1

        with ThreadPoolExecutor(2) as pool:
            won = list(pool.map(attempt, range(20)))
        assert sum(won) == 10
        assert all(store.read(f"race/{number // 2}") == str(number).encode() for number in range(20) if won[number])

    def test_a_listing_is_of_one_folder_and_sorted(self, store: Store) -> None:
        for key in ("a/c", "a/b/d", "ab/c", "z"):
            store.write(key, b"")
        assert store.list("a") == store.list("a/") == ["a/b/d", "a/c"]
        assert store.list("") == ["a/b/d", "a/c", "ab/c", "z"]

    def test_what_is_deleted_is_gone(self, store: Store) -> None:
        store.write("a", b"one")
        store.delete("a")
        assert store.list("") == []

    def test_files_go_there_and_come_back(self, store: Store, tmp_path: Path) -> None:
        file = tmp_path / "table.csv.gz"
        file.write_bytes(b"x" * 9_000_000)
        store.upload(file, "tables/table.csv.gz")
        copy = store.fetch("tables/table.csv.gz")
        assert copy.name == "table.csv.gz"
        assert copy.read_bytes() == file.read_bytes()
        assert store.fetch("tables/table.csv.gz") == copy
        store.write("tables/table.csv.gz", b"new")
        assert store.fetch("tables/table.csv.gz").read_bytes() == b"new"

    @pytest.mark.parametrize(
        "key",
        ["", "/", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a\\b", "a\0b", "a\nb", "x" * 300, "\ud800"],
    )
    def test_keys_that_lead_astray_are_refused(self, store: Store, key: str, tmp_path: Path) -> None:
        before = sorted(tmp_path.rglob("*"))
        file = Path(__file__)
        for action in (
            lambda: store.write(key, b""),
            lambda: store.create(key, b""),
            lambda: store.read(key),
            lambda: store.delete(key),
            lambda: store.exists(key),
            lambda: store.fetch(key),
            lambda: store.upload(file, key),
        ):
            with pytest.raises(StorageError, match="is not a key"):
                action()
        assert sorted(tmp_path.rglob("*")) == before

    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(key=keys, content=st.binary(max_size=50))
    def test_any_key_and_content_round_trips(self, store: Store, key: str, content: bytes) -> None:
        place = f"{uuid4().hex}/{key}"
        store.create(place, content)
        assert store.read(place) == content
        assert store.fetch(place).read_bytes() == content
        assert store.list(place.split("/", maxsplit=1)[0]) == [place]


@given(st.text(max_size=20))
def test_a_key_that_passes_stays_within_its_folder(key: str) -> None:
    try:
        check_key(key)
    except StorageError:
        return
    assert (Path("/root") / key).resolve().is_relative_to("/root/")
    assert (Path("/root") / key).resolve() != Path("/root")
