"""Packed digests agree with eth-account's general encoder for whatever values there are."""

from typing import Any

import pytest
from eth_account.messages import encode_typed_data
from eth_utils.crypto import keccak as reference_keccak
from hypothesis import given
from hypothesis import strategies as st

from payments.eip712 import Domain, address_word, keccak, type_hash, typed_digest, word
from payments.errors import IntegerOutOfRange, WrongLength
from payments.types import MAX_AMOUNT, Address, Amount, ChannelId, Seconds
from payments.vouchers import CHANNEL_TYPE, VOUCHER_TYPE, Terms, Voucher, channel_id, voucher_digest
from tests.payments.make_vectors import named_fields

addresses = st.binary(min_size=20, max_size=20).map(Address)
words = st.binary(min_size=32, max_size=32)
domains = st.builds(Domain, st.integers(0, 2**256 - 1), addresses)
amounts = st.integers(0, MAX_AMOUNT).map(Amount)
terms = st.builds(
    Terms, addresses, addresses, addresses, addresses, st.integers(0, 2**32 - 1).map(Seconds), words
)
vouchers = st.builds(Voucher, words.map(ChannelId), amounts, words)


def reference_digest(domain: Domain, kind: str, message: dict[str, Any]) -> bytes:
    separator = {
        "name": "Tithebarn",
        "version": "1",
        "chainId": domain.chain_id,
        "verifyingContract": "0x" + domain.contract.hex(),
    }
    signable = encode_typed_data(separator, named_fields(kind), message)
    return reference_keccak(b"\x19" + signable.version + signable.header + signable.body)


@given(domains, terms)
def test_channel_id_is_the_digest_of_its_terms(domain: Domain, terms: Terms) -> None:
    message = {
        "payer": terms.payer,
        "signer": terms.signer,
        "payee": terms.payee,
        "token": terms.token,
        "challengePeriod": terms.challenge_period,
        "salt": terms.salt,
    }
    assert channel_id(domain, terms) == reference_digest(domain, "Channel", message)


@given(domains, vouchers)
def test_voucher_digest_equals_the_general_encoder(domain: Domain, voucher: Voucher) -> None:
    message = {
        "channelId": voucher.channel_id,
        "cumulativeAmount": voucher.cumulative_amount,
        "condition": voucher.condition,
    }
    assert voucher_digest(domain, voucher) == reference_digest(domain, "Voucher", message)


@given(domains, words)
def test_typed_digest_finishes_any_struct(domain: Domain, node: bytes) -> None:
    struct_hash = keccak(type_hash("NodeKey(bytes32 node)") + node)
    assert typed_digest(domain, struct_hash) == reference_digest(domain, "NodeKey", {"node": node})


@given(st.binary())
def test_keccak_is_ethereums(data: bytes) -> None:
    assert keccak(data) == reference_keccak(data)


def test_words_are_32_bytes_big_endian() -> None:
    assert word(0) == bytes(32)
    assert word(2**256 - 1) == b"\xff" * 32
    assert address_word(b"\x01" * 20) == bytes(12) + b"\x01" * 20
    with pytest.raises(OverflowError):
        word(2**256)


def test_type_strings_are_those_of_the_contract() -> None:
    assert type_hash(VOUCHER_TYPE) == reference_keccak(text=VOUCHER_TYPE)
    assert CHANNEL_TYPE.startswith("Channel(address payer,address signer,")


def test_domains_with_equal_fields_are_equal_and_have_one_separator() -> None:
    contract = Address(b"\x11" * 20)
    assert Domain(1, contract) == Domain(1, contract)
    assert Domain(1, contract).separator != Domain(2, contract).separator
    assert Domain(1, contract).separator != Domain(1, Address(b"\x12" * 20)).separator


def test_domain_refuses_a_contract_that_is_no_address() -> None:
    with pytest.raises(WrongLength) as caught:
        Domain(1, Address(b"\x11" * 19))
    assert caught.value.detail == {"field": "contract", "length": 19, "expected": 20}


def test_domain_refuses_a_negative_chain_id() -> None:
    with pytest.raises(IntegerOutOfRange) as caught:
        Domain(-1, Address(bytes(20)))
    assert caught.value.value == -1
