"""The dates of certificates, held against what the cryptography package reads and against OpenSSL's own decoder."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from agent.certificate import BadCertificate, Validity, from_der, from_pem

DAY = 86_400.0


def make(begin: datetime, end: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "till 1, " + "x" * 50)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM)


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (datetime(1999, 12, 31, tzinfo=UTC), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),  # UTCTime, both centuries
        (datetime(2026, 1, 1, tzinfo=UTC), datetime(2050, 1, 1, tzinfo=UTC)),  # GeneralizedTime from 2050 on
    ],
)
def test_both_dates_are_read_as_they_were_written(begin, end):
    pem = make(begin, end)
    wanted = Validity(begin.timestamp(), end.timestamp())
    assert from_pem(pem) == [wanted]
    assert from_der(ssl.PEM_cert_to_DER_cert(pem.decode())) == wanted


def test_a_chain_is_read_in_its_order_whatever_stands_between():
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    ends = [begin + timedelta(days=days) for days in (90, 3650)]
    chain = b"subject: x\n" + b"\r\n# next\r\n".join(make(begin, end) for end in ends)
    assert [each.not_after for each in from_pem(chain)] == [end.timestamp() for end in ends]


def test_what_is_no_certificate_is_refused_and_never_guessed():
    pem = make(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    der = ssl.PEM_cert_to_DER_cert(pem.decode())
    for cut in range(len(der)):
        with pytest.raises(BadCertificate):
            from_der(der[:cut])
    for bad in (b"", b"\x30\x80", b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----"):
        with pytest.raises(BadCertificate):
            from_der(bad)
        with pytest.raises(BadCertificate):
            from_pem(bad)


@pytest.mark.parametrize(
    ("life_days", "left_days", "soon"),
    [
        (365, 20, False),
        (365, 13, True),
        (90, 20, False),
        (90, 13, True),
        (7, 2, False),  # renewed daily
        (7, 1, True),
        (1, 0.5, False),
        (365, -3, True),
    ],
)
def test_the_end_is_near_by_days_or_by_its_share_of_a_short_life(life_days, left_days, soon):
    validity = Validity(0.0, life_days * DAY)
    wall = (life_days - left_days) * DAY
    assert validity.ends_soon(wall, 14) is soon
    assert validity.days_left(wall) == pytest.approx(left_days)
