"""Who may ask for what: bearer tokens with scopes, from the environment or a file.

    TILTYARD_TOKENS="predict:s3cr3t… read+metrics:0th3r… predict@churn+feedback@churn:th1rd…"
    TILTYARD_TOKENS_FILE=/run/secrets/tokens      # the same, an entry a line; `#` begins a comment

Without either everybody may do everything. Once either is set, a request needs a token that has the scope: `predict`
for answers, `feedback` for labels, `read` for what models are here and their documents, `metrics` for `/metrics`,
`admin` for all of it. A scope may be for one model alone: `predict@churn`. Whether the server is alive and ready is
told to everybody. Tokens are kept, and compared, as digests.
"""

import base64
import binascii
import hmac
import logging
import os
import re
import stat
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from tiltyard.errors import ProjectError, did_you_mean
from tiltyard.serving.answers import Headers, RequestError
from tiltyard.serving.hooks import HOOK

VARIABLE = "TILTYARD_TOKENS"
FILE_VARIABLE = "TILTYARD_TOKENS_FILE"
SCOPES = ("predict", "read", "feedback", "metrics", "admin")
SHORTEST = 16
OPEN = frozenset({"/health/live", "/health/ready", "/health", "/ping", "/v2/health/live", "/v2/health/ready", HOOK})
"""Paths for everybody; the hook has a signature of its own."""

_PAGE = "/docs"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")
_MODEL = re.compile(r"/v[12]/models/([^/]+)")
_MAKE = "Make one with `openssl rand -hex 32`."

_log = logging.getLogger(__name__)


class Grant(NamedTuple):
    """A token and what it is for.

    Attributes:
        digest: SHA-256 of the token.
        scopes: `scope`, or `scope@model`.
    """

    digest: bytes
    scopes: frozenset[str]


