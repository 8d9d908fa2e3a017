"""Which code made a result: part of the key of every run, and of the evidence on every version."""

import hashlib
import subprocess
from functools import cache
from pathlib import Path

import tiltyard


@cache
def code_digest() -> str:
    """Return 16 hex digits of Tiltyard's own source; a run made by other code is another run."""
    package = Path(tiltyard.__file__).parent
    content = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        content.update(file.relative_to(package).as_posix().encode())
        content.update(file.read_bytes())
    return content.hexdigest()[:16]


def git_commit(folder: Path) -> str | None:
    """Return the commit checked out in a folder, with `+changes` when files differ from it; None outside git."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return f"{commit}+changes" if _git(folder, "status", "--porcelain") else commit
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
