"""Tokens: what needs which scope, what is refused, and that no secret is told."""

import base64
import logging
from pathlib import Path

import pytest

from tiltyard.errors import ProjectError
from tiltyard.serving.answers import RequestError
from tiltyard.serving.tokens import FILE_VARIABLE, OPEN, SHORTEST, VARIABLE, Tokens

PREDICTS = "p" * SHORTEST
READS = "r" * SHORTEST
RULES = "a" * SHORTEST
FEEDS = "f" * SHORTEST
TOKENS = Tokens.of({VARIABLE: f"predict:{PREDICTS} read+metrics:{READS},admin:{RULES}\nfeedback@churn:{FEEDS}"})
PREDICT = ("POST", "/v1/models/churn/predict")
INFER = ("POST", "/v2/models/churn/infer")
FEEDBACK = ("POST", "/v1/models/churn/feedback")


def bearer(token: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {token}".encode()}


def status(tokens: Tokens, method: str, path: str, headers: dict[bytes, bytes]) -> int:
    try:
        tokens.check(method, path, headers)
    except RequestError as error:
        return error.http_status
    return 200


@pytest.mark.parametrize(
    ("token", "allowed"),
    [
        (PREDICTS, {PREDICT, INFER, ("POST", "/invocations")}),
        (READS, {("GET", "/v1/models"), ("GET", "/metrics"), ("HEAD", "/docs"), ("GET", "/v2/models/churn/ready")}),
        (FEEDS, {FEEDBACK}),
        (RULES, None),
    ],
)
def test_a_token_opens_what_its_scopes_are_for(token: str, allowed: set[tuple[str, str]] | None) -> None:
    asked = {PREDICT, INFER, FEEDBACK, ("POST", "/invocations"), ("POST", "/v1/models/demand/feedback")}
    asked |= {("GET", "/v1/models"), ("GET", "/metrics"), ("HEAD", "/docs"), ("GET", "/v2/models/churn/ready")}
    found = {request for request in asked if status(TOKENS, *request, bearer(token)) == 200}
    assert found == (asked if allowed is None else allowed)
    assert {status(TOKENS, *request, bearer(token)) for request in asked - found} <= {403}


def test_one_token_may_have_several_entries() -> None:
    tokens = Tokens.of({VARIABLE: f"predict@churn:{PREDICTS} read:{PREDICTS}"})
    assert [status(tokens, *request, bearer(PREDICTS)) for request in (PREDICT, ("GET", "/v1/models"))] == [200, 200]
    assert status(tokens, "POST", "/v1/models/demand/predict", bearer(PREDICTS)) == 403
    assert status(tokens, "POST", "/invocations", bearer(PREDICTS)) == 403


@pytest.mark.parametrize(
    "header",
    [b"", b"Bearer", b"Bearer ", b"bearer  \xff", PREDICTS.encode(), b"Basic " + PREDICTS.encode(), b"Bearer p"],
)
def test_what_is_no_known_token_is_not_let_in(header: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        TOKENS.check(*PREDICT, {b"authorization": header})
    assert caught.value.http_status == 401
    assert caught.value.headers[0][1].startswith(b"Bearer")
    assert PREDICTS not in str(caught.value)


def test_everybody_may_ask_whether_it_lives() -> None:
    assert {status(TOKENS, "GET", path, {}) for path in OPEN} == {200}
    assert status(TOKENS, "GET", "/health/live/", {}) == 401


def test_without_tokens_everybody_may_do_everything() -> None:
    assert status(Tokens.of({}), *PREDICT, {}) == 200
    assert not Tokens.of({VARIABLE: " "}).needed


def test_a_browser_asks_for_the_token_as_a_password() -> None:
    password = {b"authorization": b"Basic " + base64.b64encode(f"me:{READS}".encode())}
    assert status(TOKENS, "GET", "/docs", password) == 200
    assert status(TOKENS, *PREDICT, {b"authorization": b"Basic " + base64.b64encode(f":{RULES}".encode())}) == 401
    with pytest.raises(RequestError) as caught:
        TOKENS.check("GET", "/docs", {})
    assert [value.split()[0] for _, value in caught.value.headers] == [b"Bearer", b"Basic"]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("predict:short-s3cret", "16 characters"),
        ("predicts:" + PREDICTS, "Did you mean `predict`"),
        (PREDICTS, "no `scope:token`"),
        (":" + PREDICTS, "Allowed"),
        ("predict:" + PREDICTS + "é", "no header carries"),
    ],
)
def test_an_entry_that_cannot_be_is_refused_by_its_number(entry: str, told: str) -> None:
    with pytest.raises(ProjectError) as caught:
        Tokens.of({VARIABLE: f"read:{READS} {entry}"})
    assert told in str(caught.value)
    assert "entry 2" in str(caught.value)
    assert PREDICTS not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tokens"
    path.write_text(f"# who asks\npredict:{PREDICTS}  # the shop\n")
    path.chmod(0o600)
    return path


def test_a_file_is_followed(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokens = Tokens.of({VARIABLE: f"admin:{RULES}", FILE_VARIABLE: str(file)})
    assert [status(tokens, *PREDICT, bearer(token)) for token in (PREDICTS, RULES, READS)] == [200, 200, 401]
    rewrite(file, f"predict:{READS}\n")
    tokens.refresh()
    assert [status(tokens, *PREDICT, bearer(token)) for token in (PREDICTS, RULES, READS)] == [401, 200, 200]
    with caplog.at_level(logging.ERROR):
        rewrite(file, f"oracle:{PREDICTS}\n")
        tokens.refresh()
        tokens.refresh()
        file.unlink()
        tokens.refresh()
    assert status(tokens, *PREDICT, bearer(READS)) == 200
    assert caplog.text.count("stay in force") == 2
    rewrite(file, "# nobody\n")
    tokens.refresh()
    assert status(tokens, *PREDICT, bearer(READS)) == 401


def rewrite(file: Path, text: str) -> None:
    draft = file.with_name("draft")
    draft.write_text(text)
    draft.chmod(0o600)
    draft.replace(file)


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o604])
def test_a_file_for_others_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(ProjectError, match="chmod 600"):
        Tokens.of({FILE_VARIABLE: str(file)})


def test_a_worker_whose_tokens_cannot_be_read_lets_nobody_in(file: Path) -> None:
    file.unlink()
    tokens = Tokens.following({FILE_VARIABLE: str(file)})
    assert status(tokens, *PREDICT, bearer(PREDICTS)) == 401
    rewrite(file, f"predict:{PREDICTS}")
    tokens.refresh()
    assert status(tokens, *PREDICT, bearer(PREDICTS)) == 200
    assert status(Tokens.following({VARIABLE: "x"}), *PREDICT, {}) == 401
