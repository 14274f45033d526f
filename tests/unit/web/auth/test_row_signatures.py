"""Signatures of rows: genuine ones are recognised, also after a rotation, and nothing else is."""

import pytest

from web.auth.row_signatures import RowSigner

SIGNER = RowSigner([b"a secret"])
ROW = ("media.tokens", b"tok_1", 3, b'{"id":"tok_1"}')


def test_a_row_is_verified_by_whoever_has_the_secret() -> None:
    topic, key, version, value = ROW
    signature = RowSigner([b"a secret"]).verify(topic, key, value, SIGNER.headers(*ROW))
    assert signature is not None
    assert (signature.version, signature.is_current) == (version, True)


@pytest.mark.parametrize(
    "topic, key, value",
    [
        ("media.calls", b"tok_1", ROW[3]),
        ("media.tokens", b"tok_2", ROW[3]),
        ("media.tokens", b"tok_1", b'{"id":"tok_1","role":"admin"}'),
        ("media.tokens", b"tok_1", None),
        ("media.tokens", b"tok_1", b""),
        ("media.token", b"stok_1", ROW[3]),
    ],
)
def test_a_signature_is_for_one_topic_key_and_value(topic: str, key: bytes, value: bytes | None) -> None:
    assert SIGNER.verify(topic, key, value, SIGNER.headers(*ROW)) is None


def test_a_signature_is_for_one_version() -> None:
    topic, key, version, value = ROW
    headers = dict(SIGNER.headers(*ROW))
    for forged in (b"4", b"03", b"3 ", b"", b"-3", "٣".encode(), b"9" * 40):
        assert SIGNER.verify(topic, key, value, [*(headers | {"kinolog-version": forged}).items()]) is None
    assert SIGNER.verify(topic, key, value, [("kinolog-signature", headers["kinolog-signature"])]) is None
    assert SIGNER.verify(topic, key, value, [("kinolog-version", b"3"), ("kinolog-signature", None)]) is None
    assert version == 3


def test_a_tombstone_is_not_an_empty_value() -> None:
    assert SIGNER.verify("t", b"k", b"", SIGNER.headers("t", b"k", 1, None)) is None
    assert SIGNER.verify("t", b"k", None, SIGNER.headers("t", b"k", 1, None)) is not None


def test_an_earlier_secret_verifies_and_is_known_to_be_earlier() -> None:
    topic, key, _, value = ROW
    rotated = RowSigner([b"the next secret", b"a secret"])
    signature = rotated.verify(topic, key, value, SIGNER.headers(*ROW))
    assert signature is not None
    assert not signature.is_current
    assert SIGNER.verify(topic, key, value, rotated.headers(*ROW)) is None
    assert RowSigner([b"the next secret"]).verify(topic, key, value, SIGNER.headers(*ROW)) is None
