"""The same search as `fuzz.py`, led by the coverage of our own modules: by atheris, which lives elsewhere.

uv venv FUZZ && uv pip install --python FUZZ/bin/python atheris
PYTHONPATH=.:.venv/lib/python3.11/site-packages FUZZ/bin/python -m tests.soak.fuzz_coverage [SECONDS]
"""

import sys
import tempfile
from pathlib import Path

import atheris  # type: ignore[import-untyped]  # in an environment of its own

with atheris.instrument_imports(include=["tiltyard"]):
    from tests.soak.fuzz import SEEDS, Target
    from tiltyard.serving.requests import Request


def main(seconds: int) -> None:
    """Search; the process ends with the search, and an input that is not answered as it must be is written down."""
    with tempfile.TemporaryDirectory() as folder:
        target = Target(Path(folder) / "bundles")
        corpus = Path(folder) / "corpus"
        corpus.mkdir()
        for number, (_, body, _) in enumerate(SEEDS):
            (corpus / str(number)).write_bytes(bytes([number]) + body)
        options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=30", "-rss_limit_mb=4096", str(corpus)]

        def once(data: bytes) -> None:
            if data:
                path, _, headers = SEEDS[data[0] % len(SEEDS)]
                target.try_request(Request("POST", path, data[1:], headers, "id", 1.8e9))
                target.try_reader(data[1:])

        atheris.Setup([sys.argv[0], *options], once)
        atheris.Fuzz()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3_600)