class Tokens:
    """The tokens in force; those of a file follow the file.

    Args:
        grants: From the environment; None when the variable is not set.
        file: Where there are more; None when there is no such file.

    Example:
        >>> tokens = Tokens.of({"TILTYARD_TOKENS": "predict:0123456789abcdef"})
        >>> tokens.check("POST", "/v1/models/churn/predict", {b"authorization": b"Bearer 0123456789abcdef"})
        >>> tokens.check("GET", "/v1/models", {})
        Traceback (most recent call last):
        tiltyard.serving.answers.RequestError: this needs a token. Send `Authorization: Bearer TOKEN`.
    """

    def __init__(self, grants: tuple[Grant, ...] | None = None, file: Path | None = None) -> None:
        self._own = grants or ()
        self._file = file
        self._from_file: tuple[Grant, ...] = ()
        self._stamp: tuple[int, ...] | None = None
        self._said = ""
        self.needed = grants is not None or file is not None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Tokens":
        """Return the tokens of an environment.

        Raises:
            ProjectError: An entry has another shape, an unknown scope or a token that is too short; or the file cannot
                be read, or is for others to read or write.
        """
        text, file = environment.get(VARIABLE, ""), environment.get(FILE_VARIABLE, "")
        tokens = cls(_grants(text, VARIABLE) if text.strip() else None, Path(file) if file else None)
        if tokens._file is not None:
            tokens._from_file, tokens._stamp = _grants_of(tokens._file), _stamp_of(tokens._file)
        return tokens

    @classmethod
    def following(cls, environment: Mapping[str, str]) -> "Tokens":
        """Return the tokens of an environment; with an entry that cannot be read nobody is let in by it."""
        try:
            return cls.of(environment)
        except ProjectError as error:
            _log.error("%s", error)
            file = environment.get(FILE_VARIABLE, "")
            return cls((), Path(file) if file else None)

    def refresh(self) -> None:
        """Read the file again when it has changed; while it cannot be read, the tokens it had stay in force."""
        if self._file is None:
            return
        stamp = _stamp_of(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._from_file = _grants_of(self._file)
            self._said = ""
        except ProjectError as error:
            if str(error) != self._said:
                _log.error("%s The tokens it had before stay in force.", error)
            self._said = str(error)

    def check(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> None:
        """Let a request pass.

        Args:
            method: Its method.
            path: Its path, decoded.
            headers: Names in lower case.

        Raises:
            RequestError: 401 without a token that is known here, 403 with one that has not the scope.
        """
        if not self.needed or path in OPEN:
            return
        token = _token_of(headers.get(b"authorization", b""), basic=method in {"GET", "HEAD"})
        held = self._scopes_of(token) if token else None
        if held is None:
            raise _unknown(path, given=bool(token))
        scope, model = scope_of(method, path), model_of(path)
        if not held & {scope, f"{scope}@{model}", "admin"}:
            raise RequestError.of(
                403, f"this token is not for `{scope}`", cure=f"Use one with the scope {scope}, or {scope}@MODEL."
            )

    def _scopes_of(self, token: bytes) -> frozenset[str] | None:
        """Return what a token is for; every known one is compared, so that time tells nothing."""
        digest = sha256(token).digest()
        found: frozenset[str] | None = None
        for grant in (*self._own, *self._from_file):
            if hmac.compare_digest(grant.digest, digest):
                found = grant.scopes if found is None else found | grant.scopes
        return found


def scope_of(method: str, path: str) -> str:
    """Return the scope that a request needs.

    Args:
        method: Its method.
        path: Its path, decoded.
    """
    if path == "/metrics":
        return "metrics"
    if path.endswith("/feedback"):
        return "feedback"
    return "predict" if method == "POST" else "read"


def model_of(path: str) -> str:
    """Return the model that a path names; empty when it names none."""
    named = _MODEL.match(path)
    return named[1] if named else ""


def _token_of(header: bytes, *, basic: bool) -> bytes:
    """Return the token of an `authorization`; for pages, which a browser asks for, also as a password."""
    kind, _, value = header.strip().partition(b" ")
    if kind.lower() == b"bearer":
        return value.strip()
    if basic and kind.lower() == b"basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2]
        except binascii.Error:
            return b""
    return b""


def _unknown(path: str, *, given: bool) -> RequestError:
    """Return the refusal of a request without a known token."""
    challenge = b'Bearer realm="tiltyard"' + (b', error="invalid_token"' if given else b"")
    challenges: Headers = ((b"www-authenticate", challenge),)
    if path == _PAGE:
        challenges = (*challenges, (b"www-authenticate", b'Basic realm="tiltyard: the token is the password"'))
    what = "this token is not known here" if given else "this needs a token"
    return RequestError.of(401, what, cure="Send `Authorization: Bearer TOKEN`.", headers=challenges)


def _grants_of(path: Path) -> tuple[Grant, ...]:
    """Read the tokens of a file.

    Raises:
        ProjectError: It cannot be read, is for others to read or write, or holds what is no entry.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except OSError as error:
        raise ProjectError(
            f"cannot be read ({error.strerror})", where=str(path), cure=f"Correct {FILE_VARIABLE}, or the file."
        ) from None
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ProjectError(
            f"holds secrets and has the mode {stat.S_IMODE(mode):04o}",
            where=str(path),
            cure=f"`chmod 600 {path}`, or 640 for a group that may read it.",
        )
    lines = (line.partition("#")[0] for line in content.decode("utf-8", "replace").splitlines())
    return _grants("\n".join(lines), str(path))


def _stamp_of(path: Path) -> tuple[int, ...] | None:
    """Tell one content of a file from the next; None when there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode


def _grants(text: str, where: str) -> tuple[Grant, ...]:
    """Read entries, separated by blanks, commas or lines.

    Raises:
        ProjectError: What is no entry; named by its number, for it is a secret.
    """
    entries = re.split(r"[\s,]+", text.strip())
    return tuple(_grant(entry, f"{where}, entry {number}") for number, entry in enumerate(entries, 1) if entry)


def _grant(entry: str, where: str) -> Grant:
    """Read one entry."""
    scopes, colon, token = entry.partition(":")
    if not colon:
        raise ProjectError("this is no `scope:token`", where=where, cure="Write predict+read:TOKEN, say.")
    for scope in _names(scopes):
        if scope not in SCOPES:
            raise ProjectError("there is no such scope", where=where, cure=did_you_mean(scope[:20], SCOPES))
    if len(token) < SHORTEST:
        raise ProjectError(f"a token needs {SHORTEST} characters, and this has {len(token)}", where=where, cure=_MAKE)
    if not _TOKEN.fullmatch(token):
        raise ProjectError("this token has a character that no header carries", where=where, cure=_MAKE)
    return Grant(sha256(token.encode()).digest(), frozenset(scopes.split("+")))


def _names(scopes: str) -> Iterator[str]:
    """Yield the scopes without their models."""
    yield from (scope.partition("@")[0] for scope in scopes.split("+"))
