"""Proving a bundle in a fresh process: it loads, answers its golden rows, and needs no training library to do so.

The process starts isolated (`python -I`: no environment variables of Python's, no user packages, no current folder),
with an environment of its own that holds none of the parent's secrets, and with bounded memory and time.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import tiltyard
from tiltyard.bundle.manifest import LARGEST_FILE
from tiltyard.bundle.runtime import Runtime
from tiltyard.errors import BundleError, TiltyardError
from tiltyard.project.section import Section

FORBIDDEN = ("mlflow", "pandas", "prefect", "sklearn")
"""What a replica must not need."""

MEMORY_BYTES = 3 * 2**30
GROWTH = 8
"""Address space of the process: for itself, and for so many times the bundle."""

_FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""Signals that come from the system or a person: they say nothing about the bundle."""

_ROOT = Path(tiltyard.__file__).parents[1]
_START = "import sys; sys.path.insert(0, sys.argv[1]); from tiltyard.bundle.sandbox import main; main(sys.argv[2])"
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "SYSTEMROOT", "TILTYARD_STACK")


class Verification(Section):
    """What a fresh process found.

    Attributes:
        passed: Whether the bundle may be served.
        sentence: Why, or why not.
        latency_ms: Median time of one row, milliseconds; 0 when it did not come to that.
        max_difference: Largest difference from the expected answers of the golden rows.
        imported: Libraries of a training machine that loading it brought in; empty when all is well.
        undecided: Whether it did not pass for want of time or memory, which may be this machine's fault.
    """

    passed: bool
    sentence: str
    latency_ms: float = 0.0
    max_difference: float = 0.0
    imported: tuple[str, ...] = ()
    undecided: bool = False


def verify_bundle(folder: Path, *, timeout: float = 60.0) -> Verification:
    """Load and query a bundle in a fresh process.

    Args:
        folder: The bundle.
        timeout: Seconds after which the process is killed.

    Returns:
        The verdict; a crash or a timeout is one that did not pass.

    Raises:
        BundleError: No process can be started at all.
    """
    command = [sys.executable, "-I", "-B", "-c", _START, str(_ROOT), str(folder.resolve())]
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    with tempfile.TemporaryDirectory(prefix="tiltyard-sandbox-") as nowhere:
        try:
            done = subprocess.run(
                command, cwd=nowhere, env=environment, capture_output=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired:
            sentence = f"The bundle did not answer within {timeout:g} s."
            return Verification(passed=False, sentence=sentence, undecided=True)
        except OSError as error:
            raise BundleError(f"no process can be started to verify the bundle ({error.strerror})") from error
    try:
        return Verification.model_validate_json(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        killed = -done.returncode in _FROM_OUTSIDE
        return Verification(passed=False, sentence=_post_mortem(done), undecided=killed)


def main(folder: str) -> None:
    """Verify a bundle in this process and print the verdict as one line of JSON."""
    allowed = MEMORY_BYTES + GROWTH * _size(Path(folder))
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.stdout.write(examine(Path(folder)).model_dump_json() + "\n")


def _size(folder: Path) -> int:
    """Return the bytes of a bundle's files, as far as they may count; what is no such file is refused later."""
    sizes = (min(most, _length(folder / name)) for name, most in LARGEST_FILE.items())
    return sum(sizes)


def _length(file: Path) -> int:
    try:
        return file.lstat().st_size
    except OSError:
        return 0


def examine(folder: Path) -> Verification:
    """Load a bundle here and replay its golden rows.

    Args:
        folder: The bundle.
    """
    try:
        runtime = Runtime.load(folder)
        difference = runtime.replay()
        latency = runtime.single_row_latency()
    except TiltyardError as error:
        return Verification(passed=False, sentence=str(error))
    except MemoryError:
        return Verification(passed=False, sentence="The bundle needs more memory than there is.", undecided=True)
    imported = tuple(name for name in FORBIDDEN if name in sys.modules)
    if imported:
        sentence = f"Loading the bundle brought in {', '.join(imported)}, which a replica does not have."
        return Verification(passed=False, sentence=sentence, imported=imported)
    sentence = (
        f"All {len(runtime.golden.labels)} golden rows are answered as by the fitted model"
        f" (largest difference {difference:.1e}); one row takes {latency:.3f} ms."
    )
    return Verification(passed=True, sentence=sentence, latency_ms=latency, max_difference=difference)


def _post_mortem(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return a sentence about a process that died without a verdict."""
    if done.returncode < 0:
        return f"The process that loaded the bundle was killed by signal {-done.returncode}."
    lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
    return f"The process that loaded the bundle died with status {done.returncode}: {json.dumps(lines[-1][:200])}."
