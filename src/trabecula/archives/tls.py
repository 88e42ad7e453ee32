"""TLS towards others and from others; why a handshake failed: a bad certificate is no line that is down."""

import socket
import ssl
import urllib.error
from contextlib import suppress

from trabecula.archives.address import Tls
from trabecula.errors import wrong_usage

EXPIRED = 10
"""What OpenSSL calls a certificate whose time is over (X509_V_ERR_CERT_HAS_EXPIRED)."""

NO_CONNECTION, CERTIFICATE_EXPIRED = "no-connection", "certificate-expired"
CERTIFICATE_REFUSED, OWN_REFUSED = "certificate-refused", "own-certificate-refused"
CERTIFICATES = (CERTIFICATE_EXPIRED, CERTIFICATE_REFUSED, OWN_REFUSED)
ALERT_SECONDS = 1.0
"""For the other side to say that it will not have our certificate: with TLS 1.3 that comes after the handshake."""


def server_context(tls: Tls, where: str) -> ssl.SSLContext:
    """TLS as others are shown it; with an authority, they have to show a certificate of it.

    Raises:
        WrongUsage: a certificate is missing or does not fit its key.
    """
    if tls.certificate is None or tls.key is None:
        raise wrong_usage("certificate-unusable.missing", where=where)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    return _loaded(made, tls, where)


def client_context(tls: Tls, where: str) -> ssl.SSLContext:
    """TLS towards somebody whose certificate must be good for the host's name.

    Raises:
        WrongUsage: a certificate is missing or does not fit its key.
    """
    return _loaded(ssl.create_default_context(), tls, where)


def _loaded(made: ssl.SSLContext, tls: Tls, where: str) -> ssl.SSLContext:
    try:
        if tls.certificate is not None:
            made.load_cert_chain(tls.certificate, tls.key)
        if tls.ca is not None:
            made.load_verify_locations(tls.ca)
            made.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise wrong_usage("certificate-unusable", where=where) from error
    return made


def why_unreachable(error: BaseException) -> str:
    """A code for what stood between: a certificate, where any error in the chain is of one."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return CERTIFICATE_EXPIRED if seen.verify_code == EXPIRED else CERTIFICATE_REFUSED
        if isinstance(seen, ssl.SSLError) and "alert" in str(seen.reason).lower():
            return OWN_REFUSED
        reason = seen.reason if isinstance(seen, urllib.error.URLError) else None
        seen = reason if isinstance(reason, BaseException) else seen.__cause__ or seen.__context__
    return NO_CONNECTION


def why_no_association(context: ssl.SSLContext | None, host: str, port: int, seconds: float) -> str:
    """Why no association could be had, as a code: pynetdicom does not say whether it was a certificate."""
    if context is None:
        return NO_CONNECTION
    try:
        with (
            socket.create_connection((host, port), timeout=seconds) as line,
            context.wrap_socket(line, server_hostname=host) as secure,
        ):
            secure.settimeout(min(ALERT_SECONDS, seconds))
            with suppress(TimeoutError):
                secure.recv(1)
            return NO_CONNECTION
    except OSError as error:
        return why_unreachable(error)
