"""HTTPS by the server itself: its certificate is checked before it starts, and followed when it is renewed."""

import logging
import ssl
import time
from pathlib import Path

from tiltyard.errors import ServingError
from tiltyard.serving.settings import TlsFiles

SOON = 14 * 86_400.0
"""Seconds before its end from which a certificate is worth a warning."""

_EXPIRED, _NOT_YET = 10, 9
"""OpenSSL's codes of a failed verification."""

_log = logging.getLogger(__name__)


def check_tls(files: TlsFiles) -> str:
    """Check what a server is to show its clients.

    Args:
        files: Certificate and key.

    Returns:
        What deserves a warning, as a sentence; empty when nothing does.

    Raises:
        ServingError: A file is missing or is none, or the key is not the certificate's or has a password.
    """
    for path in (files.certificate, files.key):
        try:
            path.read_bytes()
        except OSError as error:
            raise ServingError(
                f"cannot be read ({error.strerror})", where=str(path), cure="Correct --tls-cert and --tls-key."
            ) from None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_certificate(context, files)
    return _warning(context, files.certificate)


def load_certificate(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Have a context show a certificate to all who connect from now on.

    Raises:
        ServingError: A file is none, or the key is not the certificate's or has a password.
    """

    def password() -> str:
        """Answer instead of a person whom OpenSSL would ask."""
        raise ServingError("this key has a password", where=str(files.key), cure="`openssl pkey -in KEY` removes it.")

    try:
        context.load_cert_chain(files.certificate, files.key, password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            what, where, cure = "this is not the key of the certificate", files.key, "Give the one it was made with."
        else:
            what, where, cure = "this is no certificate or no key in PEM", files.certificate, f"See {files.key}, too."
        raise ServingError(what, where=str(where), cure=cure) from None
    except OSError as error:
        raise ServingError(
            f"cannot be read ({error.strerror})", where=str(files.certificate), cure=f"See {files.key}, too."
        ) from None


class Renewal:
    """Follows certificate and key when they are renewed.

    Args:
        context: Shows the certificate.
        files: Where it is.
    """

    def __init__(self, context: ssl.SSLContext, files: TlsFiles) -> None:
        self._context = context
        self._files = files
        self._seen = self._stamps()

    def refresh(self) -> None:
        """Load the certificate again when a file has changed; while it cannot be, the one before is shown."""
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            check_tls(self._files)
            load_certificate(self._context, self._files)
        except ServingError as error:
            _log.error("%s The certificate before is shown.", error)
            return
        _log.info("the certificate in %s is new, and shown from now on", self._files.certificate)

    def _stamps(self) -> list[tuple[int, int] | None]:
        """Tell one content of the files from the next."""
        return [_stamp_of(path) for path in (self._files.certificate, self._files.key)]


def _stamp_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def _warning(server: ssl.SSLContext, certificate: Path) -> str:
    """Say what a client would hold against a certificate's dates, found by being one."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.load_verify_locations(certificate)
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        left = _ends(server, client) - time.time()
    except ssl.SSLCertVerificationError as error:
        told = {_EXPIRED: "has expired: clients refuse it", _NOT_YET: "is not valid yet: clients refuse it"}
        return f"the certificate in {certificate} {told.get(error.verify_code, error.verify_message)}"
    return f"the certificate in {certificate} ends in {left / 86_400:.0f} days" if left < SOON else ""


def _ends(server: ssl.SSLContext, client: ssl.SSLContext) -> float:
    """Shake hands in memory; return when the certificate ends, seconds since 1970.

    Raises:
        ssl.SSLCertVerificationError: The client does not trust it.
    """
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there)
    answering = server.wrap_bio(there, back, server_side=True)
    for side in (asking, answering, asking):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    found = asking.getpeercert()
    assert found is not None
    return float(ssl.cert_time_to_seconds(str(found["notAfter"])))
