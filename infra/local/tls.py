"""A certificate for the gateway, from an authority of this installation's own: for one's machine, not for the public.

The authority is made once, so that a browser or system that trusts it keeps trusting; the certificate is made anew
each time. Both keys lie in `var/tls`, readable by their owner only, and leave it never.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.local.installation import Installation
from infra.local.secrets import write_private

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 397  # browsers refuse server certificates that are good for longer
LOOPBACK = ("localhost", "127.0.0.1", "::1")
# Clocks of clients may be a little behind.
BACKDATED = timedelta(hours=1)


class Paths(NamedTuple):
    """Where an installation's TLS files are, made or not."""

    authority: Path
    authority_key: Path
    certificate: Path
    key: Path


def paths(installation: Installation) -> Paths:
    folder = installation.var / "tls"
    return Paths(folder / "ca.pem", folder / "ca.key", folder / "gateway.pem", folder / "gateway.key")


def present(installation: Installation) -> bool:
    """Whether the gateway has a certificate to serve https with."""
    found = paths(installation)
    return found.certificate.exists() and found.key.exists()


def certificate(installation: Installation) -> x509.Certificate:
    return x509.load_pem_x509_certificate(paths(installation).certificate.read_bytes())


def make(installation: Installation, names: Sequence[str] = (), days: int = CERTIFICATE_DAYS) -> list[str]:
    """Makes a certificate for loopback, the allowed hosts and `names`, and answers what it is good for."""
    found = paths(installation)
    found.key.parent.mkdir(exist_ok=True, mode=0o700)
    authority, authority_key = _authority(found)
    wanted = list(dict.fromkeys([*LOOPBACK, *installation.environment.allowed_hosts, *names]))
    wanted = [name.removeprefix(".") for name in wanted if name not in ("", "*")]
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        _builder("Rookery gateway", authority.subject, key.public_key(), days)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in wanted]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    write_private(found.key, _pem(key))
    write_private(found.certificate, made.public_bytes(serialization.Encoding.PEM))
    return wanted


def remove(installation: Installation) -> None:
    """The gateway serves http alone again; the authority stays."""
    found = paths(installation)
    found.certificate.unlink(missing_ok=True)
    found.key.unlink(missing_ok=True)


def _authority(found: Paths) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    if found.authority.exists() and found.authority_key.exists():
        key = serialization.load_pem_private_key(found.authority_key.read_bytes(), None)
        made = x509.load_pem_x509_certificate(found.authority.read_bytes())
        outlives = made.not_valid_after_utc > datetime.now(UTC) + timedelta(days=CERTIFICATE_DAYS)
        if isinstance(key, ec.EllipticCurvePrivateKey) and outlives:
            return made, key
    key = ec.generate_private_key(ec.SECP256R1())
    name = f"Rookery local authority {datetime.now(UTC):%Y-%m-%d}"
    made = (
        _builder(name, _named(name), key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_signing_only(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_private(found.authority_key, _pem(key))
    write_private(found.authority, made.public_bytes(serialization.Encoding.PEM))
    return made, key


def _builder(name: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=days))
    )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _signing_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
