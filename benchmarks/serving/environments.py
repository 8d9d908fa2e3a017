"""The peers' environments: one each, outside of the repository, from the pinned versions in `peers/`."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

PEERS = Path(__file__).parent / "peers"


class AbsentPeerError(Exception):
    """A peer cannot be had on this machine; the text says why."""


def cache() -> Path:
    """Return the folder of the environments."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tiltyard-benchmarks"


def python_of(peer: str) -> Path:
    """Return the interpreter of a peer's environment, which is made when it is not there or its pins have changed.

    Raises:
        AbsentPeerError: It cannot be installed.
    """
    pins = PEERS / f"{peer}.txt"
    digest = hashlib.sha256(pins.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache() / f"{peer}-{digest}"
    python = folder / "bin" / "python"
    if not (folder / ".ready").exists():
        uv = str(Path(sys.executable).parent / "uv")
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--system-certs", "--python", str(python), "-r", str(pins)])
        (folder / ".ready").touch()
    return python


def nginx() -> str:
    """Return where nginx is.

    Raises:
        AbsentPeerError: It is not installed.
    """
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise AbsentPeerError("not installed (apt-get install -y --no-install-recommends nginx-light)")
    return found


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise AbsentPeerError(f"cannot be installed: {lines[-1][:200]}")
