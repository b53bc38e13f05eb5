"""Signing and recovery: EIP-2098, low s, one signer, and a named error for everything else."""

import pickle
from dataclasses import asdict, replace
from hashlib import sha256
from typing import Any

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from payments.errors import (
    AmountOutOfRange,
    HighS,
    IntegerOutOfRange,
    MalformedKey,
    MalformedSignature,
    SignatureError,
    UnrecoverableSignature,
    WrongLength,
    WrongSigner,
)
from payments.types import MAX_AMOUNT, Address, Amount, ChannelId, Seconds
from payments.vouchers import (
    SignedVoucher,
    SigningKey,
    Terms,
    Voucher,
    channel_id,
    channel_salt,
    recover_signer,
    sign_voucher,
    verify_voucher,
    voucher_digest,
)
from tests.payments.support import CONDITION, DOMAIN, OTHER_DOMAIN, SIGNER, STRANGER, TERMS, make_voucher

ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
DIGEST = b"\x0d" * 32

secrets = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32))
digests = st.binary(min_size=32, max_size=32)


@given(secrets, digests)
def test_signature_is_eth_accounts_in_compact_form(secret: bytes, digest: bytes) -> None:
    reference = Account.unsafe_sign_hash(digest, secret)
    compact = reference.r.to_bytes(32) + (reference.s | (reference.v - 27) << 255).to_bytes(32)
    assert SigningKey(secret).sign(digest) == compact


@given(secrets, digests)
def test_recover_returns_who_signed(secret: bytes, digest: bytes) -> None:
    key = SigningKey(secret)
    assert recover_signer(digest, key.sign(digest)) == key.address
    assert key.address == bytes.fromhex(Account.from_key(secret).address[2:])


@given(st.binary(min_size=64, max_size=64), digests)
def test_recover_of_any_64_bytes_gives_an_address_or_a_named_error(signature: bytes, digest: bytes) -> None:
    try:
        recovered = recover_signer(digest, signature)
    except (HighS, UnrecoverableSignature):
        return
    assert len(recovered) == 20


@given(st.binary(max_size=130).filter(lambda data: len(data) != 64))
def test_signature_of_another_length_is_malformed(signature: bytes) -> None:
    with pytest.raises(MalformedSignature) as caught:
        recover_signer(DIGEST, signature)
    assert caught.value.length == len(signature)
    with pytest.raises(MalformedSignature):
        SignedVoucher(make_voucher(1).voucher, signature)


@given(digests)
def test_malleable_twin_does_not_count(digest: bytes) -> None:
    signature = SIGNER.sign(digest)
    s = int.from_bytes(signature[32:]) & ~(1 << 255)
    for parity in (0, 1):
        twin = signature[:32] + ((ORDER - s) | parity << 255).to_bytes(32)
        try:
            recovered = recover_signer(digest, twin)
        except SignatureError:
            continue
        assert recovered != SIGNER.address


