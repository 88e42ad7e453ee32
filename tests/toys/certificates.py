"""A certificate authority of our own, for this machine only."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Shown:
    """A certificate and its key, PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Issues certificates for 127.0.0.1; ``ca`` is its own."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        folder.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.own = self._signed(name, self.key, authority=True, begins=-1, ends=2)
        self.ca = folder / f"{name}.ca.pem"
        self.ca.write_bytes(self.own.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, expired: bool = False) -> Shown:
        key = ec.generate_private_key(ec.SECP256R1())
        begins, ends = (-20, -10) if expired else (-1, 2)
        shown = Shown(self.folder / f"{self.name}-{name}.pem", self.folder / f"{self.name}-{name}.key")
        made = self._signed(name, key, authority=False, begins=begins, ends=ends)
        shown.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        form = (serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
        shown.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, *form))
        return shown

    def _signed(
        self, name: str, key: ec.EllipticCurvePrivateKey, authority: bool, begins: int, ends: int
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(_named(name))
            .issuer_name(_named(self.name))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + timedelta(days=begins))
            .not_valid_after(now + timedelta(days=ends))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
