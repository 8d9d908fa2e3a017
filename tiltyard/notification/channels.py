"""The ways to people: a webhook that takes `{"text": ...}`, as Slack's does, or whatever apprise knows, such as e-mail.

Addresses carry passwords and tokens, so that none of them is ever shown: a channel is named by its kind, and by its
host where that is one.
"""

import logging
import re
import smtplib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable
from urllib.parse import urlsplit

import apprise
import requests

from tiltyard.errors import ProjectError
from tiltyard.notification.notice import Notice

VARIABLE = "TILTYARD_NOTIFY"
"""Environment variable with the addresses."""

_BETWEEN = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)|\s+")
_WEBHOOKS = ("http", "https")
_WITH_HOST = (*_WEBHOOKS, "mailto", "mailtos")
_SECONDS = 10.0
_TRIES = 2


class Channel(ABC):
    """A way to people. Two implementations stand behind it: webhooks, and apprise.

    Attributes:
        name: What it is called in messages; tells no secret.
    """

    name: str

    @abstractmethod
    def send(self, notice: Notice) -> str | None:
        """Tell a notice; returns why that failed, None when it did not."""


class Webhook(Channel):
    """A webhook that takes a JSON object with `text`, as those of Slack, Mattermost and many others do."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.name = _name(url)

    def send(self, notice: Notice) -> str | None:
        """Post a notice."""
        try:
            answer = requests.post(self._url, json={"text": f"*{notice.title}*\n{notice.body}"}, timeout=_SECONDS)
        except (requests.RequestException, UnicodeError) as error:  # whose words may hold the address
            return type(error).__name__
        return None if answer.ok else f"it answered {answer.status_code}"


class Apprise(Channel):
    """Anything that apprise has an address for, such as `mailtos://user:password@host?to=team@example.org`."""

    def __init__(self, url: str) -> None:
        self.name = _name(url)
        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its warnings hold addresses
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # loading its plugins imports what Python is to lose
            found = apprise.Apprise.instantiate(url, suppress_exceptions=True)
        if found is None:
            raise ValueError(self.name)
        self._service = found

    def send(self, notice: Notice) -> str | None:
        """Send a notice."""
        try:
            sent = self._service.notify(title=notice.title, body=notice.body, body_format=apprise.NotifyFormat.TEXT)
        except (OSError, ValueError, TypeError, smtplib.SMTPException) as error:
            return type(error).__name__
        return None if sent else "it did not take the message"


def channels(addresses: str) -> tuple[Channel, ...]:
    """Open the channels of some addresses; nothing is sent.

    Args:
        addresses: URLs, separated by spaces or commas.

    Raises:
        ProjectError: One of them is of no known kind; says which by its place, and shows no secret.
    """
    return tuple(_open(number, url) for number, url in enumerate(_split(addresses), start=1))


def send(notice: Notice, to: Iterable[Channel]) -> dict[str, str]:
    """Tell a notice on every channel, each tried twice; never raises.

    Args:
        notice: What people are to know.
        to: The channels.

    Returns:
        Why it failed, by the name of the channel; empty when all took it.
    """
    problems = {channel.name: _tried(channel, notice) for channel in to}
    return {name: problem for name, problem in problems.items() if problem is not None}


def _tried(channel: Channel, notice: Notice) -> str | None:
    problem = None
    for _ in range(_TRIES):
        problem = channel.send(notice)
        if problem is None:
            return None
    return problem


def _split(addresses: str) -> list[str]:
    """Split at spaces, and at commas that a new address follows: an address may hold commas itself."""
    return [url.strip(",") for url in _BETWEEN.split(addresses.strip()) if url.strip(",")]


def _open(number: int, url: str) -> Channel:
    """Open one channel."""
    try:
        parts = urlsplit(url)
        if parts.scheme in _WEBHOOKS and parts.hostname:
            return Webhook(url)
        return Apprise(url)
    except ValueError:
        raise ProjectError(
            f"address {number} of the notifications is of no known kind, or incomplete",
            where=VARIABLE,
            cure="Give URLs such as `https://hooks.slack.com/services/…` or `mailtos://user:password@host?to=…`.",
        ) from None


def _name(url: str) -> str:
    """Return what can be shown of an address: in many kinds that apprise knows, a token stands where the host would.

    Example:
        >>> _name("mailtos://ada:secret@mail.example.org?to=team@example.org"), _name("tgram://123:token/456")
        ('mailtos://mail.example.org', 'tgram://…')
    """
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname if parts.scheme in _WITH_HOST else '…'}"
