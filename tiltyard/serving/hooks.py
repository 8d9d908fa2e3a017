"""MLflow's calls that something has changed: checked, and passed on to the sidecar as a hint to look at once."""

import base64
import hashlib
import hmac
import os
import time
from collections.abc import Mapping
from contextlib import suppress

from tiltyard.serving.answers import Answer, RequestError, json_answer

HOOK = "/v1/hooks/mlflow"
"""Path of the route."""

MOST_AGE = 300.0
"""Seconds after which a call counts as a repetition of an old one."""

SIGNATURE, MOMENT, DELIVERY = b"x-mlflow-signature", b"x-mlflow-timestamp", b"x-mlflow-delivery-id"
_VERSION = "v1,"


def signature(secret: str, delivery: str, moment: str, body: bytes) -> str:
    """Return the signature that MLflow gives a call.

    Args:
        secret: Shared with MLflow.
        delivery: Id of the call.
        moment: Seconds since 1970, as text.
        body: The call's body.
    """
    content = f"{delivery}.{moment}.".encode() + body
    return _VERSION + base64.b64encode(hmac.new(secret.encode(), content, hashlib.sha256).digest()).decode()


def is_signed(secret: str, headers: Mapping[bytes, bytes], body: bytes, now: float) -> bool:
    """Whether a call comes from somebody who knows the secret, and was made just now.

    Args:
        secret: Shared with MLflow.
        headers: Of the call, names in lower case.
        body: Of the call.
        now: The present moment, seconds since 1970.
    """
    said, moment, delivery = (headers.get(name, b"").decode("latin-1") for name in (SIGNATURE, MOMENT, DELIVERY))
    if not (moment.isascii() and moment.isdigit() and len(moment) < 20 and abs(now - int(moment)) <= MOST_AGE):
        return False
    return hmac.compare_digest(said.encode(), signature(secret, delivery, moment, body).encode())


class Hook:
    """The route that takes MLflow's calls.

    Args:
        secret: Shared with MLflow; None to take no calls.
        hint: File descriptor whose writing has the sidecar look; it never waits.
    """

    def __init__(self, secret: str | None, hint: int | None) -> None:
        self._secret = secret
        self._hint = hint

    def answer(self, method: str, headers: Mapping[bytes, bytes], body: bytes) -> Answer:
        """Pass a call on. What it says is not read: the registry is asked instead.

        Raises:
            RequestError: 404 where no secret is set, 405 for another method than POST, 401 for a wrong signature.
        """
        if not self._secret or self._hint is None:
            raise RequestError.of(404, f"there is nothing at `{HOOK}`", cure="Set TILTYARD_WEBHOOK_SECRET to open it.")
        if method != "POST":
            raise RequestError.of(405, "only MLflow calls here", cure="Send POST.", headers=((b"allow", b"POST"),))
        if not is_signed(self._secret, headers, body, time.time()):
            raise RequestError.of(
                401,
                "the call is not signed with the shared secret",
                cure="Check TILTYARD_WEBHOOK_SECRET and the clock.",
            )
        with suppress(BlockingIOError):  # the pipe is full of hints already
            os.write(self._hint, b"!")
        return json_answer({"status": "heard"}, status=202)