@pytest.mark.parametrize("s", [ORDER // 2 + 1, 2**255 - 1])
@pytest.mark.parametrize("parity", [0, 1])
def test_s_above_half_the_order_is_refused(s: int, parity: int) -> None:
    signature = SIGNER.sign(DIGEST)[:32] + (s | parity << 255).to_bytes(32)
    with pytest.raises(HighS) as caught:
        recover_signer(DIGEST, signature)
    assert caught.value.signature == signature


def test_s_of_half_the_order_is_the_last_one_allowed() -> None:
    assert len(recover_signer(DIGEST, SIGNER.sign(DIGEST)[:32] + (ORDER // 2).to_bytes(32))) == 20


@pytest.mark.parametrize(
    ("r", "s"), [(0, 1), (1, 0), (0, 0), (ORDER, 1), (2**256 - 1, 1)], ids=["r0", "s0", "both0", "rN", "rMax"]
)
def test_signature_without_a_point_is_unrecoverable(r: int, s: int) -> None:
    with pytest.raises(UnrecoverableSignature):
        recover_signer(DIGEST, r.to_bytes(32) + s.to_bytes(32))


def test_flipped_parity_is_somebody_elses_signature() -> None:
    signed = make_voucher(5)
    flipped = bytearray(signed.signature)
    flipped[32] ^= 0x80
    with pytest.raises(WrongSigner) as caught:
        verify_voucher(DOMAIN, replace(signed, signature=bytes(flipped)), SIGNER.address)
    assert caught.value.expected == SIGNER.address
    assert caught.value.recovered != SIGNER.address


def test_voucher_verifies_for_its_signer_only() -> None:
    signed = make_voucher(5, CONDITION)
    verify_voucher(DOMAIN, signed, SIGNER.address)
    with pytest.raises(WrongSigner) as caught:
        verify_voucher(DOMAIN, signed, STRANGER.address)
    assert caught.value.detail == {"expected": STRANGER.address, "recovered": SIGNER.address}


@pytest.mark.parametrize(
    "changed",
    [
        Voucher(ChannelId(b"\x01" * 32), Amount(5), CONDITION),
        Voucher(channel_id(DOMAIN, TERMS), Amount(6), CONDITION),
        Voucher(channel_id(DOMAIN, TERMS), Amount(5)),
    ],
    ids=["channel", "amount", "condition"],
)
def test_signature_covers_every_field(changed: Voucher) -> None:
    signed = make_voucher(5, CONDITION)
    with pytest.raises(WrongSigner):
        verify_voucher(DOMAIN, replace(signed, voucher=changed), SIGNER.address)


def test_signature_covers_the_domain() -> None:
    with pytest.raises(WrongSigner):
        verify_voucher(OTHER_DOMAIN, make_voucher(5), SIGNER.address)


def test_signing_is_deterministic() -> None:
    voucher = make_voucher(7).voucher
    assert sign_voucher(DOMAIN, voucher, SIGNER) == sign_voucher(DOMAIN, voucher, SIGNER)
    assert SIGNER.sign(voucher_digest(DOMAIN, voucher)) == make_voucher(7).signature


@pytest.mark.parametrize("length", [0, 31, 33])
def test_digest_has_32_bytes(length: int) -> None:
    with pytest.raises(WrongLength):
        SIGNER.sign(bytes(length))
    with pytest.raises(WrongLength):
        recover_signer(bytes(length), SIGNER.sign(DIGEST))


@pytest.mark.parametrize("amount", [-1, MAX_AMOUNT + 1, 2**256])
def test_voucher_amount_is_a_uint96(amount: int) -> None:
    with pytest.raises(AmountOutOfRange) as caught:
        Voucher(ChannelId(bytes(32)), Amount(amount))
    assert caught.value.amount == amount


def test_voucher_fields_have_fixed_lengths() -> None:
    with pytest.raises(WrongLength):
        Voucher(ChannelId(bytes(31)), Amount(1))
    with pytest.raises(WrongLength):
        Voucher(ChannelId(bytes(32)), Amount(1), bytes(33))


def test_voucher_with_a_condition_says_so() -> None:
    assert make_voucher(1, CONDITION).voucher.conditional
    assert not make_voucher(1).voucher.conditional


@pytest.mark.parametrize("field", ["payer", "signer", "payee", "token", "salt"])
def test_terms_have_fixed_lengths(field: str) -> None:
    fields: dict[str, Any] = {**asdict(TERMS), field: b"short"}
    with pytest.raises(WrongLength) as caught:
        Terms(**fields)
    assert caught.value.field == field


@pytest.mark.parametrize("period", [-1, 2**32])
def test_challenge_period_is_a_uint32(period: int) -> None:
    with pytest.raises(IntegerOutOfRange):
        replace(TERMS, challenge_period=Seconds(period))


@pytest.mark.parametrize("secret", [bytes(32), ORDER.to_bytes(32), b"\xff" * 32, b"\x01" * 31, b""])
def test_key_outside_the_group_is_malformed(secret: bytes) -> None:
    with pytest.raises(MalformedKey) as caught:
        SigningKey(secret)
    assert caught.value.detail == {}


def test_secret_does_not_show() -> None:
    secret = bytes(range(32))
    key = SigningKey(secret)
    for text in (repr(key), str(key), f"{key}"):
        assert secret.hex() not in text
        assert key.address.hex() in text
    with pytest.raises(TypeError):
        pickle.dumps(key)
    assert key.secret == secret


def test_salt_depends_on_chain_and_life() -> None:
    genesis = b"\x09" * 32
    salts = {channel_salt(genesis, 0), channel_salt(genesis, 1), channel_salt(b"\x0a" * 32, 0)}
    assert len(salts) == 3
    expected = sha256(b"tithebarn channel salt" + genesis + bytes(8)).digest()
    assert channel_salt(genesis, 0) == expected


def test_salt_refuses_values_it_cannot_hold() -> None:
    with pytest.raises(WrongLength):
        channel_salt(b"short", 0)
    with pytest.raises(IntegerOutOfRange):
        channel_salt(bytes(32), 2**64)


def test_channel_id_differs_by_every_term() -> None:
    others = [
        replace(TERMS, payer=Address(b"\x0f" * 20)),
        replace(TERMS, signer=Address(b"\x0f" * 20)),
        replace(TERMS, payee=Address(b"\x0f" * 20)),
        replace(TERMS, token=Address(b"\x0f" * 20)),
        replace(TERMS, challenge_period=Seconds(1)),
        replace(TERMS, salt=bytes(32)),
    ]
    ids = {channel_id(DOMAIN, terms) for terms in [TERMS, *others]} | {channel_id(OTHER_DOMAIN, TERMS)}
    assert len(ids) == 8
