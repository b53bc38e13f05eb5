"""Agreements: ids, both signatures, the countersigned node key, and the terms a quote allows."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node import errors
from node.agreement import (
    START_SLACK,
    Agreement,
    agreement_id,
    check_terms,
    countersign_agreement,
    node_key_digest,
    sign_agreement,
    sign_node_key,
    verify_farmer,
    verify_node_key,
    verify_renter,
)
from node.merkle import Commitment
from payments.eip712 import Domain
from payments.errors import AmountOutOfRange, MalformedValue, QuoteExpired, QuoteNotYetValid
from payments.prices import CLOCK_SKEW
from payments.types import MAX_AMOUNT, Address, Amount, NodeId, Seconds, Timestamp
from payments.vouchers import SigningKey
from tests.node.support import (
    DAY,
    DOMAIN,
    FARMER,
    NOW,
    OTHER_DOMAIN,
    PRICES,
    QUOTE,
    RENTER,
    STRANGER,
    from_vector,
    make_agreement,
    other_node,
    reference_digest,
    seeded,
)

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "payments" / "vectors.json").read_text()
)["vectors"]
SIGNER = SigningKey(b"\x11" * 32)
OTHER_SIGNER = SigningKey(b"\x12" * 32)

words = st.binary(min_size=32, max_size=32)
u32, u64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
amounts = st.integers(0, MAX_AMOUNT).map(Amount)
seconds, times = u32.map(Seconds), u64.map(Timestamp)
agreements = st.builds(
    Agreement,
    renter=words.map(NodeId),
    farmer=words.map(NodeId),
    shard_length=u64,
    leaf_count=u64,
    data_root=words,
    step=amounts,
    audit_interval=seconds,
    response_deadline=seconds,
    grace=seconds,
    download_price=amounts,
    start=times,
    end=times,
)
domains = st.builds(Domain, st.integers(0, 2**256 - 1), st.binary(min_size=20, max_size=20).map(Address))
OTHER_TERMS: list[dict[str, Any]] = [
    {"renter": STRANGER.node},
    {"farmer": STRANGER.node},
    {"shard_length": 3001},
    {"leaf_count": 4},
    {"data_root": seeded("other")},
    {"step": 1},
    {"audit_interval": 1},
    {"response_deadline": 1},
    {"grace": 1},
    {"download_price": 1},
    {"start": NOW + 1},
    {"end": NOW + DAY},
]


def in_words(agreement: Agreement) -> dict[str, Any]:
    return {
        "renter": agreement.renter,
        "farmer": agreement.farmer,
        "shardLength": agreement.shard_length,
        "leafCount": agreement.leaf_count,
        "dataRoot": agreement.data_root,
        "step": agreement.step,
        "auditInterval": agreement.audit_interval,
        "responseDeadline": agreement.response_deadline,
        "grace": agreement.grace,
        "downloadPrice": agreement.download_price,
        "start": agreement.start,
        "end": agreement.end,
    }


def domain_of(vector: dict[str, Any]) -> Domain:
    domain = from_vector(vector["domain"])
    return Domain(domain["chainId"], Address(domain["verifyingContract"]))


def sign_both(agreement: Agreement) -> tuple[bytes, bytes]:
    """The renter's signature and the farmer's."""
    return sign_agreement(DOMAIN, agreement, SIGNER), countersign_agreement(DOMAIN, agreement, FARMER)


# Hashes


@given(domains, agreements)
def test_id_equals_the_general_encoders(domain: Domain, agreement: Agreement) -> None:
    assert agreement_id(domain, agreement) == reference_digest(domain, "Agreement", in_words(agreement))


@given(domains, words)
def test_node_key_digest_equals_the_general_encoders(domain: Domain, node: bytes) -> None:
    assert node_key_digest(domain, node) == reference_digest(domain, "NodeKey", {"node": node})


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if v["primaryType"] == "Agreement"], ids=lambda v: v["digest"]
)
def test_id_and_signature_are_those_of_the_committed_vectors(vector: dict[str, Any]) -> None:
    fields = from_vector(vector["message"])
    agreement = Agreement(*(fields[name] for name in in_words(make_agreement())))
    key = SigningKey(from_vector(vector["secret"]))
    assert "0x" + agreement_id(domain_of(vector), agreement).hex() == vector["digest"]
    assert "0x" + sign_agreement(domain_of(vector), agreement, key).hex() == vector["signature"]


@pytest.mark.parametrize(
    "vector", [v for v in VECTORS if v["primaryType"] == "NodeKey"], ids=lambda v: v["digest"]
)
def test_node_key_signature_is_that_of_the_committed_vectors(vector: dict[str, Any]) -> None:
    node, key = from_vector(vector["message"]["node"]), SigningKey(from_vector(vector["secret"]))
    signature = sign_node_key(domain_of(vector), node, key)
    assert "0x" + signature.hex() == vector["signature"]
    verify_node_key(domain_of(vector), node, signature, key.address)


def test_id_binds_every_term_and_the_domain() -> None:
    ids = {agreement_id(DOMAIN, make_agreement(**change)) for change in ({}, *OTHER_TERMS)}
    assert len(ids) == len(OTHER_TERMS) + 1
    assert agreement_id(OTHER_DOMAIN, make_agreement()) not in ids


@pytest.mark.parametrize(
    "change",
    [
        {"renter": bytes(31)},
        {"data_root": bytes(33)},
        {"step": MAX_AMOUNT + 1},
        {"step": -1},
        {"grace": 2**32},
        {"end": 2**64},
        {"shard_length": -1},
    ],
    ids=str,
)
def test_terms_that_solidity_could_not_hold_do_not_exist(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedValue):
        make_agreement(**change)


# Signatures


def test_an_agreement_signed_by_both_is_accepted() -> None:
    renters, farmers = sign_both(make_agreement())
    verify_renter(DOMAIN, make_agreement(), renters, SIGNER.address)
    verify_farmer(DOMAIN, make_agreement(), farmers)


@pytest.mark.parametrize("change", OTHER_TERMS, ids=str)
def test_a_changed_term_breaks_both_signatures(change: dict[str, Any]) -> None:
    renters, farmers = sign_both(make_agreement())
    changed = make_agreement(**change)
    with pytest.raises(errors.WrongRenterSignature):
        verify_renter(DOMAIN, changed, renters, SIGNER.address)
    with pytest.raises(errors.WrongFarmerSignature):
        verify_farmer(DOMAIN, changed, farmers)


def test_signatures_of_another_chain_are_refused() -> None:
    renters, farmers = sign_both(make_agreement())
    with pytest.raises(errors.WrongRenterSignature):
        verify_renter(OTHER_DOMAIN, make_agreement(), renters, SIGNER.address)
    with pytest.raises(errors.WrongFarmerSignature):
        verify_farmer(OTHER_DOMAIN, make_agreement(), farmers)


def test_another_signers_agreement_is_refused_with_both_addresses() -> None:
    signature = sign_agreement(DOMAIN, make_agreement(), OTHER_SIGNER)
    with pytest.raises(errors.WrongRenterSignature) as caught:
        verify_renter(DOMAIN, make_agreement(), signature, SIGNER.address)
    assert caught.value.detail == {
        "expected": "0x" + SIGNER.address.hex(),
        "recovered": "0x" + OTHER_SIGNER.address.hex(),
    }


def test_another_nodes_countersignature_is_refused() -> None:
    signature = countersign_agreement(DOMAIN, make_agreement(), STRANGER)
    with pytest.raises(errors.WrongFarmerSignature):
        verify_farmer(DOMAIN, make_agreement(), signature)


@given(st.binary(max_size=70))
def test_garbage_signatures_are_refused_by_name(signature: bytes) -> None:
    agreement = make_agreement()
    with pytest.raises(errors.WrongRenterSignature):
        verify_renter(DOMAIN, agreement, signature, SIGNER.address)
    with pytest.raises(errors.WrongFarmerSignature):
        verify_farmer(DOMAIN, agreement, signature)
    with pytest.raises(errors.WrongNodeKeySignature):
        verify_node_key(DOMAIN, RENTER.node, signature, SIGNER.address)


def test_a_node_key_is_bound_to_its_signer_and_its_domain() -> None:
    signature = sign_node_key(DOMAIN, RENTER.node, SIGNER)
    verify_node_key(DOMAIN, RENTER.node, signature, SIGNER.address)
    for domain, node, signer in (
        (OTHER_DOMAIN, RENTER.node, SIGNER.address),
        (DOMAIN, STRANGER.node, SIGNER.address),
        (DOMAIN, other_node(RENTER.node), SIGNER.address),
        (DOMAIN, RENTER.node, OTHER_SIGNER.address),
    ):
        with pytest.raises(errors.WrongNodeKeySignature):
            verify_node_key(domain, node, signature, signer)


# Terms


def test_terms_of_the_quote_are_accepted() -> None:
    check_terms(make_agreement(), QUOTE, NOW)


def test_a_better_price_than_asked_is_accepted() -> None:
    check_terms(make_agreement(step=10**12, download_price=10**15), QUOTE, NOW)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"farmer": STRANGER.node}, errors.WrongFarmer),
        ({"renter": FARMER.node}, errors.SelfDealing),
        ({"end": NOW}, errors.AgreementExpired),
        ({"start": NOW + 60, "end": NOW + 60}, errors.AgreementExpired),
        ({"end": 0}, errors.AgreementExpired),
        ({"start": NOW - START_SLACK - 1}, errors.StartOutOfBounds),
        ({"start": NOW + START_SLACK + 1}, errors.StartOutOfBounds),
        ({"end": NOW + 90 * DAY + 1}, errors.AgreementTooLong),
        ({"end": 2**64 - 1}, errors.AgreementTooLong),
        ({"shard_length": 0, "leaf_count": 1}, errors.ShardLengthOutOfBounds),
        ({"shard_length": 10**9 + 1, "leaf_count": 976_563}, errors.ShardLengthOutOfBounds),
        ({"leaf_count": 2}, errors.WrongLeafCount),
        ({"leaf_count": 4}, errors.WrongLeafCount),
        ({"shard_length": 3073}, errors.WrongLeafCount),
        ({"audit_interval": 7200}, errors.TermDiffers),
        ({"response_deadline": 599}, errors.TermDiffers),
        ({"grace": 0}, errors.TermDiffers),
        ({"step": 1_004_166_666}, errors.PriceTooLow),
        ({"step": 0}, errors.PriceTooLow),
        ({"download_price": PRICES.download_per_gb - 1}, errors.PriceTooLow),
        ({"end": NOW + 3600}, errors.ValueTooLow),
    ],
    ids=str,
)
def test_terms_that_the_quote_does_not_allow_are_refused(
    change: dict[str, Any], error: type[errors.BadAgreement]
) -> None:
    with pytest.raises(error) as caught:
        check_terms(make_agreement(**change), QUOTE, NOW)
    assert type(caught.value) is error


def test_the_step_is_the_quoted_one_to_the_last_base_unit() -> None:
    check_terms(make_agreement(step=1_004_166_667), QUOTE, NOW)
    with pytest.raises(errors.PriceTooLow) as caught:
        check_terms(make_agreement(step=1_004_166_666), QUOTE, NOW)
    assert caught.value.detail == {"field": "step", "price": 1_004_166_666, "quoted": 1_004_166_667}


def test_an_expired_or_future_quote_allows_nothing() -> None:
    with pytest.raises(QuoteExpired):
        check_terms(make_agreement(), QUOTE, QUOTE.expires_at)
    with pytest.raises(QuoteNotYetValid):
        check_terms(make_agreement(), QUOTE, QUOTE.issued_at - CLOCK_SKEW - 1)


def test_a_value_beyond_all_amounts_is_refused_by_name() -> None:
    with pytest.raises(AmountOutOfRange):
        check_terms(make_agreement(step=MAX_AMOUNT), QUOTE, NOW)


@given(agreements, st.integers(0, 2**40))
def test_any_terms_are_accepted_or_refused_by_name(agreement: Agreement, now: int) -> None:
    agreement = replace(agreement, farmer=QUOTE.farmer)
    with pytest.raises((errors.BadAgreement, QuoteExpired, QuoteNotYetValid, AmountOutOfRange)):
        check_terms(agreement, QUOTE, now)


def test_commitment_is_what_must_be_proven() -> None:
    agreement = make_agreement()
    assert agreement.commitment == Commitment(agreement.data_root, 3000)
    assert agreement.commitment.leaf_count == agreement.leaf_count
