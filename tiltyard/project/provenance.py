"""Which code made a result: part of the key of every run."""

import hashlib
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
