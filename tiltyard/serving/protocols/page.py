"""`GET /docs`: a page on which a person tries a request. It needs nothing from anywhere else.

The page is the same for every server: its script asks this server for its models and their features. The browser is
told to run that script and to use that style alone, each named by its hash, and to talk to nobody but this server.
"""

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files

from tiltyard.errors import TiltyardError
from tiltyard.serving.answers import Answer, Headers, error_answer
from tiltyard.serving.requests import Request, require
from tiltyard.serving.slots import Served

PATH = "/docs"


def answer(served: Served, request: Request) -> Answer:  # noqa: ARG001
    """Answer with the page.

    Raises:
        RequestError: The method is another.
    """
    require(request, "GET")
    return _page()


def refusal(error: TiltyardError, headers: Headers = ()) -> Answer:
    """Return the answer of a failure in the shape of the own protocol."""
    return error_answer(error, headers)


@lru_cache(maxsize=1)
def _page() -> Answer:
    """Put the page together."""
    style, script = _text("docs.css"), _text("docs.js")
    page = _text("docs.html").replace("{{style}}", style).replace("{{script}}", script)
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            "connect-src 'self'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
    headers = (
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-security-policy", policy.encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-cache"),
    )
    return Answer(200, page.encode(), headers)


def _text(name: str) -> str:
    return files("tiltyard.serving.protocols").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """Return how a policy names an inline element by its content."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
