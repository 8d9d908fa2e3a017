import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tiltyard.errors import StorageError
from tiltyard.storage.folder import UNFINISHED, FolderStore

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A folder that holds one object."""
    store = FolderStore(tmp_path / "store")
    store.write("a", b"old")
    return store


def in_a_process(code: str, store: FolderStore) -> subprocess.CompletedProcess[str]:
    """Run a few lines with `store` in a process of its own."""
    opening = f"from pathlib import Path\nfrom tiltyard.storage.folder import FolderStore\nroot = {str(store.root)!r}\n"
    lines = f"{opening}store = FolderStore(Path(root))\n{code}"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", lines], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("call", ["write('a', b'x' * 100_000)", "create('b', b'x' * 100_000)", "upload(big, 'a')"])
def test_a_full_disk_leaves_the_old_object(store: FolderStore, tmp_path: Path, call: str) -> None:
    big = tmp_path / "big"
    big.write_bytes(b"x" * 100_000)
    code = f"""
import resource, signal
from tiltyard.errors import StorageError
big = Path({str(big)!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    store.{call}
except StorageError as error:
    print(error)
"""
    said = in_a_process(code, store).stdout
    assert "Free some space and try again; what was there before is untouched." in said
    assert store.list("") == ["a"]
    assert store.read("a") == b"old"
    assert list((store.root / UNFINISHED).iterdir()) == []


def test_a_real_full_file_system(tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a file system is not allowed here")
    try:
        store = FolderStore(folder)
        store.write("a", b"old")
        with pytest.raises(StorageError, match=r"No space left on device.*Free some space"):
            store.write("a", b"x" * 200_000)
        assert store.read("a") == b"old"
        store.write("a", b"new")
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_killed_while_writing_nothing_half_is_seen(store: FolderStore) -> None:
    code = """
import os, signal
from tiltyard.storage import folder
folder._settle = lambda file: os.kill(os.getpid(), signal.SIGKILL)
store.write('a', b'half')
"""
    assert in_a_process(code, store).returncode == -signal.SIGKILL
    assert store.list("") == ["a"]
    assert store.read("a") == b"old"
    left = list((store.root / UNFINISHED).iterdir())
    assert len(left) == 1
    os.utime(left[0], (0, time.time() - 2 * 24 * 3600))
    FolderStore(store.root)
    assert not left[0].exists()


def test_the_folder_of_unfinished_files_is_no_place_for_objects(store: FolderStore) -> None:
    with pytest.raises(StorageError, match="kept for files that are being written"):
        store.write(f"{UNFINISHED}/x", b"")


def test_a_key_below_an_object_is_explained(store: FolderStore) -> None:
    with pytest.raises(StorageError, match="a key cannot also be the prefix of another"):
        store.write("a/b", b"")


def test_what_cannot_be_opened_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot open the store"):
        FolderStore(tmp_path / "file" / "store")


def test_a_refusal_of_the_disk_is_explained(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StorageError, match=r"cannot write `a` \(Input/output error\)"):
        store.write("a", b"new")
    assert store.read("a") == b"old"


def test_it_opens_while_others_write(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    passing = store.root / UNFINISHED / "passing"
    passing.write_bytes(b"half")
    look = Path.stat

    def finished_just_before(path: Path, **options: bool) -> os.stat_result:
        if path == passing:
            passing.unlink()
        return look(path, **options)

    monkeypatch.setattr(Path, "stat", finished_just_before)
    assert FolderStore(store.root).read("a") == b"old"
