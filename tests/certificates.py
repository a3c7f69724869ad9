"""Certificates that nobody signed, made as they are needed, and servers that show them."""

from __future__ import annotations

import ssl
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DEFECTS = ("constraints not critical", "no subject key identifier", "no authority key identifier")
_USAGES = (
    *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
    *("key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
)


def self_signed(folder: Path, name: str = "localhost") -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for a host name (and this machine's address); return its PEM file and a server's context.

    Its extensions are those of many a company's own authority: no key identifiers, and constraints not critical.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now_at = datetime.now(UTC)
    names = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now_at - timedelta(days=1))
        .not_valid_after(now_at + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _served(folder, name, certificate, key)


def of_a_private_authority(folder: Path, defects: Collection[str] = DEFECTS) -> tuple[Path, ssl.SSLContext]:
    """Make an authority and a certificate of it for localhost; return the authority's PEM file and a server's context.

    Both are sound but for the ``defects``, which Python 3.13 began to refuse.
    """
    now_at = datetime.now(UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("Plant CA", "localhost")]
    certificates = []
    for subject, key, is_authority in zip(names, keys, (True, False), strict=True):
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(names[0])
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now_at - timedelta(days=1))
            .not_valid_after(now_at + timedelta(days=1))
            .add_extension(
                x509.BasicConstraints(ca=is_authority, path_length=None),
                critical="constraints not critical" not in defects,
            )
        )
        if is_authority:
            usage = dict.fromkeys(_USAGES, False) | {"key_cert_sign": True}
            builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        else:
            localhost = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(localhost), critical=False)
        if "no subject key identifier" not in defects:
            builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        if "no authority key identifier" not in defects:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key())
            builder = builder.add_extension(identifier, critical=False)
        certificates.append(builder.sign(keys[0], hashes.SHA256()))
    authority, context = folder / "authority.pem", _served(folder, "localhost", certificates[1], keys[1])[1]
    authority.write_bytes(certificates[0].public_bytes(serialization.Encoding.PEM))
    return authority, context


def _served(
    folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> tuple[Path, ssl.SSLContext]:
    pem, key_pem = folder / f"{name}.pem", folder / f"{name}.key"
    pem.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # the newest that TDS 7.4 wraps into its handshake
    context.load_cert_chain(pem, key_pem)
    return pem, context
