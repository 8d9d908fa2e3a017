"""HTTPS: the certificate is checked before the start, shown, and followed when it is renewed."""

import logging
import ssl
from pathlib import Path

import httpx
import pytest

from tests.serving.certificates import certificate
from tests.serving.doors import BODY, PREDICT, open_door
from tests.serving.servers import eventually
from tiltyard.errors import ServingError
from tiltyard.serving.settings import TlsFiles
from tiltyard.serving.tls import check_tls


def test_answers_come_over_https_and_the_certificate_is_followed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = certificate(tmp_path / "tls")
    with open_door(tmp_path, tls=files) as door:
        context = ssl.create_default_context(cafile=files.certificate)
        with httpx.Client(base_url=f"https://localhost:{door.port}", verify=context) as client:
            assert client.post(PREDICT, content=BODY).status_code == 200
            assert client.get("/v1/models").http_version == "HTTP/1.1"
        before = ssl.get_server_certificate(("127.0.0.1", door.port))
        renewed = certificate(tmp_path / "new")
        renewed.key.replace(files.key)
        renewed.certificate.replace(files.certificate)
        eventually(lambda: ssl.get_server_certificate(("127.0.0.1", door.port)) != before)
        with door.client() as plain:
            plain.send(b"GET /v1/models HTTP/1.1\r\n\r\n")
            assert plain.is_closed()
        shown = files.certificate.read_text()
        files.certificate.write_text("nothing")
        with caplog.at_level(logging.ERROR):
            eventually(lambda: "The certificate before is shown" in caplog.text)
        assert ssl.get_server_certificate(("127.0.0.1", door.port)) == shown


@pytest.mark.parametrize(
    ("days", "begins", "told"),
    [(365, -1, ""), (5, -1, "ends in 5 days"), (-1, -3, "has expired"), (30, 3, "not valid yet")],
)
def test_the_dates_of_a_certificate_are_looked_at(tmp_path: Path, days: float, begins: float, told: str) -> None:
    warning = check_tls(certificate(tmp_path, days=days, begins=begins))
    assert told in warning
    assert bool(told) == bool(warning)


def test_files_that_cannot_serve_are_refused_before_the_start(tmp_path: Path) -> None:
    good, other = certificate(tmp_path / "a"), certificate(tmp_path / "b")
    locked = certificate(tmp_path / "c", password=b"s3cret")
    swapped = TlsFiles(certificate=good.key, key=good.certificate)
    cases = {
        "No such file": TlsFiles(certificate=tmp_path / "none.pem", key=good.key),
        "not the key of the certificate": TlsFiles(certificate=good.certificate, key=other.key),
        "has a password": locked,
        "no certificate or no key": swapped,
        "Is a directory": TlsFiles(certificate=good.certificate, key=tmp_path),
    }
    for told, files in cases.items():
        with pytest.raises(ServingError, match=told):
            check_tls(files)
