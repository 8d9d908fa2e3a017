"""Notices on their way to people: a real listener for webhooks, and a real SMTP server."""

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from tests.conftest import free_port
from tests.notification.listener import Listener, listening
from tiltyard.errors import ProjectError
from tiltyard.notification.channels import channels, send
from tiltyard.notification.notice import Notice

NOTICE = Notice(
    project="churn",
    event="promotion",
    subject="version 7",
    title="churn: version 7 is the champion",
    text="Better by 0.02 <sure>.",
    page="http://127.0.0.1:4200/v2/runs",
)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as made:
        yield made


class Mailbox:
    """What an SMTP server got."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
        letter = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        return "250 OK"


@pytest.fixture
def mail() -> Iterator[tuple[Mailbox, int]]:
    mailbox, port = Mailbox(), free_port()
    controller = Controller(mailbox, hostname="127.0.0.1", port=port)
    controller.start()
    yield mailbox, port
    controller.stop()


def test_webhook_gets_text_as_slack_takes_it(listener: Listener) -> None:
    assert send(NOTICE, channels(listener.url)) == {}
    text = "*churn: version 7 is the champion*\nBetter by 0.02 <sure>.\n\nhttp://127.0.0.1:4200/v2/runs"
    assert listener.got == [{"path": "/services/T0/B0/token?sig=abc", "text": text}]


def test_failed_try_is_repeated_once(listener: Listener) -> None:
    listener.codes = [500]
    assert send(NOTICE, channels(listener.url)) == {}
    assert len(listener.got) == 2


def test_webhook_that_fails_is_named_without_its_token(listener: Listener) -> None:
    listener.codes = [404, 404]
    assert send(NOTICE, channels(listener.url)) == {"http://127.0.0.1": "it answered 404"}
    nobody = f"http://127.0.0.1:{free_port()}/secret-token"
    assert send(NOTICE, channels(nobody)) == {"http://127.0.0.1": "ConnectionError"}


def test_mail_arrives_with_title_and_text(mail: tuple[Mailbox, int]) -> None:
    mailbox, port = mail
    address = f"mailto://127.0.0.1:{port}?from=yard@example.org&to=ada@example.org,bob@example.org&mode=insecure"
    assert send(NOTICE, channels(address)) == {}
    assert sorted(str(letter["To"]) for letter in mailbox.letters) == ["ada@example.org", "bob@example.org"]
    letter = mailbox.letters[0]
    assert letter["Subject"] == "churn: version 7 is the champion"
    body = letter.get_body(("plain", "html"))
    assert body is not None
    assert "Better by 0.02" in body.get_content()


def test_one_channel_that_fails_does_not_keep_the_others(listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    silent = f"mailto://ada:secret@127.0.0.1:{free_port()}?from=a@example.org&to=b@example.org&mode=insecure"
    problems = send(NOTICE, channels(f"{silent} {listener.url}"))
    assert list(problems) == ["mailto://127.0.0.1"]
    assert len(listener.got) == 1
    assert "secret" not in f"{problems}{caplog.text}"


@pytest.mark.parametrize(
    ("addresses", "names"),
    [
        ("https://a.example/x,https://b.example/y", ["https://a.example", "https://b.example"]),
        ("  https://a.example/x ,\n https://b.example/y, ", ["https://a.example", "https://b.example"]),
        (
            "mailto://h.example?from=a@x.example&to=b@x.example,c@x.example https://a.example",
            ["mailto://h.example", "https://a.example"],
        ),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", ["tgram://…"]),
    ],
)
def test_addresses_are_separated_by_spaces_or_commas(addresses: str, names: list[str]) -> None:
    assert [channel.name for channel in channels(addresses)] == names


@pytest.mark.parametrize("address", ["nonsense://secret", "secret", "https://", "mailto://", "http://[secret"])
def test_wrong_address_is_named_by_its_place_and_not_shown(address: str) -> None:
    with pytest.raises(ProjectError, match="address 2 of the notifications") as refused:
        channels(f"https://a.example/x {address}")
    assert "secret" not in str(refused.value)
